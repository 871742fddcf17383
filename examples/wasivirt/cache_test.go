package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/internal/usercache"
)

// cached are the entries of a cache of compiled modules.
func cached(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestCacheThatIsDamaged cuts, empties and changes the entries of the cache: the guest runs all the
// same, and the next one finds good entries.
func TestCacheThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(usercache.Variable, dir)
	if got := wasivirt(t, "run", do, "exit", "7"); got.status != 7 {
		t.Fatal(got)
	}
	for _, damage := range []struct {
		name string
		to   func(b []byte) []byte
	}{
		{"emptied", func(b []byte) []byte { return nil }},
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }},
		{"another file", func(b []byte) []byte { return append([]byte("another file"), b...) }},
		{"changed code", func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			entries := cached(t, dir)
			if len(entries) == 0 {
				t.Fatal("nothing is kept")
			}
			for _, entry := range entries {
				b, err := os.ReadFile(entry)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(entry, damage.to(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if got := wasivirt(t, "run", do, "exit", "7"); got.status != 7 || got.stderr != "" {
					t.Error(got)
				}
			}
		})
	}
}

// TestCacheAndOptions runs a module with options that rewrite it differently: each form has its own
// entry.
func TestCacheAndOptions(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(usercache.Variable, dir)
	entries := 0
	for _, args := range [][]string{{"run", do}, {"run", "-fuel", "1000000", do}} {
		if got := wasivirt(t, args...); got.status != 0 {
			t.Fatal(got)
		}
		if n := len(cached(t, dir)); n <= entries {
			t.Errorf("%q: %d entries, and %d before", args, n, entries)
		} else {
			entries = n
		}
	}
}

// TestCacheOfSeveral fills one cache from several runs at once.
func TestCacheOfSeveral(t *testing.T) {
	t.Setenv(usercache.Variable, t.TempDir())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got := wasivirt(t, "run", do, "exit", "7"); got.status != 7 {
				t.Error(got)
			}
		})
	}
	all.Wait()
}
