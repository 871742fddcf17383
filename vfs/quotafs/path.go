package quotafs

import (
	"context"
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// What is opened by a path costs no more than it does below: which inode it is will be found out
// when it is written, or when a file loses its last name, since then it has to be known who has
// that open.

// OpenPath opens what is there already; what is to be made or emptied is for the walker. Errors:
// ENOSYS where the file system below has no such call.
func (d *dir) OpenPath(path string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if flags&(wasip1.OExcl|wasip1.OTrunc) != 0 || mode&vfs.OpenTruncate != 0 {
		return nil, nil, wasip1.ENOSYS
	}
	d.fs.names.RLock()
	defer d.fs.names.RUnlock()
	n, f, err := wrapfs.OpenPath(d.Below, path, follow, flags&^wasip1.OCreat, mode, perm)
	if flags&wasip1.OCreat != 0 {
		switch {
		case wasip1.FromError(err) == wasip1.ENOENT:
			return nil, nil, wasip1.ENOSYS
		case err == nil && f == nil:
			wrapfs.Release(n)
			return nil, nil, wasip1.ENOSYS
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if f == nil {
		return d.fs.Wrap(n), nil, nil
	}
	o := &open{File: wrapfs.File{Below: f, Node: n}, fs: d.fs}
	d.fs.mu.Lock()
	d.fs.unknown[o] = struct{}{}
	d.fs.mu.Unlock()
	return d.fs.Wrap(n), o, nil
}

// AttrPath returns the attributes of what path stands for.
func (d *dir) AttrPath(path string, follow bool) (vfs.Attr, error) {
	return wrapfs.AttrPath(d.Below, path, follow)
}

// know returns the inode of an opening.
func (o *open) know() (*inode, error) {
	o.fs.mu.Lock()
	in := o.in
	o.fs.mu.Unlock()
	if in != nil {
		return in, nil
	}
	a, err := o.Node.Attr()
	if err != nil {
		return nil, err
	}
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.in == nil {
		in := o.fs.inodeLocked(a.Ino)
		in.opens++
		o.in, o.number = in, a.Ino
		delete(o.fs.unknown, o)
	}
	return o.in, nil
}

// knowAll finds out about all openings. FS.names is held.
func (f *FS) knowAll() {
	f.mu.Lock()
	all := make([]*open, 0, len(f.unknown))
	for o := range f.unknown {
		all = append(all, o)
	}
	f.mu.Unlock()
	for _, o := range all {
		// One that cannot be asked cannot be the file that was found by its name just now.
		_, _ = o.know()
	}
}

// grow prepares the file for a change and locks its growth, which the caller unlocks.
func (o *open) grow() (*inode, error) {
	if err := o.fs.prepare(context.Background(), o.Node, vfs.KeepAll, nil); err != nil {
		return nil, err
	}
	in, err := o.know()
	if err == nil {
		in.mu.Lock()
	}
	return in, err
}

// closeUnknown closes the file if nothing had to be known of it, and reports whether it did.
func (o *open) closeUnknown() (bool, error) {
	o.fs.mu.Lock()
	_, unknown := o.fs.unknown[o]
	o.fs.mu.Unlock()
	if !unknown {
		return false, nil
	}
	o.fs.names.RLock()
	defer o.fs.names.RUnlock()
	o.fs.mu.Lock()
	if _, unknown = o.fs.unknown[o]; !unknown {
		o.fs.mu.Unlock()
		return false, nil
	}
	delete(o.fs.unknown, o)
	o.fs.mu.Unlock()
	return true, o.Below.Close()
}
