package iofs

import (
	"cmp"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dir is a directory. Of [vfs.ReadOnlyDirectory] it takes that all is EROFS.
type dir struct {
	vfs.ReadOnlyDirectory
	node

	mu      sync.Mutex
	listing []vfs.DirEntry // by cookie; replaced, never changed, at each start of a reading
	last    uint64         // the highest cookie given
}

var _ vfs.Directory = (*dir)(nil)

func (d *dir) Type() wasip1.Filetype       { return wasip1.FiletypeDirectory }
func (d *dir) Attr() (vfs.Attr, error)     { return d.attr(wasip1.FiletypeDirectory) }
func (d *dir) SetAttr(_ vfs.SetAttr) error { return wasip1.EROFS }

// join returns the path of name, ENOENT where io/fs has no such name.
func (d *dir) join(name string) (string, error) {
	if err := vfs.CheckName(name); err != nil {
		return "", err
	}
	path := strings.Clone(name)
	if d.path != "." {
		path = d.path + "/" + name
	}
	if !fs.ValidPath(path) {
		return "", wasip1.ENOENT
	}
	return path, nil
}

func (d *dir) Lookup(name string) (vfs.Node, error) {
	path, err := d.join(name)
	if err != nil {
		return nil, err
	}
	info, err := d.fs.stat(path)
	if err != nil {
		return nil, d.fs.error(err)
	}
	return d.fs.node(path, filetype(info.Mode())), nil
}

// ReadDir reads the directory anew when cookie is 0, and otherwise goes on in what was read then. A
// name keeps its cookie as long as it is there: a later reading does not move those of another that
// goes on.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	listing, err := d.list(cookie == 0)
	if err != nil {
		return 0, err
	}
	i, found := slices.BinarySearchFunc(listing, cookie, func(e vfs.DirEntry, c uint64) int { return cmp.Compare(e.Next, c) })
	if found {
		i++
	}
	return copy(entries, listing[i:]), nil
}

func (d *dir) list(fresh bool) ([]vfs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !fresh && d.listing != nil {
		return d.listing, nil
	}
	read, err := fs.ReadDir(d.fs.fsys, d.path)
	if err != nil {
		return nil, d.fs.error(err)
	}
	known := make(map[string]uint64, len(d.listing))
	for _, e := range d.listing {
		known[e.Name] = e.Next
	}
	seen := make(map[string]bool, len(read))
	listing := make([]vfs.DirEntry, 0, len(read))
	for _, e := range read {
		name := e.Name()
		path, err := d.join(name)
		if err != nil || seen[name] {
			continue // could not be looked up, or is told twice
		}
		seen[name] = true
		cookie := known[name]
		if cookie == 0 {
			d.last++
			cookie = d.last
		}
		listing = append(listing, vfs.DirEntry{Name: name, Ino: ino(path), Type: d.fs.listed(e.Type()), Next: cookie})
	}
	slices.SortFunc(listing, func(a, b vfs.DirEntry) int { return cmp.Compare(a.Next, b.Next) })
	d.listing = listing
	return listing, nil
}

// listed is the type that a listing tells: unknown for a link that looking up may follow.
func (f *FS) listed(m fs.FileMode) wasip1.Filetype {
	if m.Type() == fs.ModeSymlink && f.links == nil {
		return wasip1.FiletypeUnknown
	}
	return filetype(m)
}
