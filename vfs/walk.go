package vfs

import (
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// position is a directory on the way of a walk.
type position struct {
	dir Directory
	m   *mount
	// at is the directory's place in the tree of mount points, nil where none lies at or below it,
	// so that ordinary directories pay nothing for mounts.
	at *mountPoint
}

// covered reports whether name, in the directory at pos, is a mount point or leads to one.
func (pos *position) covered(name string) bool { return pos.at != nil && pos.at.child(name) != nil }

// found is the node that a name stands for.
type found struct {
	node Node
	m    *mount
	at   *mountPoint
}

// maxDepth is how many directories a walk can be below where it started: as many as a path of
// MaxPath bytes has components. Symbolic links could make it forty times as many, each of which may
// be a descriptor of the machine. POSIX: a link that makes a path longer than PATH_MAX may be
// ENAMETOOLONG.
const maxDepth = MaxPath / 2

// walker resolves paths. It keeps the directories that it went through in a stack, so that ".."
// leads where the walk came from whatever is renamed meanwhile, and never further than where it
// started.
//
// A walk has the form
//
//	w.begin(base, path); name, err := w.last(); … w.lookup(name) … w.link(node) and w.last() again …; w.end()
//
// and is spelled out by the operations, since what a missing or linked last component means differs
// among them. Nothing is allocated: names are parts of the path, and the stack is used again.
type walker struct {
	stack []position
	rest  string // what is left of the path, without slashes at either end
	links int
	slash bool // the path ends with a slash: what it names must be a directory
	up    bool // the last component was ".."
	clamp bool // ".." at the start stays there instead of failing
	start *OpenFile
	held  bool // start is kept open for the walk, because its node could be released

	spare *OpenFile // closed, and nobody knows it any more

	pending []string // what comes after the targets of links that are being walked, last first

	// What follows is for guard, and is noted where there is one only.
	guard     Guard
	names     []string // by which the walk went into stack[1:]; what is left of an earlier walk may stand behind
	final     string   // the last component, or where the walk failed all that was left
	resolved  string   // what guard was asked about last
	restarted bool     // the walk began anew at the guest's root

	inline [16]position
}

// begin starts a walk along path from the directory that base has open. Errors: ENOENT for an empty
// path, ENAMETOOLONG, EPERM for an absolute one.
func (w *walker) begin(base *OpenFile, path string) error {
	if w.stack == nil {
		w.stack = w.inline[:0]
	}
	w.start = base
	if w.guard != nil {
		w.final, w.names, w.restarted = path, w.names[:0], false
	}
	if base.m.releases {
		if !base.acquire() {
			return wasip1.EBADF
		}
		w.held = true
	}
	w.stack = append(w.stack[:0], base.dir.now())
	w.links, w.slash, w.up, w.clamp = 0, false, false, base.dir.host
	if len(w.pending) > 0 {
		w.pending = w.pending[:0]
	}
	if len(path) == 0 {
		return wasip1.ENOENT
	}
	if path[0] == '/' {
		return wasip1.EPERM
	}
	if len(path) > MaxPath {
		return wasip1.ENAMETOOLONG
	}
	w.rest = path
	if path[len(path)-1] == '/' {
		w.slash = true
		w.rest = strings.TrimRight(path, "/")
	}
	return nil
}

// end releases what the walk still holds. Every walk ends with it, also those that failed.
func (w *walker) end() {
	w.unwind()
	if w.held {
		w.held = false
		w.start.release()
	}
}

// unwind goes back to the start.
func (w *walker) unwind() {
	for i := 1; i < len(w.stack); i++ {
		if p := &w.stack[i]; p.m.releases {
			p.m.drop(p.dir)
		}
	}
	w.stack = w.stack[:min(1, len(w.stack))]
}

// top returns the directory in which the walk is.
func (w *walker) top() *position { return &w.stack[len(w.stack)-1] }

// last walks through all components but the last and returns that one. It returns "" if the path
// ends in "." or "..", or in the root: then the top of the stack is what it names.
func (w *walker) last() (string, error) {
	for {
		name := w.rest
		i := strings.IndexByte(name, '/')
		if i < 0 {
			if len(w.pending) == 0 {
				return w.lastName(name)
			}
			w.rest = w.pending[len(w.pending)-1]
			w.pending = w.pending[:len(w.pending)-1]
		} else {
			name, w.rest = name[:i], name[i+1:]
			for len(w.rest) > 0 && w.rest[0] == '/' {
				w.rest = w.rest[1:]
			}
		}
		if err := w.enter(name); err != nil {
			if w.guard != nil {
				w.failed(name)
			}
			return "", err
		}
	}
}

func (w *walker) lastName(name string) (string, error) {
	w.rest, w.up = "", false
	if w.guard != nil {
		w.final = name
	}
	switch name {
	case "", ".":
		return "", nil
	case "..":
		w.up = true
		w.final = "."
		return "", w.parent()
	}
	return name, nil
}

// enter goes into what name stands for, which must lead to a directory.
func (w *walker) enter(name string) error {
	if len(name) <= 2 {
		switch name {
		case "", ".":
			return nil
		case "..":
			return w.parent()
		}
	}
	var f found
	var err error
	if top := w.top(); top.at == nil && len(name) <= MaxName {
		// What lookup does where there are no mounts, without the call.
		f.m = top.m
		f.node, err = top.dir.Lookup(name)
	} else {
		f, err = w.lookup(name)
	}
	if err != nil {
		return err
	}
	if dir, ok := f.node.(Directory); ok && f.node.Type() == wasip1.FiletypeDirectory {
		if len(w.stack) > maxDepth {
			f.m.drop(f.node)
			return wasip1.ENAMETOOLONG
		}
		w.stack = append(w.stack, position{dir: dir, m: f.m, at: f.at})
		if w.guard != nil {
			w.entered(name)
		}
		return nil
	}
	if f.node.Type() == wasip1.FiletypeSymbolicLink {
		return w.link(f)
	}
	f.m.drop(f.node)
	return wasip1.ENOTDIR
}

// lookup finds what name stands for in the top directory. It does not follow it.
func (w *walker) lookup(name string) (found, error) {
	if len(name) > MaxName {
		return found{}, wasip1.ENAMETOOLONG
	}
	top := w.top()
	if top.at != nil {
		if c := top.at.child(name); c != nil {
			return c.resolve(top), nil
		}
	}
	node, err := top.dir.Lookup(name)
	return found{node: node, m: top.m}, err
}

// parent goes to the parent of the top directory.
func (w *walker) parent() error {
	n := len(w.stack) - 1
	if n == 0 {
		if w.clamp {
			return nil
		}
		return wasip1.EPERM
	}
	if p := &w.stack[n]; p.m.releases {
		p.m.drop(p.dir)
	}
	w.stack = w.stack[:n]
	return nil
}

// link continues with the target of a symbolic link in place of its name, and releases the link.
func (w *walker) link(f found) error {
	link, ok := f.node.(Symlink)
	if !ok {
		f.m.drop(f.node)
		return wasip1.EIO
	}
	target, err := link.Readlink()
	f.m.drop(f.node)
	if err != nil {
		return err
	}
	if w.links++; w.links > MaxLinks {
		return wasip1.ELOOP
	}
	if target == "" {
		return wasip1.ENOENT
	}
	if len(target) > MaxPath {
		return wasip1.ENAMETOOLONG
	}
	if target[0] == '/' {
		if err := w.restart(); err != nil {
			return err
		}
		target = strings.TrimLeft(target, "/")
	}
	isLast := w.rest == "" && len(w.pending) == 0
	trimmed := strings.TrimRight(target, "/")
	if isLast {
		w.slash = w.slash || len(trimmed) != len(target)
	} else if w.rest != "" {
		w.pending = append(w.pending, w.rest)
	}
	w.rest = trimmed
	return nil
}

// restart goes to the root of the guest, where absolute targets of links start.
func (w *walker) restart() error {
	root := w.start.dir.now()
	if !w.start.dir.host {
		if root.m.ns == nil || !root.m.ns.absoluteLinks {
			return wasip1.EPERM
		}
		root = root.m.ns.root.position()
	}
	w.unwind()
	w.stack = append(w.stack[:0], root)
	w.clamp, w.restarted = true, true
	return nil
}

// find resolves path in full. follow says what happens to a symbolic link in the last place; one
// with a slash behind it is followed in any case. The walk ends with done, which releases what find
// returned.
func (w *walker) find(base *OpenFile, path string, follow bool) (found, error) {
	if err := w.begin(base, path); err != nil {
		return found{}, err
	}
	for {
		name, err := w.last()
		if err != nil {
			return found{}, err
		}
		if name == "" {
			top := w.top()
			return found{node: top.dir, m: top.m, at: top.at}, nil
		}
		f, err := w.lookup(name)
		if err != nil {
			return found{}, err
		}
		switch f.node.Type() {
		case wasip1.FiletypeDirectory:
			return f, nil
		case wasip1.FiletypeSymbolicLink:
			if follow || w.slash {
				if err := w.link(f); err != nil {
					return found{}, err
				}
				continue
			}
		}
		if w.slash {
			f.m.drop(f.node)
			return found{}, wasip1.ENOTDIR
		}
		return f, nil
	}
}

// done releases what find returned, and ends the walk.
func (w *walker) done(f found) {
	if f.m != nil && f.m.releases && !w.holds(f.node) {
		f.m.drop(f.node)
	}
	w.end()
}

// holds reports whether node is in the stack, which then releases it.
func (w *walker) holds(node Node) bool {
	return len(w.stack) > 0 && Node(w.top().dir) == node
}

// target walks to the directory in which the last component of path is to be made, removed or
// renamed, and returns that name; "" if the path ends in a directory that has no name there.
func (w *walker) target(base *OpenFile, path string) (string, error) {
	if err := w.begin(base, path); err != nil {
		return "", err
	}
	if base.m.paths {
		if err := w.jump(); err != nil {
			return "", err
		}
	}
	name, err := w.last()
	if err == nil && len(name) > MaxName {
		err = wasip1.ENAMETOOLONG
	}
	return name, err
}

// jump enters all directories of the path before its last component at once, if the file system
// resolves paths by itself and nothing stands against it: mount points below, a guard, which wants
// to know each name, or a last component that leads back. It is for a walk that does not follow a
// link in the last place: the way there is not in the stack.
func (w *walker) jump() error {
	i := strings.LastIndexByte(w.rest, '/')
	top := w.top()
	if i < 0 || w.guard != nil || top.at != nil && top.at.children.Load() != nil {
		return nil
	}
	switch w.rest[i+1:] {
	case ".", "..":
		return nil
	}
	dir, ok := top.dir.(PathOpener)
	if !ok {
		return nil
	}
	node, _, err := dir.OpenPath(w.rest[:i], true, wasip1.ODirectory, 0, 0)
	if err != nil {
		switch e := wasip1.FromError(err); e {
		case wasip1.ENOSYS, wasip1.ELOOP, wasip1.EXDEV, wasip1.EAGAIN:
			return nil
		default:
			return e
		}
	}
	sub, ok := node.(Directory)
	if !ok {
		top.m.drop(node)
		return nil
	}
	w.stack = append(w.stack, position{dir: sub, m: top.m})
	w.rest = w.rest[i+1:]
	return nil
}
