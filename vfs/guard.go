package vfs

import (
	gopath "path"
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// The walker calls Guard with the resolved path of each path argument before it performs the
// operation or reports its failure. If Guard returns an error, the operation returns it and does
// nothing.
//
// A place is the path from the guest's root that the walk took, without links, "." and "..". The
// last component is followed only if the operation follows it. The walk holds the directories on
// its way, so that nobody can exchange them between the question and the operation. Their names can
// change: a directory that was renamed after it was opened or walked through keeps its old name
// here. If a walk failed, the rest of the path is appended as it is. A place of more than
// four times [MaxPath] bytes is ENAMETOOLONG, and the Guard is not asked.
//
// A Guard may be called several times for one operation. It must not use the Caller.
type Guard func(places ...string) error

// SetGuard sets the function that the walker asks. Call it before the Caller is used.
func (c *Caller) SetGuard(g Guard) { c.walk.guard, c.walkTo.guard = g, g }

// Resolve returns the path to which path leads from the directory fd, with symbolic links followed;
// see [Guard]. The Caller must have a Guard; Resolve does not call it. Call Resolve only between
// calls.
func (c *Caller) Resolve(fd uint32, path string) string {
	base := c.Table.get(fd)
	if base == nil {
		return gopath.Clean(path)
	}
	if base.dir == nil {
		return gopath.Join(base.Resolved(), path)
	}
	w := &c.walk
	f, err := w.find(base, path, true)
	place := w.where()
	if err != nil {
		w.end()
		return place
	}
	w.done(f)
	return place
}

// Resolved returns the path to which the opening of f led, without links, "." and "..". It is known
// only if f was opened by a [Caller] with a [Guard]; otherwise Resolved returns [OpenFile.Path].
// Renaming does not change it.
func (f *OpenFile) Resolved() string {
	if f.resolved != "" {
		return f.resolved
	}
	return f.Path()
}

// where is the place to which the walk has come; see Guard.
func (w *walker) where() string {
	from := "/"
	if !w.restarted {
		from = w.start.Resolved()
	}
	names := w.names[:min(len(w.names), max(len(w.stack)-1, 0))]
	return gopath.Join(from, strings.Join(names, "/"), w.final)
}

// maxPlace is how long a place may be, in bytes: an open file keeps all of its own.
const maxPlace = 4 * MaxPath

// entered notes the name of the directory at the top. It stays out of the loop of walks that nobody
// guards.
//
//go:noinline
func (w *walker) entered(name string) { w.names = append(w.names[:len(w.stack)-2], name) }

// failed notes what is left of the path where a walk ends early, at name.
func (w *walker) failed(name string) {
	w.final = name
	if w.rest != "" {
		w.final += "/" + w.rest
	}
	for i := len(w.pending) - 1; i >= 0; i-- {
		w.final += "/" + w.pending[i]
	}
}

// permit asks the Guard about the place to which the walk has come, and returns err where it has
// nothing against it.
func (w *walker) permit(err error) error {
	if w.guard == nil {
		return err
	}
	w.resolved = w.where()
	if len(w.resolved) > maxPlace {
		return wasip1.ENAMETOOLONG
	}
	if e := w.guard(w.resolved); e != nil {
		return e
	}
	return err
}

// permitBoth is permit for two walks at once.
func (w *walker) permitBoth(to *walker, err error) error {
	if w.guard == nil {
		return err
	}
	if e := w.guard(w.where(), to.where()); e != nil {
		return e
	}
	return err
}

// permitFound is permit after find, of which it lets go what is not permitted.
func (w *walker) permitFound(f found, err error) (found, error) {
	e := w.permit(err)
	if e != nil && err == nil {
		if f.m.releases && !w.holds(f.node) {
			f.m.drop(f.node)
		}
		return found{}, e
	}
	return f, e
}

// lookupPermitted is lookupOrMake where there is a Guard, which is asked before a file is made.
func (w *walker) lookupPermitted(name string, o *opening) (f found, file File, made bool, err error) {
	f, err = w.lookup(name)
	if err == nil || o.oflags&wasip1.OCreat == 0 || wasip1.FromError(err) != wasip1.ENOENT {
		return f, nil, false, err
	}
	if err := w.permit(nil); err != nil {
		return found{}, nil, false, err
	}
	return w.lookupOrMake(name, o)
}
