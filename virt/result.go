package virt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Outcome is the way in which a guest ended.
type Outcome uint8

const (
	// Running: it has not ended.
	Running Outcome = iota
	// Exited: it returned from its entry point, or one of its threads called proc_exit, which ends
	// all of them. See Result.ExitCode.
	Exited
	// Signaled: it raised a signal that ends a process. See Result.Signal.
	Signaled
	// Trapped: WebAssembly stopped one of its threads, which ends all of them. See Result.Trap.
	Trapped
	// Canceled: its context ended, or it was closed while it ran. See Result.Err.
	Canceled
	// Exhausted: a budget ran out that has no errno. See Result.Budget.
	Exhausted
	// Deadlocked: all threads waited for something that could never happen. See Result.Err.
	Deadlocked
	// Failed: code of the Host or of the embedder that the guest called panicked or failed. See
	// Result.Err.
	Failed
)

var outcomeNames = [...]string{"running", "exited", "signaled", "trapped", "canceled", "exhausted", "deadlocked", "failed"}

// String returns the outcome in one lower-case word.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// MarshalText returns the text of String, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Result tells how a guest ended.
type Result struct {
	Outcome Outcome
	// ExitCode is set if the Outcome is Exited.
	ExitCode uint32
	// Signal is set if the Outcome is Signaled.
	Signal wasip1.Signal
	// Trap is set if the Outcome is Trapped.
	Trap *Trap
	// Budget names the budget that ran out, if the Outcome is Exhausted.
	Budget Budget
	// Thread is the thread that decided the end: 0 is the first.
	Thread uint32
	// Err is the cause if the Outcome is Canceled, Deadlocked or Failed. If it is Exhausted, Err is
	// not nil if the guest waited for a virtual clock that nothing moved.
	Err error
	// Stderr is what the guest wrote to standard error, if no option says where that goes. Of more
	// than 2 KiB it holds the first and the last KiB, and a line "[...]" between them.
	Stderr string
	// Hash identifies everything that passed between the guest and its Host, if [WithHash] was
	// given. It is set when [Guest.Run] or [Guest.Close] has returned.
	Hash [32]byte
	// Stacks tells where each thread was, ordered by thread number, if the Outcome is Deadlocked.
	Stacks []Stack
	// Threads lists, ordered by thread number, how each thread that was alive at the guest's end
	// terminated. It is complete when [Guest.Run] or [Guest.Close] has returned. [Usage] counts the
	// threads that returned before.
	Threads []ThreadEnd
	// Lingering names goroutines that were still in a Write of the embedder's, which nothing can
	// interrupt, when Run or Close stopped waiting for them: "goroutine 12 [chan receive] in
	// main.(*slow).Write". They write nothing more when it returns. [Guest.Lingering] tells of
	// readers as well, and of the present.
	Lingering []string
}

// ThreadEnd tells how one thread ended.
type ThreadEnd struct {
	Thread uint32
	// Outcome is the Result's Outcome for the thread that the Result names. For other threads it is
	// Exited if they returned, Canceled if the guest's end made them leave, else Trapped or Failed.
	Outcome Outcome
	// Trap is set if the Outcome is Trapped.
	Trap *Trap
	// Err says more where the Outcome is Failed.
	Err error
}

// Success reports whether the guest exited with code 0.
func (r *Result) Success() bool { return r.Outcome == Exited && r.ExitCode == 0 }

// sysExitCode is the exit code by which wazero tells how a module ended.
func (r *Result) sysExitCode() uint32 {
	switch r.Outcome {
	case Exited:
		return r.ExitCode
	case Signaled:
		return 128 + uint32(r.Signal) // as a shell has it
	case Exhausted:
		if r.Budget == BudgetWallTime {
			return sys.ExitCodeDeadlineExceeded
		}
	}
	if errors.Is(r.Err, context.DeadlineExceeded) {
		return sys.ExitCodeDeadlineExceeded
	}
	return sys.ExitCodeContextCanceled
}

// String returns the result in one line.
func (r *Result) String() string {
	switch r.Outcome {
	case Exited:
		return fmt.Sprintf("exit %d", r.ExitCode)
	case Signaled:
		return "signal " + r.Signal.String()
	case Trapped:
		if r.Trap.Kind == trap.Host && r.Trap.Message != "" {
			message, _, _ := strings.Cut(r.Trap.Message, "\n")
			return "trap: " + message
		}
		return "trap: " + r.Trap.Kind.String()
	case Exhausted:
		if r.Err != nil {
			return "out of " + string(r.Budget) + ": " + r.Err.Error()
		}
		return "out of " + string(r.Budget)
	}
	switch {
	case r.Err == nil:
		return r.Outcome.String()
	case r.Outcome == Deadlocked:
		return r.Err.Error()
	}
	return r.Outcome.String() + ": " + r.Err.Error()
}

// ExitError means that the call of an export ended the guest.
type ExitError struct {
	Result *Result
}

func (e *ExitError) Error() string { return "the guest ended: " + e.Result.String() }

// Unwrap returns the cause of the end: the [*Trap], a [*BudgetError], or Result.Err.
func (e *ExitError) Unwrap() error {
	switch {
	case e.Result.Trap != nil:
		return e.Result.Trap
	case e.Result.Outcome == Exhausted:
		return &BudgetError{Budget: e.Result.Budget}
	}
	return e.Result.Err
}

