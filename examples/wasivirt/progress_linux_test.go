package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a pseudo-terminal: what is written to the terminal is read from the other
// end.
func pseudoTerminal(t *testing.T) (end, terminal *os.File) {
	t.Helper()
	end, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = end.Close() })
	if err := unix.IoctlSetPointerInt(int(end.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(end.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return end, terminal
}

// largeModule returns a module that takes many seconds to compile on any machine: 20,000 functions
// of 500 additions.
func largeModule() []byte {
	const functions, additions = 20_000, 500
	number := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	section := func(id byte, content ...[]byte) []byte {
		all := bytes.Join(content, nil)
		return append(append([]byte{id}, number(len(all))...), all...)
	}
	body := slices.Concat([]byte{0, 0x20, 0}, bytes.Repeat([]byte{0x20, 0, 0x6a}, additions), []byte{0x0b})
	body = append(number(len(body)), body...)
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{1, 0x60, 1, 0x7f, 1, 0x7f}), // (i32) -> i32
		section(3, number(functions), make([]byte, functions)),
		section(10, number(functions), bytes.Repeat(body, functions)))
}

// TestProgress: what takes long is shown on a terminal while it takes, a signal ends it, and what
// had come of it until then is told.
func TestProgress(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large.wasm")
	if err := os.WriteFile(large, largeModule(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		args   []string
		shown  string
		told   string
		stdout string
	}{
		{"compiling", []string{"run", large}, "wasivirt: compiling ", "large.wasm: compile the module: ended by a signal: interrupt", ""},
		{"exploring", []string{"explore", "-seeds", "1..1000000000", do}, "wasivirt: exploring, ", " runs: ended by a signal: interrupt", "seed 1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			end, terminal := pseudoTerminal(t)
			var stdout bytes.Buffer
			c := process(t, tc.args...)
			c.Env = append(c.Env, "TERM=xterm")
			c.Stdout, c.Stderr = &stdout, terminal
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if err := terminal.Close(); err != nil { // only the command has it: its end is that of the output
				t.Error(err)
			}
			var shown strings.Builder
			for buf := make([]byte, 1000); !strings.Contains(shown.String(), tc.shown); {
				n, err := end.Read(buf)
				if err != nil {
					t.Fatalf("%v after %q", err, shown.String())
				}
				shown.Write(buf[:n])
			}
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if status := ended(t, c); status != 128+int(syscall.SIGINT) {
				t.Errorf("exit status %d; %q, %q", status, shown.String(), stdout.String())
			}
			rest, _ := io.ReadAll(end) // ends with EIO once the command has
			if text := string(rest); !strings.Contains(text, tc.told) {
				t.Errorf("the terminal has %q, want %q", text, tc.told)
			}
			if (tc.stdout == "") != (stdout.Len() == 0) || !strings.Contains(stdout.String(), tc.stdout) {
				t.Errorf("standard output is %q, want %q", stdout.String(), tc.stdout)
			}
		})
	}
}
