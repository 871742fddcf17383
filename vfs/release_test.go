package vfs_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// heldFS is a file system whose nodes hold something: it knows which have not been released. With
// paths it also resolves whole paths.
type heldFS struct {
	inner  vfs.FS
	tb     testing.TB
	live   map[*held]string
	root   vfs.Node
	paths  bool
	opened int // by OpenPath
}

// held is what all its nodes have.
type held struct {
	vfs.Node
	fs   *heldFS
	name string
}

func (h *held) Release() {
	if _, ok := h.fs.live[h]; !ok {
		h.fs.tb.Errorf("%q is released, but nobody holds it", h.name)
	}
	delete(h.fs.live, h)
}

func newHeldFS(tb testing.TB, inner vfs.FS, paths bool) *heldFS {
	f := &heldFS{inner: inner, tb: tb, live: map[*held]string{}, paths: paths}
	f.root = f.wrap(inner.Root(), "root")
	clear(f.live) // the root is nobody's to release
	return f
}

func (f *heldFS) Root() vfs.Node { return f.root }

func (f *heldFS) wrap(node vfs.Node, name string) vfs.Node {
	h := &held{node, f, name}
	f.live[h] = name
	switch n := node.(type) {
	case vfs.Directory:
		if f.paths {
			return &heldPathDir{heldDir{h, n}}
		}
		return &heldDir{h, n}
	case vfs.RegularFile:
		return &heldFile{h, n}
	case vfs.Symlink:
		return &heldLink{h, n}
	}
	panic("no such node")
}

func unwrap(node vfs.Node) vfs.Node {
	switch n := node.(type) {
	case *heldDir:
		return n.Node
	case *heldPathDir:
		return n.Node
	case *heldFile:
		return n.Node
	case *heldLink:
		return n.Node
	}
	return node
}

type heldFile struct {
	*held
	file vfs.RegularFile
}

func (f *heldFile) Open(mode vfs.OpenMode) (vfs.File, error) { return f.file.Open(mode) }

type heldLink struct {
	*held
	link vfs.Symlink
}

func (l *heldLink) Readlink() (string, error) { return l.link.Readlink() }

type heldDir struct {
	*held
	dir vfs.Directory
}

func (d *heldDir) give(node vfs.Node, name string, err error) (vfs.Node, error) {
	if err != nil {
		return nil, err
	}
	return d.fs.wrap(node, strings.Clone(name)), nil
}

func (d *heldDir) Lookup(name string) (vfs.Node, error) {
	n, err := d.dir.Lookup(name)
	return d.give(n, name, err)
}

func (d *heldDir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	n, err := d.dir.Create(name, perm)
	return d.give(n, name, err)
}

func (d *heldDir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	n, err := d.dir.Mkdir(name, perm)
	return d.give(n, name, err)
}

func (d *heldDir) Symlink(name, target string) (vfs.Node, error) {
	n, err := d.dir.Symlink(name, target)
	return d.give(n, name, err)
}

func (d *heldDir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	return d.dir.ReadDir(cookie, entries)
}

func (d *heldDir) Link(name string, node vfs.Node) error { return d.dir.Link(name, unwrap(node)) }
func (d *heldDir) Unlink(name string) error              { return d.dir.Unlink(name) }
func (d *heldDir) Rmdir(name string) error               { return d.dir.Rmdir(name) }

func (d *heldDir) Rename(name string, to vfs.Directory, newName string) error {
	return d.dir.Rename(name, unwrap(to).(vfs.Directory), newName)
}

// heldPathDir resolves whole paths, plain ones alone: it leaves the others to the walker.
type heldPathDir struct{ heldDir }

func (d *heldPathDir) resolve(path string) (vfs.Node, error) {
	var node vfs.Node = d.dir
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return nil, wasip1.EXDEV
		}
		dir, ok := node.(vfs.Directory)
		if !ok {
			return nil, wasip1.ENOTDIR
		}
		next, err := dir.Lookup(name)
		if err != nil {
			return nil, err
		}
		if node = next; node.Type() == wasip1.FiletypeSymbolicLink {
			return nil, wasip1.ELOOP
		}
	}
	return node, nil
}

func (d *heldPathDir) OpenPath(path string, _ bool, flags wasip1.Oflags, mode vfs.OpenMode, _ fs.FileMode) (vfs.Node, vfs.File, error) {
	if flags&(wasip1.OCreat|wasip1.OTrunc) != 0 {
		return nil, nil, wasip1.ENOSYS
	}
	node, err := d.resolve(path)
	if err != nil {
		return nil, nil, err
	}
	d.fs.opened++
	var file vfs.File
	if f, ok := node.(vfs.RegularFile); ok {
		if file, err = f.Open(mode); err != nil {
			return nil, nil, err
		}
	}
	return d.fs.wrap(node, strings.Clone(path)), file, nil
}

