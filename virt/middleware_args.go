package virt

import (
	"fmt"
	gopath "path"
	"strings"

	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxContent is how many bytes [Call.Bytes] shows of what a guest writes in one call. The rest is not written by that
// call, which tells the guest so, as any write may.
const MaxContent = 1 << 24

// width is the number of WebAssembly parameters.
func (f *Function) width() (n int) {
	for _, p := range f.Params {
		if n++; p.Kind.pair() {
			n++
		}
	}
	return n
}

// only returns the function's one parameter of a kind, and its place among the WebAssembly parameters.
func (f *Function) only(k Kind) (found *Param, at int) {
	i := 0
	for n := range f.Params {
		p := &f.Params[n]
		if p.Kind == k {
			if found != nil {
				return nil, 0
			}
			found, at = p, i
		}
		if i++; p.Kind.pair() {
			i++
		}
	}
	return found, at
}

// value reports whether the parameter is a value, and not a pointer.
func (k Kind) value() bool { return k < KindPath }

// stored is the size of what is stored at the pointer of a kind, where that is fixed, else 0.
func (k Kind) stored() uint32 {
	switch k {
	case KindOutSize, KindOutFd:
		return 4
	case KindOutFilesize, KindOutTimestamp:
		return 8
	case KindOutRoflags:
		return 2
	case KindOutFdstat:
		return wasip1.SizeFdstat
	case KindOutFilestat:
		return wasip1.SizeFilestat
	case KindOutPrestat:
		return wasip1.SizePrestat
	}
	return 0
}

// number reports whether what is stored at the pointer is a number.
func (k Kind) number() bool { return k >= KindOutSize && k <= KindOutRoflags }

// param finds a parameter and its place among the WebAssembly parameters, and wants is's kind.
func (c *Call) param(name, what string, is func(Kind) bool) (*Param, int) {
	i := 0
	for n := range c.f.Params {
		p := &c.f.Params[n]
		if p.Name == name && is(p.Kind) {
			return p, i
		}
		if i++; p.Kind.pair() {
			i++
		}
	}
	panic(fmt.Sprintf("%s has no %s named %q", c.f.Name, what, name))
}

// Uint64 is a parameter that is a value.
func (c *Call) Uint64(name string) uint64 {
	p, i := c.param(name, "value", Kind.value)
	if p.Kind.wide() {
		return c.p[i]
	}
	return uint64(uint32(c.p[i]))
}

// Uint32 is a parameter that is a value of 32 bits.
func (c *Call) Uint32(name string) uint32 { return uint32(c.Uint64(name)) }

// Fd is a parameter that is a descriptor.
func (c *Call) Fd(name string) uint32 {
	_, i := c.param(name, "descriptor", func(k Kind) bool { return k == KindFd })
	return uint32(c.p[i])
}

// FdPath returns the path with which the descriptor in a parameter was opened, or "" if it is not open.
func (c *Call) FdPath(name string) string { return c.t.pathOf(c.Fd(name)) }

func (t *thread) pathOf(fd uint32) string {
	if f := t.files.Table.Get(fd); f != nil {
		return f.Path()
	}
	return ""
}

// SetUint64 changes a parameter that is a value, for the layers below.
func (c *Call) SetUint64(name string, v uint64) {
	p, i := c.param(name, "value", Kind.value)
	if !p.Kind.wide() {
		v = uint64(uint32(v))
	}
	c.p[i] = v
}

// SetUint32 changes a parameter that is a value of 32 bits, for the layers below.
func (c *Call) SetUint32(name string, v uint32) { c.SetUint64(name, uint64(v)) }

// Result is a number that the function stores, as it is in guest memory now. Errors: EFAULT.
func (c *Call) Result(name string) (uint64, wasip1.Errno) {
	p, i := c.param(name, "number that it stores", Kind.number)
	return load(c.View(), p.Kind, uint32(c.p[i]))
}

func load(v *memory.View, k Kind, ptr uint32) (uint64, wasip1.Errno) {
	switch k.stored() {
	case 2:
		n, errno := v.Uint16(ptr)
		return uint64(n), errno
	case 4:
		n, errno := v.Uint32(ptr)
		return uint64(n), errno
	}
	return v.Uint64(ptr)
}

// SetResult stores a number in the function's place, or over what it stored. Errors: EFAULT.
func (c *Call) SetResult(name string, n uint64) wasip1.Errno {
	p, i := c.param(name, "number that it stores", Kind.number)
	switch ptr := uint32(c.p[i]); p.Kind.stored() {
	case 2:
		return c.View().PutUint16(ptr, uint16(n))
	case 4:
		return c.View().PutUint32(ptr, uint32(n))
	default:
		return c.View().PutUint64(ptr, n)
	}
}

// Path is a parameter that is a path, as the guest gave it: relative to the descriptor before it. What it answers is what
// the layers below get, though another thread should change guest memory meanwhile. Errors: those of [memory.View.Path].
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
	_, i := c.param(name, "path", func(k Kind) bool { return k == KindPath })
	n := 0
	for _, p := range c.f.Params {
		if p.Kind == KindPath {
			if p.Name == name {
				break
			}
			n++
		}
	}
	return &c.given.Paths[n], i
}

