package virt_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/virt"
)

// openTerminal returns the two sides of a pseudo-terminal that does not echo: who types, and the
// program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("open a terminal: %v: NOT RUN", err)
	}
	person = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	tty, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err == nil {
		tty.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, tty)
	}
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestREPLOnATerminal has the guest's three streams on one terminal, as in a shell.
func TestREPLOnATerminal(t *testing.T) {
	host := newHost(t, shared)
	person, program := openTerminal(t)
	r := start(t, host, compiled(t, host, goGuest(t, "tools")), virt.WithArgs("repl"), virt.WithStdin(program),
		virt.WithStdout(program), virt.WithStderr(program))
	c := &terminalUser{t: t, screen: person, keys: person}
	c.chat(func() { c.types("\x04") }) // Ctrl-D
	if result := <-r.result; !result.Success() {
		t.Errorf("%v", result)
	}
}

// TestREPLOnATerminalIsInterrupted ends the guest while it waits for a line. What is typed then is
// for the next one.
func TestREPLOnATerminalIsInterrupted(t *testing.T) {
	host := newHost(t, shared)
	person, program := openTerminal(t)
	tools := compiled(t, host, goGuest(t, "tools"))
	c := &terminalUser{t: t, screen: person, keys: person}
	for range 3 {
		r := start(t, host, tools, virt.WithArgs("repl"), virt.WithStdin(program), virt.WithStdout(program))
		c.sees("> ")
		c.types("half a li")
		r.stop()
		if result := <-r.result; result.Outcome != virt.Canceled {
			t.Errorf("%v, want canceled", result)
		}
		c.types("\x15") // Ctrl-U: take back the line
	}
	start(t, host, tools, virt.WithArgs("repl"), virt.WithStdin(program), virt.WithStdout(program))
	c.sees("> ")
	c.types("the last\n")
	c.sees("\"THE LAST\"\n> ")
}
