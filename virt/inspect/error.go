package inspect

import (
	"errors"
	"fmt"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// Error reports that a module is malformed, exceeds [Limits], or was refused by the engine.
type Error struct {
	// Offset is the position in the module, in bytes from its first; -1 where it is not known.
	Offset int
	// Section names the section at Offset: "type", "import", "code" and so on; "header" before the
	// first; "" where it is not known.
	Section string
	// Reason says what is wrong.
	Reason string
	// Limit is the name of the field of [Limits] that the module exceeds; "" where it exceeds none.
	Limit string

	// Err is the engine's error, if it was the engine that refused the module.
	Err error
}

// Error returns the place and the reason in one line. Names of the module's are escaped and
// shortened.
func (e *Error) Error() string {
	text := "module: "
	if e.Section != "" {
		text += e.Section + " section, "
	}
	if e.Offset >= 0 {
		text += fmt.Sprintf("offset %#x: ", e.Offset)
	}
	text += safetext.Line(e.Reason)
	switch e.Limit {
	case "":
		return text
	case "FunctionCost", "TotalCost":
		return text + ": raise inspect.Limits." + e.Limit + " by virt.WithModuleLimits, or use virt.WithInterpreter"
	case "NoThrowRef":
		return text + ": if you trust the module, unset inspect.Limits.NoThrowRef by virt.WithModuleLimits"
	}
	return text + ": raise inspect.Limits." + e.Limit + " by virt.WithModuleLimits"
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// FromError returns errors of the parser of modules as an [*Error], and others as they are.
func FromError(err error) error {
	if format, ok := errors.AsType[*wasmbin.FormatError](err); ok {
		return &Error{Offset: format.Offset, Section: format.Section, Reason: format.Msg}
	}
	if limit, ok := errors.AsType[*wasmbin.LimitError](err); ok {
		return &Error{Offset: limit.Offset, Section: limit.Section, Reason: limit.Reason(), Limit: limit.Limit}
	}
	if reserved, ok := errors.AsType[*wasmbin.ReservedError](err); ok {
		return &Error{Offset: -1, Reason: reserved.Reason()}
	}
	return err
}
