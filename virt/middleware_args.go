package virt

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// maxContent is how many bytes [Call.Bytes] shows of what a guest writes in one call. The rest is
// not written by that call, which tells the guest so, as any write may.
const maxContent = 1 << 24

// stored is the size of what is stored at the pointer of a kind, where that is fixed, else 0.
func stored(k abi.Kind) uint32 {
	switch k {
	case abi.KindOutSize, abi.KindOutFd, abi.KindOutNumber:
		return 4
	case abi.KindOutFilesize, abi.KindOutTimestamp:
		return 8
	case abi.KindOutRoflags:
		return 2
	case abi.KindOutFdstat:
		return wasip1.SizeFdstat
	case abi.KindOutFilestat:
		return wasip1.SizeFilestat
	case abi.KindOutPrestat:
		return wasip1.SizePrestat
	}
	return 0
}

// param finds a parameter and its place among the WebAssembly parameters, and wants is's kind.
func (c *Call) param(name, what string, is func(abi.Kind) bool) (*abi.Param, int) {
	for at, p := range c.f.All() {
		if p.Name == name && is(p.Kind) {
			return p, at
		}
	}
	panic(fmt.Sprintf("%s has no %s named %q", c.f.Name, what, name))
}

// Uint64 is a parameter that is a value.
func (c *Call) Uint64(name string) uint64 {
	p, i := c.param(name, "value", abi.Kind.Value)
	if p.Kind.Wide() {
		return c.p[i]
	}
	return uint64(uint32(c.p[i]))
}

// Uint32 is a parameter that is a value of 32 bits.
func (c *Call) Uint32(name string) uint32 { return uint32(c.Uint64(name)) }

// Fd is a parameter that is a descriptor.
func (c *Call) Fd(name string) uint32 {
	_, i := c.param(name, "descriptor", func(k abi.Kind) bool { return k == abi.KindFd })
	return uint32(c.p[i])
}

// FdPath returns the path with which the descriptor in a parameter was opened, or "" if it is not
// open.
func (c *Call) FdPath(name string) string { return c.t.pathOf(c.Fd(name)) }

func (t *thread) pathOf(fd uint32) string {
	if f := t.files.Table.Get(fd); f != nil {
		return f.Path()
	}
	return ""
}

// SetUint64 changes a parameter that is a value, for the layers below.
func (c *Call) SetUint64(name string, v uint64) {
	p, i := c.param(name, "value", abi.Kind.Value)
	if !p.Kind.Wide() {
		v = uint64(uint32(v))
	}
	c.p[i] = v
}

// SetUint32 changes a parameter that is a value of 32 bits, for the layers below.
func (c *Call) SetUint32(name string, v uint32) { c.SetUint64(name, uint64(v)) }

// Result is a number that the function stores, as it is in guest memory now. Errors: EFAULT.
func (c *Call) Result(name string) (uint64, wasip1.Errno) {
	p, i := c.param(name, "number that it stores", abi.Kind.Number)
	return load(c.View(), p.Kind, uint32(c.p[i]))
}

func load(v *memory.View, k abi.Kind, ptr uint32) (uint64, wasip1.Errno) {
	switch stored(k) {
	case 2:
		n, errno := v.Uint16(ptr)
		return uint64(n), errno
	case 4:
		n, errno := v.Uint32(ptr)
		return uint64(n), errno
	}
	return v.Uint64(ptr)
}

// SetResult stores a number as the function's result, or overwrites the number that it stored.
// Errors: EFAULT.
func (c *Call) SetResult(name string, n uint64) wasip1.Errno {
	p, i := c.param(name, "number that it stores", abi.Kind.Number)
	switch ptr := uint32(c.p[i]); stored(p.Kind) {
	case 2:
		return c.View().PutUint16(ptr, uint16(n))
	case 4:
		return c.View().PutUint32(ptr, uint32(n))
	default:
		return c.View().PutUint64(ptr, n)
	}
}

// Path is a parameter that is a path, as the guest gave it: relative to the descriptor before it.
// The layers below get the same path, even if another thread changes guest memory meanwhile.
// Errors: those of [memory.View.Path].
func (c *Call) Path(name string) (string, wasip1.Errno) {
	g, i := c.pathParam(name)
	if !g.Set {
		p, errno := c.View().Path(uint32(c.p[i]), uint32(c.p[i+1]), &c.scratch)
		// The scratch is used again; the string may be kept.
		*g = memlink.Path{Set: true, Path: strings.Clone(p), Errno: errno}
	}
	return g.Path, g.Errno
}

// pathParam is what is given for a path, and the path's place among the WebAssembly parameters.
func (c *Call) pathParam(name string) (*memlink.Path, int) {
	_, i := c.param(name, "path", func(k abi.Kind) bool { return k == abi.KindPath })
	n := 0
	for _, p := range c.f.Params {
		if p.Kind == abi.KindPath {
			if p.Name == name {
				break
			}
			n++
		}
	}
	return &c.given.Paths[n], i
}

// SetPath changes a path for the layers below. Guest memory stays as it is. An invalid path, for
// example with a NUL in it, gets the errno that it would get from a guest.
func (c *Call) SetPath(name, path string) {
	g, _ := c.pathParam(name)
	*g, c.changed = memlink.Path{Set: true, Path: path, Errno: memory.CheckPath(path)}, true
}

// FullPath is a path from the guest's root: that of the descriptor before it, joined with the path.
// "." and ".." are removed by their text; no symbolic link is followed. The target that
// path_symlink stores is relative to where the link will be.
func (c *Call) FullPath(name string) (string, wasip1.Errno) {
	if _, errno := c.Path(name); errno != wasip1.ESUCCESS {
		return "", errno
	}
	for _, p := range c.subject().paths {
		if p.param.Name == name {
			return p.text(c.t), wasip1.ESUCCESS
		}
	}
	// Where the link will be cannot be read.
	for _, p := range c.f.All() {
		if p.Kind == abi.KindPath {
			if _, errno := c.Path(p.Name); errno != wasip1.ESUCCESS {
				return "", errno
			}
		}
	}
	return "", wasip1.EINVAL
}

// subject says which files the call is about, by paths that stay as they were read.
func (c *Call) subject() subject {
	return c.f.subject(c.p, func(p *abi.Param, _ int) (string, bool) {
		text, errno := c.Path(p.Name)
		return text, errno == wasip1.ESUCCESS
	})
}

// Paths are the files that the call is about: the full paths of its path parameters or, if it has
// none, the paths of its descriptors. Paths that cannot be read, and descriptors that are not open,
// are left out.
func (c *Call) Paths() []string {
	s := c.subject()
	return s.texts(c.t)
}

// Pointer is where a parameter points to, and the length or count that comes with it, if any.
func (c *Call) Pointer(name string) (ptr, n uint32) {
	p, i := c.param(name, "pointer", func(k abi.Kind) bool { return !k.Value() })
	if p.Kind.Pair() {
		n = uint32(c.p[i+1])
	}
	return uint32(c.p[i]), n
}