// Trap says where and why WebAssembly stopped a guest.
type Trap struct {
	Kind trap.Kind
	// Message is the engine's own.
	Message string
	// Stack holds the WebAssembly functions that were active, innermost first, one a line. "at
	// file:line:column" follows a function if the module has line tables of DWARF (clang -g, rustc
	// -g), and "at file:line" if it was compiled by Go. Names of Rust functions are demangled.
	Stack string
	// Err is what a Handler or HostFunction gave to Trap; nil for other traps, and in a replay.
	Err error
}

// Unwrap returns Err.
func (t *Trap) Unwrap() error { return t.Err }

func (t *Trap) Error() string {
	if t.Stack == "" {
		return "trap: " + t.Message
	}
	return "trap: " + t.Message + "\n" + t.Stack
}

// from says where the stack began, if the engine told nothing of it: the compiler does not of one
// that overflowed.
func (t *Trap) from(entry api.Function) {
	if t != nil && t.Stack == "" {
		t.Stack = safetext.Line(entry.Definition().DebugName()) + "\n"
	}
}

const (
	wasmErrorPrefix = "wasm error: "
	startPrefix     = "start function"
	stackHeader     = "wasm stack trace:"
	goStackHeader   = "Go runtime stack trace:"
	goPanicMark     = "(recovered by wazero)"
)

// parseTrap makes a Trap of an error with which wazero answered a call. It returns nil if the error
// is not a trap, but a panic of Go code that the guest called.
func (c *compilation) parseTrap(err error) *Trap {
	text := err.Error()
	message, stack, _ := strings.Cut(text, stackHeader)
	if rest, start := strings.CutPrefix(message, startPrefix); start {
		_, message, _ = strings.Cut(rest, "failed: ")
	}
	message = strings.TrimSpace(message)
	message, prefixed := strings.CutPrefix(message, wasmErrorPrefix)
	// The compiler answers a stack overflow with the bare reason, and no stack.
	if strings.HasSuffix(message, goPanicMark) || !prefixed && message != trap.StackOverflow.String() {
		return nil
	}
	t := &Trap{Message: safetext.Line(message), Stack: c.stack(stack)}
	for k := trap.Unreachable; k < trap.Host; k++ {
		if strings.Contains(message, k.String()) {
			t.Kind = k
			break
		}
	}
	return t
}

// waitTrap makes a Trap of an error of a wait or notify, which the Host answers in WebAssembly's
// place. It returns nil if err is none.
func (c *compilation) waitTrap(err error) *Trap {
	reason, ok := errors.AsType[sched.Trap](err)
	if !ok {
		return nil
	}
	_, stack, _ := strings.Cut(err.Error(), stackHeader)
	kind := trap.MemoryOutOfBounds
	if reason == sched.TrapUnaligned {
		kind = trap.UnalignedAtomic
	}
	return &Trap{Kind: kind, Message: kind.String(), Stack: c.stack(stack)}
}

// resultOf is the result that an error of a call of the guest's code stands for. It is nil if there
// is no error.
func (c *compilation) resultOf(err error) *Result {
	if err == nil {
		return nil
	}
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		switch exit.ExitCode() {
		case sys.ExitCodeContextCanceled, sys.ExitCodeDeadlineExceeded:
			return &Result{Outcome: Canceled, Err: err}
		}
		return &Result{Outcome: Exited, ExitCode: exit.ExitCode()}
	}
	if trap, ok := errors.AsType[*Trap](err); ok {
		_, stack, _ := strings.Cut(err.Error(), stackHeader)
		return &Result{Outcome: Trapped, Trap: &Trap{Kind: trap.Kind, Message: trap.Message, Stack: trap.Stack + c.stack(stack), Err: trap.Err}}
	}
	if trap := c.waitTrap(err); trap != nil {
		return &Result{Outcome: Trapped, Trap: trap}
	}
	if trap := c.parseTrap(err); trap != nil {
		return &Result{Outcome: Trapped, Trap: trap}
	}
	return &Result{Outcome: Failed, Err: err}
}

// LogValue implements [slog.LogValuer]: the outcome in words, and of the other fields those that
// mean something with it.
func (r *Result) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("outcome", r.Outcome.String())}
	switch r.Outcome {
	case Exited:
		attrs = append(attrs, slog.Uint64("exit_code", uint64(r.ExitCode)))
	case Signaled:
		attrs = append(attrs, slog.String("signal", r.Signal.String()))
	case Trapped:
		attrs = append(attrs, slog.String("trap", r.Trap.Kind.String()), slog.String("stack", r.Trap.Stack))
	case Exhausted:
		attrs = append(attrs, slog.String("budget", string(r.Budget)))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", r.Err.Error()))
	}
	if r.Stderr != "" {
		attrs = append(attrs, slog.String("stderr", r.Stderr))
	}
	if r.Hash != ([32]byte{}) {
		attrs = append(attrs, slog.String("hash", hex.EncodeToString(r.Hash[:])))
	}
	return slog.GroupValue(append(attrs, slog.Uint64("thread", uint64(r.Thread)))...)
}
