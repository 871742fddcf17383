package process

import (
	"encoding/binary"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ArgsGet writes the arguments to buf, each with a NUL, and their addresses to argv
// (preview1: args_get). It is EFAULT, and nothing is written, if either does not fit.
func ArgsGet(a *Strings, v *memory.View, argv, buf uint32) wasip1.Errno {
	return get(a, v, argv, buf)
}

// ArgsSizesGet writes the number of the arguments to count and the number of their bytes,
// NULs included, to size (preview1: args_sizes_get). It is EFAULT if either does not fit.
func ArgsSizesGet(a *Strings, v *memory.View, count, size uint32) wasip1.Errno {
	return sizes(a, v, count, size)
}

// EnvironGet writes the variables to buf, each as NAME=value with a NUL, and their
// addresses to environ (preview1: environ_get). It is EFAULT, and nothing is written,
// if either does not fit.
func EnvironGet(e *Strings, v *memory.View, environ, buf uint32) wasip1.Errno {
	return get(e, v, environ, buf)
}

// EnvironSizesGet writes the number of the variables to count and the number of their
// bytes, NULs included, to size (preview1: environ_sizes_get). It is EFAULT if either
// does not fit.
func EnvironSizesGet(e *Strings, v *memory.View, count, size uint32) wasip1.Errno {
	return sizes(e, v, count, size)
}

func get(s *Strings, v *memory.View, ptrs, buf uint32) wasip1.Errno {
	if s == nil {
		s = &Strings{}
	}
	p, errno := v.Window(ptrs, uint32(len(s.offs))*4)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	b, errno := v.Window(buf, uint32(len(s.buf)))
	if errno != wasip1.ESUCCESS {
		return errno
	}
	copy(b, s.buf)
	for _, off := range s.offs {
		binary.LittleEndian.PutUint32(p, buf+off)
		p = p[4:]
	}
	v.Wrote(buf, uint32(len(s.buf)))
	v.Wrote(ptrs, uint32(len(s.offs))*4)
	return wasip1.ESUCCESS
}

func sizes(s *Strings, v *memory.View, count, size uint32) wasip1.Errno {
	if !v.Has(size, 4) {
		return wasip1.EFAULT
	}
	if errno := v.PutUint32(count, uint32(s.Count())); errno != wasip1.ESUCCESS {
		return errno
	}
	return v.PutUint32(size, uint32(s.Size()))
}

// ProcExit ends the guest with a code (preview1: proc_exit): it tells the hook and
// returns Exit.
func ProcExit(hooks *Hooks, code uint32) error {
	if hooks != nil && hooks.Exit != nil {
		hooks.Exit(code)
	}
	return Exit{Code: code}
}

// ProcRaise raises a signal in the guest (preview1: proc_raise). It returns nil if the
// guest goes on, Raised if it ends, and wasip1.EINVAL for an unknown signal. SIGNONE
// does nothing.
func ProcRaise(hooks *Hooks, sig wasip1.Signal) error {
	if !sig.Valid() {
		return wasip1.EINVAL
	}
	if sig == wasip1.SIGNONE {
		return nil
	}
	action := ActionDefault
	if hooks != nil && hooks.Signal != nil {
		action = hooks.Signal(sig)
	}
	if action == ActionDefault {
		action = DefaultAction(sig)
	}
	if action == ActionIgnore {
		return nil
	}
	return Raised{Signal: sig}
}
