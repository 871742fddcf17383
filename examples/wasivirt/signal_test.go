package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/wasivirt/wasivirt/internal/usercache"
)

// asCommand makes the test binary the command itself, for what only a process shows.
const asCommand = "WASIVIRT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command as a process of its own.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), asCommand+"=1", usercache.Variable+"=off")
	return c
}

// ended waits for a process and returns its exit status; that of one that a signal ended is the
// shell's.
func ended(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal())
		}
		return exit.ExitCode()
	}
	if err != nil {
		t.Error(err)
	}
	return 0
}

// TestSignals: a signal to the command ends the guest, in whatever it is, and the trace has what it
// was in.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent a signal there")
	}
	for _, tc := range []struct {
		signal os.Signal
		args   []string
		status int
		last   string
	}{
		{os.Interrupt, []string{do, "loop"}, 130, ""},
		{syscall.SIGTERM, []string{do, "loop"}, 143, ""},
		{os.Interrupt, []string{do, "sleep", "4000000"}, 130, "poll_oneoff"},
		{os.Interrupt, []string{do, "stdin"}, 130, "fd_read"},
		{os.Interrupt, []string{"-interpreter", do, "loop"}, 130, ""},
	} {
		c := process(t, append([]string{"run", "-trace", "-"}, tc.args...)...)
		stdin, err1 := c.StdinPipe()
		stderr, err2 := c.StderrPipe()
		if err := errors.Join(err1, err2, c.Start()); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(stderr)
		for line := ""; !strings.HasPrefix(line, "args_get"); {
			var err error
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Process.Signal(tc.signal); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Error(err)
		}
		if status := ended(t, c); status != tc.status {
			t.Errorf("%v: status %d, want %d; %s", tc.args, status, tc.status, rest)
		}
		// The signal may come before the call that it ends.
		if text := string(rest); !strings.Contains(text, "ended by a signal") || strings.Contains(text, tc.last+"(") != strings.Contains(text, "= ?") {
			t.Errorf("%v: %s", tc.args, rest)
		}
		_ = stdin.Close()
	}
}

// TestNobodyReads: a guest that goes on writing when nobody reads any more is ended, as SIGPIPE
// would a program of the machine.
func TestNobodyReads(t *testing.T) {
	c := process(t, "run", do, "spam", "4000000")
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := stdout.Close(); err != nil {
		t.Error(err)
	}
	if status := ended(t, c); status != 141 {
		t.Errorf("status %d, want 141", status)
	}
}

// TestStreamsOfTheProcess passes more through a guest than any buffer holds.
func TestStreamsOfTheProcess(t *testing.T) {
	c := process(t, "run", do, "stdin")
	text := strings.Repeat("all work and no play\n", 100_000)
	c.Stdin = strings.NewReader(text)
	got, err := c.Output()
	if err != nil || string(got) != text {
		t.Errorf("%d bytes came out of %d, %v", len(got), len(text), err)
	}
}
