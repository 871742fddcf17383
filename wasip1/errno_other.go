//go:build js || plan9

package wasip1

import (
	"errors"
	"io/fs"
)

// fromSyscallIs maps an error of a system whose numbers have no table here by what
// package syscall says it is.
func fromSyscallIs(e error) Errno {
	switch {
	case errors.Is(e, fs.ErrNotExist):
		return ENOENT
	case errors.Is(e, fs.ErrExist):
		return EEXIST
	case errors.Is(e, fs.ErrPermission):
		return EACCES
	case errors.Is(e, errors.ErrUnsupported):
		return ENOTSUP
	}
	return EIO
}
