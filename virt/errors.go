package virt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// Errors of Hosts and guests. Match them with [errors.Is].
var (
	// ErrBusy means that another call of the guest's exports is under way. See
	// [WithSerializedCalls].
	ErrBusy = errors.New("another call of this guest is under way: wait for it, or make the guest WithSerializedCalls")
	// ErrClosed means that the Host or the guest has been closed. It is [sched.ErrClosed].
	ErrClosed = sched.ErrClosed
	// ErrNotCommand means that [Guest.Run] was called for a module without an exported function
	// _start.
	ErrNotCommand = errors.New("the module exports no _start: it is a reactor; use Instantiate, and Call for its exports")
	// ErrAlreadyRun means that [Guest.Run] was called a second time.
	ErrAlreadyRun = errors.New("the guest has run: make another one of the module with Host.Instantiate")
	// ErrNoExport means that the module exports no function of the name that was called.
	ErrNoExport = errors.New("the module exports no such function: inspect.Module lists its exports")
	// ErrParams means that the parameters of a call do not fit the type of the exported function.
	ErrParams = errors.New("the parameters do not fit the function")
	// ErrOtherHost means that a module or guest belongs to another Host.
	ErrOtherHost = errors.New("it belongs to another Host: use the Host that made it, or a sibling of that")
)

// ImportError means that a module imports what its Host does not answer. It lists all such imports.
type ImportError struct {
	// Missing are the imports that nothing provides. See [WithFunctions] and [WithModules].
	Missing []inspect.Import
	// Denied are the imports that [WithAllowedImports] does not allow.
	Denied []inspect.Import
	// Foreign are the imports of another version of WASI, and of modules that are reserved for the
	// Host.
	Foreign []inspect.Import
}

// Error names up to five imports of each kind, and says what to do.
func (e *ImportError) Error() string {
	var parts []string
	if e.Foreign != nil {
		parts = append(parts, foreignText(e.Foreign[0]))
	}
	if e.Missing != nil {
		parts = append(parts, fmt.Sprintf("the module imports what nobody provides: %s: "+
			"provide it with WithFunctions, WithModules or WithRuntime", list(importNames(e.Missing), 5)))
	}
	if e.Denied != nil {
		parts = append(parts, fmt.Sprintf("the module imports what this sealed Host does not grant: %s: "+
			"grant it with WithAllowedImports, or run the module elsewhere", list(importNames(e.Denied), 5)))
	}
	return strings.Join(parts, "; ")
}

func foreignText(im inspect.Import) string {
	switch {
	case im.Module == "wasi_unstable":
		return fmt.Sprintf("the module imports wasi_unstable, the preview that came before %s and laid out its structures "+
			"differently: build it with a toolchain of 2020 or later", abi.ModuleName)
	case strings.HasPrefix(im.Module, "wasi:"):
		return fmt.Sprintf("the module imports %s, which is preview 2: build it for preview 1 (wasm32-wasip1)",
			safetext.Quote(im.Module))
	}
	return fmt.Sprintf("the module imports from %q, which is reserved for the Host", reservedModule)
}

func importNames(imports []inspect.Import) []string {
	names := make([]string, len(imports))
	for i, im := range imports {
		names[i] = importText(im) + im.Type()
		if im.Module == abi.ModuleName && im.Subsystem == "" {
			names[i] += ", which is no function of preview1"
		}
	}
	return names
}

// BudgetError means that a budget is used up. It has ended a guest, or a guest could not be made.
type BudgetError struct {
	Budget Budget
	// Reason says why the guest could not be made. It is "" if the budget ended the guest.
	Reason string
	// Err is the errno that goes with the refusal, or nil.
	Err error
}

func (e *BudgetError) Error() string {
	if e.Reason == "" {
		return "out of " + string(e.Budget)
	}
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

// Is makes the end of the budget of wall time a [context.DeadlineExceeded].
func (e *BudgetError) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Budget == BudgetWallTime
}

// Unwrap returns Err.
func (e *BudgetError) Unwrap() error { return e.Err }
