package vfs

import (
	"io/fs"

	"github.com/wasivirt/wasivirt/wasip1"
)

// The operations on paths, for guests and host code alike. Each leaves the walker ended.

// attr stores the attributes of what path stands for in a, because each return of a struct of that
// size is a copy, and returns the device number.
func (w *walker) attr(a *Attr, base *OpenFile, path string, follow bool) (dev uint64, err error) {
	if base.m.paths && w.guard == nil {
		*a, dev, err = attrPath(base, path, follow)
		if err == nil {
			return dev, nil
		}
		switch wasip1.FromError(err) {
		case wasip1.ENOSYS, wasip1.ELOOP, wasip1.EXDEV, wasip1.EAGAIN:
		default:
			return 0, err
		}
	}
	f, err := w.find(base, path, follow)
	if w.guard != nil {
		f, err = w.permitFound(f, err)
	}
	if err != nil {
		w.end()
		return 0, err
	}
	*a, err = f.node.Attr()
	dev = f.m.dev
	w.done(f)
	return dev, err
}

// attrPath is attr for a file system that resolves paths by itself; ENOSYS says to walk.
func attrPath(base *OpenFile, path string, follow bool) (Attr, uint64, error) {
	pos := base.dir.now()
	dir, ok := pos.dir.(PathOpener)
	if !ok || pos.at != nil && pos.at.children.Load() != nil || path == "" || len(path) > MaxPath {
		return Attr{}, 0, wasip1.ENOSYS
	}
	if !base.acquire() {
		return Attr{}, 0, wasip1.EBADF
	}
	a, err := dir.AttrPath(path, follow)
	base.release()
	return a, pos.m.dev, err
}

// setAttr changes the attributes of what path stands for.
func (w *walker) setAttr(base *OpenFile, path string, follow bool, set SetAttr) error {
	f, err := w.find(base, path, follow)
	if w.guard != nil {
		f, err = w.permitFound(f, err)
	}
	if err == nil {
		if f.m.readOnly {
			err = wasip1.EROFS
		} else if err = f.node.SetAttr(set); err == nil && set.Mask&SetSize != 0 {
			f.m.happened(Modified, base, path)
		}
	}
	w.done(f)
	return err
}

// readlink returns the target of a symbolic link. Errors: EINVAL for anything else.
func (w *walker) readlink(base *OpenFile, path string) (string, error) {
	f, err := w.find(base, path, false)
	if w.guard != nil {
		f, err = w.permitFound(f, err)
	}
	if err != nil {
		w.end()
		return "", err
	}
	target := ""
	if link, ok := f.node.(Symlink); ok && f.node.Type() == wasip1.FiletypeSymbolicLink {
		target, err = link.Readlink()
	} else {
		err = wasip1.EINVAL
	}
	w.done(f)
	return target, err
}

// exists says what stands against adding name to the top directory: EEXIST if it is there, EROFS.
func (w *walker) exists(name string) error {
	top := w.top()
	if top.covered(name) {
		return wasip1.EEXIST
	}
	if !top.m.readOnly {
		return nil
	}
	f, err := w.lookup(name)
	if err == nil {
		f.m.drop(f.node)
		return wasip1.EEXIST
	}
	if wasip1.FromError(err) != wasip1.ENOENT {
		return err
	}
	return wasip1.EROFS
}

// mkdir makes a directory.
func (w *walker) mkdir(base *OpenFile, path string, perm fs.FileMode) error {
	name, err := w.target(base, path)
	if err = w.permit(err); err == nil {
		err = w.mkdirHere(name, perm)
	}
	if err == nil {
		w.top().m.happened(Created, base, path)
	}
	w.end()
	return err
}

// directoryMaker is implemented by directories, such as hostfs's, that make a directory at less
// cost if nobody wants its node.
type directoryMaker interface {
	// MakeDir is Mkdir without the node.
	MakeDir(name string, perm fs.FileMode) error
}

func (w *walker) mkdirHere(name string, perm fs.FileMode) error {
	if name == "" {
		return wasip1.EEXIST
	}
	if err := w.exists(name); err != nil {
		return err
	}
	top := w.top()
	if dir, ok := top.dir.(directoryMaker); ok {
		return dir.MakeDir(name, perm)
	}
	node, err := top.dir.Mkdir(name, perm)
	if err == nil {
		top.m.drop(node)
	}
	return err
}

// slashed is the error for adding name where the path has a slash behind it and no directory can
// come of it: EEXIST for a directory that is there, ENOTDIR for anything else, ENOENT.
func (w *walker) slashed(name string) error {
	f, err := w.lookup(name)
	if err != nil {
		return err
	}
	kind := f.node.Type()
	f.m.drop(f.node)
	if kind == wasip1.FiletypeDirectory {
		return wasip1.EEXIST
	}
	return wasip1.ENOTDIR
}

// symlink makes a symbolic link. Errors: ENOENT for an empty target, ENAMETOOLONG, EPERM for an
// absolute one where the Namespace does not allow it.
func (w *walker) symlink(target string, base *OpenFile, path string) error {
	name, err := w.target(base, path)
	if err = w.permit(err); err == nil {
		err = w.symlinkHere(target, name)
	}
	if err == nil {
		w.top().m.happened(Created, base, path)
	}
	w.end()
	return err
}