// SetPath changes a path for the layers below. Guest memory stays as it is. A path that a guest could not have given (with a NUL in
// it, say) is answered as if it had.
func (c *Call) SetPath(name, path string) {
	g, _ := c.pathParam(name)
	*g, c.changed = memlink.Path{Set: true, Path: path, Errno: memory.CheckPath(path)}, true
}

// FullPath is a path from the guest's root: that of the descriptor before it, joined with the path. "." and ".." are taken
// out by their text; no symbolic link is followed. The target that path_symlink stores is taken from where the link will be.
func (c *Call) FullPath(name string) (string, wasip1.Errno) {
	p, errno := c.joined(name)
	if errno != wasip1.ESUCCESS || p == "" {
		return p, errno
	}
	return gopath.Clean(p), errno
}

// joined is a path behind that of its descriptor.
func (c *Call) joined(name string) (string, wasip1.Errno) {
	p, errno := c.Path(name)
	if errno != wasip1.ESUCCESS {
		return "", errno
	}
	dir, ok := "", false
	i := 0
	for _, each := range c.f.Params {
		switch {
		case each.Kind == KindFd:
			dir, ok = c.t.pathOf(uint32(c.p[i])), true
		case each.Name == name && ok:
			return dir + "/" + p, wasip1.ESUCCESS
		case each.Name == name && gopath.IsAbs(p):
			return p, wasip1.ESUCCESS
		case each.Kind == KindPath && !ok:
		case each.Kind == KindPath:
			// The path that was asked for came before any descriptor: it is the target of this link.
			link, errno := c.joined(each.Name)
			return gopath.Dir(link) + "/" + p, errno
		}
		if i++; each.Kind.pair() {
			i++
		}
	}
	return p, wasip1.ESUCCESS
}

// Paths are the files that the call is about: the full paths of its path parameters or, where it has none, the paths of its
// descriptors. Paths that cannot be read, and descriptors that are not open, are left out.
func (c *Call) Paths() []string {
	var paths, fds []string
	i := 0
	for _, p := range c.f.Params {
		switch p.Kind {
		case KindPath:
			if full, errno := c.FullPath(p.Name); errno == wasip1.ESUCCESS {
				paths = append(paths, full)
			}
		case KindFd:
			if at := c.t.pathOf(uint32(c.p[i])); at != "" {
				fds = append(fds, at)
			}
		}
		if i++; p.Kind.pair() {
			i++
		}
	}
	if paths == nil {
		return fds
	}
	return paths
}

// Pointer is where a parameter points to, and the length or count that comes with it, if any.
func (c *Call) Pointer(name string) (ptr, n uint32) {
	p, i := c.param(name, "pointer", func(k Kind) bool { return !k.value() })
	if p.Kind.pair() {
		n = uint32(c.p[i+1])
	}
	return uint32(c.p[i]), n
}