func (d *heldPathDir) AttrPath(path string, _ bool) (vfs.Attr, error) {
	node, err := d.resolve(path)
	if err != nil {
		return vfs.Attr{}, err
	}
	d.fs.opened++
	return node.Attr()
}

// Whatever is done with whatever path, every node that the file system gave away is released once.
func TestEveryNodeIsReleased(t *testing.T) {
	paths := []string{
		"file", "file/", "dir", "dir/", "dir/sub", "dir/sub/../file", ".", "..", "dir/..", "dir/.", "link", "link/", "dirlink",
		"dirlink/file", "dangling", "loop", "up", "long", "new", "dir/new", "file/new", "abs", "dir/m", "dir/m/inner",
	}
	for _, resolving := range []bool{false, true} {
		for _, p := range paths {
			for _, q := range []string{"new2", "dir/sub/new", "file", "..", "dir"} {
				inner := memfs.New()
				held := newHeldFS(t, inner, resolving)
				ns := vfs.NewNamespace(vfs.WithAbsoluteLinks())
				mustMount(t, ns, "/", held)
				g := newGuest(t, ns)
				g.create("file", "x")
				g.mkdir("dir")
				g.mkdir("dir/sub")
				g.create("dir/file", "y")
				for _, l := range [][2]string{{"file", "link"}, {"dir", "dirlink"}, {"no", "dangling"}, {"loop", "loop"}, {"../x", "up"}, {"dirlink/sub/../file", "long"}, {"/dir/file", "abs"}} {
					g.symlink(l[0], l[1])
				}
				other := newHeldFS(t, memfs.New(), false)
				if !resolving { // a mount below would leave all to the walker
					mustMount(t, ns, "/dir/m/inner", other)
				}

				base := g.openDir(".")
				sub := g.openDir("dir/sub")
				for _, d := range []uint32{root, base, sub} {
					for follow := range wasip1.Lookupflags(2) {
						g.stat(d, p, follow)
						g.openAt(d, p, follow, 0, ro, 0)
						g.openAt(d, p, follow, wasip1.ODirectory, dirRights, 0)
						g.openAt(d, p, follow, wasip1.OCreat, rw, 0)
						g.openAt(d, p, follow, wasip1.OCreat|wasip1.OExcl, rw, 0)
						g.openAt(d, p, follow, wasip1.OTrunc, ro, 0)
					}
				}
				g.list(root, 300)
				ptr, n := g.path(p)
				vfs.PathFilestatSetTimes(&g.Caller, root, 1, ptr, n, 1, 1, 1)
				g.readlink(p, 10)
				g.mkdir(p)
				g.symlink("x", p)
				g.link(p, q, 1)
				g.link(p, q, 0)
				g.rename(p, q)
				g.unlink(p)
				g.rmdir(p)
				if _, release, err := ns.Root().Lookup(p, true); err == nil {
					release()
				}
				if err := g.Table.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if left := fmt.Sprint(len(held.live), len(other.live)); left != "0 0" {
					t.Errorf("after all with %q and %q: %v, %v are held", p, q, held.live, other.live)
				}
				if resolving && held.opened == 0 {
					t.Error("the file system was never asked for a path")
				}
			}
		}
	}
}

// TestTreeBelowRootReleases looks up directories and files in the tree that Root.FS shows.
func TestTreeBelowRootReleases(t *testing.T) {
	inner := memfs.New()
	for _, name := range []string{"dir/sub/file", "dir/file"} {
		if err := inner.WriteFile(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	fsys := newHeldFS(t, inner, false)
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := root.FS("dir")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, name := range []string{"sub", "file"} {
			n, err := tree.Root().(vfs.Directory).Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			if r, ok := n.(vfs.Releaser); ok {
				r.Release()
			}
		}
	}
	sub, err := root.OpenRoot("dir/sub")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Stat("../../file"); wasip1.FromError(err) != wasip1.ESUCCESS && wasip1.FromError(err) != wasip1.ENOENT {
		t.Error(err)
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if len(fsys.live) != 0 {
		t.Errorf("still held: %v", fsys.live)
	}
}

func TestOpenRoot(t *testing.T) {
	mem := memfs.New()
	if err := mem.WriteFile("a/b/file", []byte("content")); err != nil {
		t.Fatal(err)
	}
	root, err := vfs.NewRoot(mem)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.OpenRoot("a/b/file"); wasip1.FromError(err) != wasip1.ENOTDIR {
		t.Errorf("of a file: %v, want ENOTDIR", err)
	}
	sub, err := root.OpenRoot("a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := root.Rename("a", "c"); err != nil {
		t.Fatal(err)
	}
	b, err := sub.ReadFile("../../../file")
	if err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
}
