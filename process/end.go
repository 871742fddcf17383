package process

import (
	"fmt"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Exit is the error that ends a guest after its call of proc_exit, also with code 0.
type Exit struct {
	Code uint32
}

// Error says "exit status N".
func (e Exit) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// Raised is the error that ends a guest after a signal that it raised.
type Raised struct {
	Signal wasip1.Signal
}

// Error names the signal.
func (e Raised) Error() string { return "ended by signal " + e.Signal.String() }

// ExitCode returns 128 and the signal's number, as a shell reports such an end.
func (e Raised) ExitCode() uint32 { return 128 + uint32(e.Signal) }

// Hooks are functions of the embedder, called when a guest ends itself or raises a signal. They run
// on the thread of the guest that made the call: those of a guest with threads must be safe for
// concurrent use. The zero Hooks do nothing.
type Hooks struct {
	// Exit is called before a guest ends by proc_exit.
	Exit func(code uint32)

	// Signal is called for each signal that a guest raises, except SIGNONE, and returns the action
	// to take.
	Signal func(wasip1.Signal) Action
}

// Action is what a signal does to a guest.
type Action uint8

const (
	ActionDefault Action = iota // the action that DefaultAction returns
	ActionIgnore                // nothing: the guest goes on
	ActionEnd                   // the guest ends with Raised
)

// DefaultAction returns the action for a signal if no hook decides. As in POSIX, SIGCHLD, SIGCONT,
// SIGURG and SIGWINCH are ignored. All others end the guest, also those that stop a process in
// POSIX: nothing could continue the guest.
func DefaultAction(sig wasip1.Signal) Action {
	switch sig {
	case wasip1.SIGNONE, wasip1.SIGCHLD, wasip1.SIGCONT, wasip1.SIGURG, wasip1.SIGWINCH:
		return ActionIgnore
	}
	return ActionEnd
}
