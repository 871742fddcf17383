//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStatus: SIGUSR1 shows what the guest waits for, and -status writes it to a file.
func TestStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "status")
	c := process(t, "run", "-status", file, "-trace", "-", do, "stdin")
	stdin, err1 := c.StdinPipe()
	stderr, err2 := c.StderrPipe()
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	next := func(prefix string) string {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
	}
	next("args_get")
	for { // it may not have come to its read yet
		if err := c.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		next("guest 1 ")
		if line := next("  thread 0 "); strings.HasPrefix(line, "  thread 0 waiting in _start: fd_read 0 <stdin>, for ") {
			break
		}
	}
	next("  fd 0 ")
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := lines.ReadString('\n'); err != nil {
			break
		}
	}
	if status := ended(t, c); status != 0 {
		t.Errorf("exit status %d", status)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `guest 1 "do.wasm": exit 0`) {
		t.Errorf("%s%v", text, err)
	}
}
