package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSpawn: with -spawn a shell starts the programs in its files, and without it it is refused.
func TestSpawn(t *testing.T) {
	shell := filepath.Join("..", "..", "virt", "spawn", "testdata", "shell.wasm")
	wasm, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"gen", "sort", "uniq"} {
		if err := os.WriteFile(filepath.Join(dir, name), wasm, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-mount", "/=mem:" + dir, "-argv0", "sh", shell, "gen 4 | sort | uniq -c > out"}
	got := wasivirt(t, append([]string{"run", "-spawn"}, args...)...)
	if want := lines("command 0 exit 0", "command 1 exit 0", "command 2 exit 0"); got.status != 0 || got.stdout != want {
		t.Errorf("%+v, want %q", got, want)
	}
	if got := wasivirt(t, append([]string{"run"}, args...)...); got.status != exitHost {
		t.Errorf("without -spawn: %+v", got)
	}
}

// TestConnect: -connect grants what it names.
func TestConnect(t *testing.T) {
	sockets := filepath.Join("..", "..", "virt", "testdata", "bare", "sockets_v1.wasm")
	for grant, want := range map[string]int{"127.0.0.1": 3, "10.0.0.0/8:80": 3, "a b": exitHost, "host:x": exitHost} {
		// Step 3 is to listen, which no flag grants.
		if got := wasivirt(t, "run", "-connect", grant, sockets); got.status != want {
			t.Errorf("-connect %s: %+v, want status %d", grant, got, want)
		}
	}
}
