// Package trace describes the calls of guests and writes them for people and programs.
//
// A [Tracer] receives each call of a guest as an [Event]. The package has four:
//
//   - [Text] writes a line a call, as strace does.
//   - [JSON] writes a JSON object a call, one a line.
//   - [Perfetto] writes a file that ui.perfetto.dev and chrome://tracing open.
//   - [Log] logs each call to a [log/slog.Logger].
//
// The option virt.WithTrace attaches a Tracer to a guest and says which calls it sees. This package
// knows nothing of hosts and guests: a program can also feed a Tracer with events of its own.
//
// Strings that come from a guest are quoted wherever they are written, so that a guest cannot
// inject control characters into a terminal or lines into a log.
package trace

import (
	"errors"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Event is one call of a guest, as the guest sees it: after policy, middleware and faults. It is
// valid only during [Tracer.Begin] and [Tracer.End].
type Event struct {
	// Guest is the guest's number in its Host, from 1, and Program its name, escaped and cut:
	// guests choose the names of guests that they start.
	Guest   uint64
	Program string
	// Thread is the number of the guest's thread; 0 is the first.
	Thread uint32
	// Call is the function's name.
	Call string
	// Args are the parameters. When the function has returned they include what it stored in
	// buffers and structs.
	Args []Value
	// Results are the numbers that the function stored.
	Results []Value
	// Errno is the function's answer.
	Errno wasip1.Errno
	// Fault is the rule of virt.WithFaults that changed the call; "" if none did.
	Fault string
	// Left is true if the call did not return to the guest: it ended the guest.
	Left bool
	// Start is the time since the trace began, Duration the time that the call took.
	Start, Duration time.Duration
}

// Value is a decoded parameter or result.
type Value struct {
	Name string
	// Text is the value for a reader; strings are quoted.
	Text string
	// Value is the value for a program: a string, an integer, a []Value for a struct, a [][]Value
	// for a list of structs.
	Value any
}

// Tracer receives the calls of guests. The threads of all guests that share it call its methods at
// the same time.
type Tracer interface {
	// Begin is called before a call. A trace that is filtered by errno leaves it out.
	Begin(e *Event)
	// End is called after a call, with the same event, which then is complete.
	End(e *Event)
}

// DefaultLimit is how many bytes a trace writes unless its Limit method says otherwise: 4 GiB.
const DefaultLimit = 4 << 30

// ErrLimit says that a trace is incomplete because it has reached its limit of bytes.
var ErrLimit = errors.New("the trace is incomplete: it has reached its limit of bytes; raise it with Limit, or filter the calls")
