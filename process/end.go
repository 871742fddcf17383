package process

import (
	"fmt"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Exit is the error by which a guest ends that called proc_exit, with code 0 too.
type Exit struct {
	Code uint32
}

// Error says "exit status N".
func (e Exit) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// Raised is the error with which a guest ends that raised a signal.
type Raised struct {
	Signal wasip1.Signal
}

// Error names the signal.
func (e Raised) Error() string { return "ended by signal " + e.Signal.String() }

// ExitCode returns 128 and the signal's number, as a shell reports such an end.
func (e Raised) ExitCode() uint32 { return 128 + uint32(e.Signal) }

// Hooks are what an embedder does when a guest ends itself. They run on the thread of
// the guest that made the call. The zero Hooks do nothing. Hooks of a guest with
// threads are safe for concurrent use.
type Hooks struct {
	// Exit is called before a guest ends by proc_exit.
	Exit func(code uint32)

	// Signal is called for each signal that a guest raises, and decides what comes of
	// it. It is not called for SIGNONE.
	Signal func(wasip1.Signal) Action
}

// Action is what comes of a signal.
type Action uint8

const (
	ActionDefault Action = iota // what DefaultAction says
	ActionIgnore                // nothing: the guest goes on
	ActionEnd                   // the guest ends with Raised
)

// DefaultAction returns what a signal does to a guest that nobody asked about, as POSIX
// has it for a process without handlers: SIGCHLD, SIGCONT, SIGURG and SIGWINCH are ignored.
// All others end the guest, also those that would stop it: nobody could make it go on.
func DefaultAction(sig wasip1.Signal) Action {
	switch sig {
	case wasip1.SIGNONE, wasip1.SIGCHLD, wasip1.SIGCONT, wasip1.SIGURG, wasip1.SIGWINCH:
		return ActionIgnore
	}
	return ActionEnd
}
