package vfs

import (
	gopath "path"
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// The walker calls Guard with the resolved path of each path argument before it performs the
// operation or reports its failure. What it answers, where that is not nil, is the operation's
// answer, and nothing is done.
//
// A place is the path from the guest's root by which the walk really went, without links, "." and
// ".."; the last component is not followed where the operation does not follow it. As the walk
// holds the directories it went through, nobody can exchange them for others between the question
// and the operation. Names can change all the same: a directory that was renamed after it was
// opened, or walked through, keeps the name it had. Where a walk failed, what was left of the path
// is taken as it stands.
//
// A Guard may be asked several times for one operation. It must not use the [Caller].
type Guard func(places ...string) error

// SetGuard sets who is asked. It is called before the Caller is used.
func (c *Caller) SetGuard(g Guard) { c.walk.guard, c.walkTo.guard = g, g }

// Resolve returns where path leads from the directory that fd stands for, symbolic links followed;
// see [Guard]. It is for a Caller that has a Guard, which is not asked, and between calls only.
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

// Resolved returns where the path with which f was opened led, where that was noted (see
// [Caller.SetGuard]), else [OpenFile.Path]. It is not kept up to date when files are renamed.
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
func (w *walker) lookupPermitted(name string, o *opening) (f found, made bool, err error) {
	f, err = w.lookup(name)
	if err == nil || o.oflags&wasip1.OCreat == 0 || wasip1.FromError(err) != wasip1.ENOENT {
		return f, false, err
	}
	if err := w.permit(nil); err != nil {
		return found{}, false, err
	}
	return w.lookupOrMake(name, o)
}