func (w *walker) symlinkHere(target, name string) error {
	top := w.top()
	switch {
	case target == "":
		return wasip1.ENOENT
	case len(target) > MaxPath:
		return wasip1.ENAMETOOLONG
	case target[0] == '/' && !w.start.dir.host && (top.m.ns == nil || !top.m.ns.absoluteLinks):
		return wasip1.EPERM
	case name == "":
		return wasip1.EEXIST
	case w.slash:
		return w.slashed(name)
	}
	if err := w.exists(name); err != nil {
		return err
	}
	node, err := top.dir.Symlink(name, target)
	if err == nil {
		top.m.drop(node)
	}
	return err
}

// unlink removes a name that is not a directory's. Errors: EBUSY for a mount point.
func (w *walker) unlink(base *OpenFile, path string) error {
	name, err := w.target(base, path)
	if err = w.permit(err); err == nil {
		err = w.unlinkHere(name)
	}
	if err == nil {
		w.top().m.happened(Removed, base, path)
	}
	w.end()
	return err
}

func (w *walker) unlinkHere(name string) error {
	top := w.top()
	switch {
	case name == "":
		return wasip1.EISDIR
	case top.covered(name):
		return w.busy(name, wasip1.EISDIR)
	case w.slash:
		if err := w.slashed(name); err != wasip1.EEXIST {
			return err
		}
		return wasip1.EISDIR
	case top.m.readOnly:
		if err := w.exists(name); err != wasip1.EEXIST {
			return missingOr(err)
		}
		return wasip1.EROFS
	}
	return top.dir.Unlink(name)
}

// busy is the error for taking away a mount point: EBUSY, or other if it is a directory and that is
// not wanted.
func (w *walker) busy(name string, other error) error {
	if f, err := w.lookup(name); err == nil && f.node.Type() == wasip1.FiletypeDirectory {
		f.m.drop(f.node)
		return other
	}
	return wasip1.EBUSY
}

// missingOr turns what exists says of a name that is not there into ENOENT.
func missingOr(err error) error {
	if err == wasip1.EROFS {
		return wasip1.ENOENT
	}
	return err
}

// rmdir removes an empty directory. Errors: EINVAL for a path that ends in ".", ENOTEMPTY in "..",
// EBUSY for a mount point, for what leads to one and for the start itself.
func (w *walker) rmdir(base *OpenFile, path string) error {
	name, err := w.target(base, path)
	if err = w.permit(err); err == nil {
		err = w.rmdirHere(name)
	}
	if err == nil {
		w.top().m.happened(Removed, base, path)
	}
	w.end()
	return err
}

func (w *walker) rmdirHere(name string) error {
	top := w.top()
	switch {
	case name == "" && w.up:
		return wasip1.ENOTEMPTY
	case name == "":
		return wasip1.EINVAL
	case top.covered(name):
		return wasip1.EBUSY
	case top.m.readOnly:
		if err := w.exists(name); err != wasip1.EEXIST {
			return missingOr(err)
		}
		return wasip1.EROFS
	}
	return top.dir.Rmdir(name)
}

// linkTo gives what oldPath stands for the name newPath too. w walks the one, to the other. Errors:
// EPERM for a directory, EXDEV across mounts, ENOENT for a new name with a slash behind it.
func (w *walker) linkTo(base *OpenFile, path string, follow bool, to *walker, newBase *OpenFile, newPath string) error {
	f, err := w.find(base, path, follow)
	if err != nil {
		err = w.permit(err)
		w.end()
		return err
	}
	name, err := to.target(newBase, newPath)
	if err = w.permitBoth(to, err); err == nil {
		err = to.linkHere(f, name)
	}
	if err == nil {
		f.m.happened(Created, newBase, newPath)
	}
	to.end()
	w.done(f)
	return err
}

func (w *walker) linkHere(f found, name string) error {
	top := w.top()
	switch {
	case name == "":
		return wasip1.EEXIST
	case w.slash:
		return w.slashed(name)
	case f.node.Type() == wasip1.FiletypeDirectory:
		return wasip1.EPERM
	case top.covered(name):
		return wasip1.EEXIST
	case f.m != top.m:
		return wasip1.EXDEV
	}
	if err := w.exists(name); err != nil {
		return err
	}
	return top.dir.Link(name, f.node)
}

// renameTo renames. w walks to the old name, to the new one. Errors: EBUSY for a mount point, for
// what leads to one and for paths that end in "." or ".."; EXDEV across mounts; ENOTDIR for a slash
// behind what is no directory.
func (w *walker) renameTo(base *OpenFile, path string, to *walker, newBase *OpenFile, newPath string) error {
	name, err := w.target(base, path)
	if err != nil {
		err = w.permit(err)
		w.end()
		return err
	}
	newName, err := to.target(newBase, newPath)
	if err = w.permitBoth(to, err); err == nil {
		err = w.renameHere(name, to, newName)
	}
	if m := w.top().m; err == nil && m.watched() {
		m.tell(Event{Op: Renamed, Path: joined(base, path), NewPath: joined(newBase, newPath)})
	}
	to.end()
	w.end()
	return err
}

func (w *walker) renameHere(name string, to *walker, newName string) error {
	from, into := w.top(), to.top()
	switch {
	case name == "" || newName == "" || from.covered(name) || into.covered(newName):
		return wasip1.EBUSY
	case from.m != into.m:
		return wasip1.EXDEV
	case from.m.readOnly:
		if err := w.exists(name); err != wasip1.EEXIST {
			return missingOr(err)
		}
		return wasip1.EROFS
	}
	if w.slash || to.slash {
		f, err := w.lookup(name)
		if err != nil {
			return err
		}
		kind := f.node.Type()
		f.m.drop(f.node)
		if kind != wasip1.FiletypeDirectory {
			return wasip1.ENOTDIR
		}
	}
	return from.dir.Rename(name, into.dir, newName)
}
