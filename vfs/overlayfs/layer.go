package overlayfs

import (
	"io/fs"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Nodes of a layer that hold something of the machine are held no longer than somebody holds the
// overlay's node, or than the operation that wanted them takes. After that they are found again by
// their path: that of the lower never changes, that in the upper is the one that guests see.

// unlock ends an operation: it gives back what the layers hold for nodes that nobody has, and
// unlocks FS.mu.
func (f *FS) unlock() {
	for len(f.wanted) > 0 {
		n := f.wanted[len(f.wanted)-1]
		f.wanted = f.wanted[:len(f.wanted)-1]
		if n.refs.Load() == 0 {
			n.idle()
		}
	}
	f.charge = nil
	f.mu.Unlock()
}

// want notes that a layer's node may have to be given back at the end of the operation. FS.mu is
// held.
func (n *inode) want() {
	if n.fs.releases {
		n.fs.wanted = append(n.fs.wanted, n)
	}
}

// down returns the lower's node, nil if there is none. FS.mu is held.
func (n *inode) down() (vfs.Node, error) {
	if n.lower != nil || !n.hasLower {
		return n.lower, nil
	}
	l, err := reach(n.fs.lower.Root(), n.lowerPath)
	if err != nil {
		return nil, err
	}
	n.lower = l
	n.want()
	return l, nil
}

// up returns the upper's node, nil if there is none. FS.mu is held.
func (n *inode) up() (vfs.Node, error) {
	if n.upper != nil || !n.hasUpper {
		return n.upper, nil
	}
	path := n.stash
	if path == "" {
		var ok bool
		if path, ok = n.upperPath(); !ok {
			return nil, wasip1.ENOENT
		}
	}
	u, err := reach(n.fs.upper.Root(), path)
	if err != nil {
		return nil, err
	}
	n.upper = u
	n.want()
	return u, nil
}

// upperPath returns where the upper has an inode. FS.mu is held.
func (n *inode) upperPath() (string, bool) {
	for _, p := range n.names {
		if e := p.dir.names[p.name]; e == nil || !e.inUpper {
			continue
		}
		way := []string{p.name}
		d := p.dir
		for len(d.inode.names) > 0 {
			way = append(way, d.inode.names[0].name)
			d = d.inode.names[0].dir
		}
		if d != n.fs.root {
			continue
		}
		var b strings.Builder
		for i := len(way) - 1; i >= 0; i-- {
			b.WriteString(way[i])
			if i > 0 {
				b.WriteByte('/')
			}
		}
		return b.String(), true
	}
	return "", false
}

// drop gives the layers' nodes back. They are found again by down and up. FS.mu is held.
func (n *inode) drop() {
	if n.lower != nil {
		wrapfs.Release(n.lower)
		n.lower = nil
	}
	// One that the upper has under names that are not known would not be found again.
	if n.upper != nil && (n.typ == wasip1.FiletypeDirectory || n.stash != "" || len(n.names) > 0 || n.nlink == 0) {
		wrapfs.Release(n.upper)
		n.upper = nil
	}
}

// reach returns the node of a path in a layer, holding no more than two nodes on the way.
func reach(root vfs.Node, path string) (vfs.Node, error) {
	at := root
	step := func(next vfs.Node, err error) error {
		if at != root {
			wrapfs.Release(at)
		}
		at = next
		return err
	}
	dirs, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dirs, name = path[:i], path[i+1:]
	}
	if p, ok := root.(vfs.PathOpener); ok && dirs != "" && len(dirs) < vfs.MaxPath {
		n, _, err := p.OpenPath(dirs, false, wasip1.ODirectory, 0, 0)
		if err == nil {
			at, dirs = n, ""
		}
	}
	for rest := dirs; rest != ""; {
		var c string
		c, rest, _ = strings.Cut(rest, "/")
		d, ok := at.(vfs.Directory)
		if !ok {
			return nil, step(nil, wasip1.ENOTDIR)
		}
		if err := step(d.Lookup(c)); err != nil {
			return nil, err
		}
	}
	d, ok := at.(vfs.Directory)
	if !ok {
		return nil, step(nil, wasip1.ENOTDIR)
	}
	err := step(d.Lookup(name))
	return at, err
}

// unreachable is a directory of a layer that could not be found again.
type unreachable struct{ err error }

var _ vfs.Directory = unreachable{}

func (u unreachable) Type() wasip1.Filetype                        { return wasip1.FiletypeDirectory }
func (u unreachable) Attr() (vfs.Attr, error)                      { return vfs.Attr{}, u.err }
func (u unreachable) SetAttr(vfs.SetAttr) error                    { return u.err }
func (u unreachable) Lookup(string) (vfs.Node, error)              { return nil, u.err }
func (u unreachable) ReadDir(uint64, []vfs.DirEntry) (int, error)  { return 0, u.err }
func (u unreachable) Create(string, fs.FileMode) (vfs.Node, error) { return nil, u.err }
func (u unreachable) Mkdir(string, fs.FileMode) (vfs.Node, error)  { return nil, u.err }
func (u unreachable) Symlink(string, string) (vfs.Node, error)     { return nil, u.err }
func (u unreachable) Link(string, vfs.Node) error                  { return u.err }
func (u unreachable) Unlink(string) error                          { return u.err }
func (u unreachable) Rmdir(string) error                           { return u.err }
func (u unreachable) Rename(string, vfs.Directory, string) error   { return u.err }

// lowerDir and upperDir return the layers' directories, nil where there is none. FS.mu is held.
func (d *dir) lowerDir() vfs.Directory { return directory(d.down()) }
func (d *dir) upperDir() vfs.Directory { return directory(d.up()) }

func directory(n vfs.Node, err error) vfs.Directory {
	if err != nil {
		return unreachable{wasip1.FromError(err)}
	}
	dir, _ := n.(vfs.Directory)
	return dir
}
