package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStandardLibrary runs Go's own tests of what asks most of an operating system as guests of the
// command. It takes minutes, and runs where WASIVIRT_STD is set.
func TestStandardLibrary(t *testing.T) {
	if os.Getenv("WASIVIRT_STD") == "" {
		t.Skip("WASIVIRT_STD is not set: NOT RUN")
	}
	command := filepath.Join(t.TempDir(), "wasivirt")
	goTool(t, nil, "build", "-o", command, ".")
	goroot := strings.TrimSpace(goTool(t, nil, "env", "GOROOT"))
	// Tests of net and context listen on "localhost", which they look up.
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	worlds := []struct {
		name     string
		mount    string // of GOROOT
		flags    []string
		packages []string
	}{
		{"files, on a copy in memory", "mem", []string{"-short"},
			[]string{"os", "io/fs", "path/filepath", "testing/fstest", "time", "bufio", "archive/zip", "archive/tar"}},
		{"waiting and sockets, on the tree itself below memory", "overlay", nil,
			[]string{"net", "net/http/internal", "internal/poll", "os", "time", "context", "sync"}},
	}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			before := stateOf(t, goroot)
			run := []string{command, "run", "-absolute-links", "-mount", "/=mem", "-mount", "/tmp=mem", "-mount", "/dev=dev",
				"-mount", "/etc/hosts=file:" + hosts, "-mount", goroot + "=" + w.mount + ":" + goroot,
				"-env", "GOROOT=" + goroot, "-env", "TMPDIR=/tmp", "-env-pass", "PWD", "-env", "GOWASIRUNTIME=wasivirt"}
			args := append([]string{"test", "-count=1", "-p=1", "-exec", strings.Join(run, " ")}, w.flags...)
			guest := []string{"GOOS=wasip1", "GOARCH=wasm"}
			t.Log("\n" + goTool(t, guest, append(args, w.packages...)...))
			out := goTool(t, guest, append(args, "-v", "-run=^TestRootRenameAfterOpen$", "os")...)
			if !strings.Contains(out, "--- PASS: TestRootRenameAfterOpen") {
				t.Errorf("TestRootRenameAfterOpen did not pass:\n%s", out)
			}
			if after := stateOf(t, goroot); after != before {
				t.Errorf("%s was changed", goroot)
			}
		})
	}
}

// goTool runs the go command and returns what it prints.
func goTool(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// stateOf describes every file below a directory by size, mode and time.
func stateOf(t *testing.T, dir string) string {
	t.Helper()
	var state strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&state, path, info.Mode(), info.Size(), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state.String()
}
