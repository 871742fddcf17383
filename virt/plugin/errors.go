package plugin

import (
	"fmt"

	"github.com/wasivirt/wasivirt/internal/safetext"
)

// Error is an error that the guest returned.
type Error struct {
	// Func is the export.
	Func string
	// Message is the text that the guest returned, not escaped.
	Message string
}

// Error returns the text, escaped and of bounded length.
func (e *Error) Error() string { return safetext.Line(e.Message) }

// MemoryError means that a pointer, length or object of the guest's cannot be used.
type MemoryError struct {
	// Func is the function that was called.
	Func string
	// Ptr and Len are the range in the guest's memory. Len is in bytes.
	Ptr uint32
	Len uint64
	// Err is wasip1.EFAULT if the range is not in the guest's memory, EOVERFLOW if it is larger
	// than [WithMaxSize], ENOMEM if the guest's allocator returns 0, and EINVAL if there is no
	// object of the expected kind.
	Err error
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%s: %d bytes at %#x of the guest: %v", safetext.Name(e.Func), e.Len, e.Ptr, e.Err)
}

// Unwrap returns Err.
func (e *MemoryError) Unwrap() error { return e.Err }
