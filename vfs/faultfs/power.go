package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// CutPower takes everything back that is not durable, and makes all calls answer EIO until
// [FS.RestorePower]. Errors: ENOTSUP without [WithDurability]; what the file system below says to
// the changes that take things back.
func (f *FS) CutPower() error {
	t := f.track
	if t == nil {
		return wasip1.ENOTSUP
	}
	if f.off.Swap(true) {
		return nil
	}
	t.lock()
	defer t.unlock()
	f.generation.Add(1)
	return t.revert(f.torn)
}

// RestorePower ends what CutPower began. Files are to be opened again.
func (f *FS) RestorePower() { f.off.Store(false) }

// LosePower cuts the power and restores it at once.
func (f *FS) LosePower() error {
	err := f.CutPower()
	f.RestorePower()
	return err
}

// begin takes the tracker's lock for a change, which is not to come after the power went off.
func (f *FS) begin() error {
	f.track.lock()
	if f.off.Load() {
		f.track.unlock()
		return wasip1.EIO
	}
	return nil
}

// revert makes the file system what is durable. Contents come first, while files are where they are
// known to be; then the changes of names are taken back, the last one first, each where it is by
// then.
func (t *tracker) revert(torn func(ino uint64) survives) error {
	r, err := vfs.NewRoot(t.fs)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range t.inodes {
		if f.content == nil {
			continue
		}
		if path := t.path(r, f); path != "" {
			errs = append(errs, f.content.revert(r, path, torn(f.ino)))
		}
		f.content = nil
	}
	for _, c := range slices.Backward(t.log) {
		if err := t.undo(r, c); err != nil {
			errs = append(errs, fmt.Errorf("taking back %s: %w", c, err))
		}
	}
	t.log = nil
	return errors.Join(errs...)
}

// undo takes one change of a name back.
func (t *tracker) undo(r *vfs.Root, c *change) error {
	at := c.at.path(t.root)
	if at == "" {
		return wasip1.ESTALE
	}
	switch c.kind {
	case made:
		if err := r.Remove(at); err != nil {
			return err
		}
		t.del(c.f, c.at)
		return nil
	case moved:
		to := c.to.path(t.root)
		if to == "" {
			return wasip1.ESTALE
		}
		if err := r.Rename(to, at); err != nil {
			return err
		}
		t.del(c.f, c.to)
	default:
		if err := t.bring(r, c.f, at); err != nil {
			return err
		}
	}
	t.add(c.f, c.at)
	return nil
}

// bring makes a name of a file that has lost it, and the file too if that was the last.
func (t *tracker) bring(r *vfs.Root, f *inode, at string) error {
	if f.saved == nil {
		return r.Link(t.path(r, f), at)
	}
	s := f.saved
	var err error
	switch {
	case s.err != nil:
		return s.err
	case f.typ == wasip1.FiletypeDirectory:
		err = r.Mkdir(at, s.perm)
	case f.typ == wasip1.FiletypeSymbolicLink:
		err = r.Symlink(s.target, at)
	default:
		err = r.WriteFile(at, s.data, s.perm)
	}
	if err != nil {
		return err
	}
	a, err := r.Lstat(at)
	if err != nil {
		return err
	}
	f.ino, f.saved = a.Ino, nil
	t.inodes[f.ino] = f
	return nil
}

// path returns a path of a file, "" if there is none. Names that were never met are looked for.
func (t *tracker) path(r *vfs.Root, f *inode) string {
	if f.saved != nil {
		return ""
	}
	for _, s := range f.names {
		if p := s.path(t.root); p != "" {
			return p
		}
	}
	return search(r, "/", f.ino)
}

// search looks for an inode below a directory.
func search(r *vfs.Root, dir string, ino uint64) string {
	list, err := r.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	for _, e := range list {
		path := join(dir, e.Name)
		if e.Ino == ino {
			return path
		}
		if e.Type == wasip1.FiletypeDirectory {
			if found := search(r, path, ino); found != "" {
				return found
			}
		}
	}
	return ""
}
