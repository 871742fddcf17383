package vfs_test

import (
	"io/fs"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// burning is a file system that panics in one method, as long as that is set.
type burning struct {
	vfs.FS
	method string
}

func (b *burning) burn(method string) {
	if b.method == method {
		panic("the file system's mistake in " + method)
	}
}

func (b *burning) wrap(n vfs.Node, err error) (vfs.Node, error) {
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case vfs.Directory:
		return burningDir{n, b}, nil
	case vfs.RegularFile:
		return burningFile{n, b}, nil
	}
	return n, nil
}

func (b *burning) Root() vfs.Node {
	n, _ := b.wrap(b.FS.Root(), nil)
	return n
}

type burningDir struct {
	vfs.Directory
	b *burning
}

func (d burningDir) Attr() (vfs.Attr, error) { d.b.burn("dir.Attr"); return d.Directory.Attr() }
func (d burningDir) Release()                { d.b.burn("dir.Release") }
func (d burningDir) Lookup(name string) (vfs.Node, error) {
	d.b.burn("Lookup")
	return d.b.wrap(d.Directory.Lookup(name))
}
func (d burningDir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	d.b.burn("Create")
	return d.b.wrap(d.Directory.Create(name, perm))
}
func (d burningDir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	d.b.burn("Mkdir")
	return d.b.wrap(d.Directory.Mkdir(name, perm))
}
func (d burningDir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	d.b.burn("ReadDir")
	return d.Directory.ReadDir(cookie, entries)
}
func (d burningDir) Link(name string, n vfs.Node) error {
	d.b.burn("Link")
	return d.Directory.Link(name, n.(burningFile).RegularFile)
}
func (d burningDir) Unlink(name string) error { d.b.burn("Unlink"); return d.Directory.Unlink(name) }
func (d burningDir) Rmdir(name string) error  { d.b.burn("Rmdir"); return d.Directory.Rmdir(name) }
func (d burningDir) Rename(name string, to vfs.Directory, newName string) error {
	d.b.burn("Rename")
	return d.Directory.Rename(name, to.(burningDir).Directory, newName)
}

type burningFile struct {
	vfs.RegularFile
	b *burning
}

func (f burningFile) Attr() (vfs.Attr, error) { f.b.burn("Attr"); return f.RegularFile.Attr() }
func (f burningFile) SetAttr(s vfs.SetAttr) error {
	f.b.burn("SetAttr")
	return f.RegularFile.SetAttr(s)
}
func (f burningFile) Release() { f.b.burn("Release") }
func (f burningFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	f.b.burn("Open")
	o, err := f.RegularFile.Open(mode)
	return burningOpen{o, f.b}, err
}

type burningOpen struct {
	vfs.File
	b *burning
}

func (o burningOpen) ReadAt(p []byte, off int64) (int, error) {
	o.b.burn("ReadAt")
	return o.File.ReadAt(p, off)
}
func (o burningOpen) WriteAt(p []byte, off int64) (int, error) {
	o.b.burn("WriteAt")
	return o.File.WriteAt(p, off)
}
func (o burningOpen) Sync(dataOnly bool) error { o.b.burn("Sync"); return o.File.Sync(dataOnly) }
func (o burningOpen) Close() error             { o.b.burn("Close"); return o.File.Close() }

// TestFileSystemsThatPanic lets each method of a file system panic, below every wrapper. The panic
// reaches who made the call, as it reaches package virt, which ends the guest; nothing hangs then:
// not closing the guest's descriptors, and not the next guest on the same file system.
func TestFileSystemsThatPanic(t *testing.T) {
	methods := []string{"dir.Attr", "dir.Release", "Lookup", "Create", "Mkdir", "ReadDir", "Link", "Unlink", "Rmdir", "Rename",
		"Attr", "SetAttr", "Release", "Open", "ReadAt", "WriteAt", "Sync", "Close"}
	world := func() vfs.FS {
		mem := memfs.New()
		for _, name := range []string{"f", "dir/g"} {
			if err := mem.WriteFile(name, []byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		return mem
	}
	stacks := map[string]func(vfs.FS) vfs.FS{
		"plain": func(fsys vfs.FS) vfs.FS { return fsys },
		"quota": func(fsys vfs.FS) vfs.FS {
			return quotafs.New(fsys, quotafs.Limits{Bytes: 1 << 20, Inodes: 100, DirEntries: 50})
		},
		"fault": func(fsys vfs.FS) vfs.FS {
			f, err := faultfs.New(fsys, nil)
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"overlay upper": func(fsys vfs.FS) vfs.FS { return overlayfs.New(world(), fsys) },
		"overlay lower": func(fsys vfs.FS) vfs.FS { return overlayfs.New(fsys, memfs.New()) },
	}
	for name, stack := range stacks {
		for _, method := range methods {
			t.Run(name+"/"+method, func(t *testing.T) {
				b := &burning{FS: world()}
				fsys := stack(b)
				newcomer := func() (*guest, uint32) {
					ns := vfs.NewNamespace()
					mustMount(t, ns, "/", fsys)
					g := newGuest(t, ns)
					fd := g.mustOpen("f", 0, rw)
					if _, e := g.write(fd, "x"); e != wasip1.ESUCCESS {
						t.Fatalf("fd_write: %v", e)
					}
					return g, fd
				}
				contained := func(call func()) {
					defer func() { _ = recover() }()
					call()
				}
				g, fd := newcomer()
				b.method = method
				for _, call := range []func(){
					func() { g.write(fd, "y") },
					func() { g.read(fd, 10) },
					func() { g.write(fd, "more") },
					func() { iovs, n := g.iovs(2, 3); vfs.FdPwrite(&g.Caller, fd, iovs, n, 3, resultAt) },
					func() { vfs.FdSync(&g.Caller, fd) },
					func() { vfs.FdFilestatSetSize(&g.Caller, fd, 3) },
					func() { g.stat(root, "dir/g", 0) },
					func() { vfs.FdReaddir(&g.Caller, root, bufAt, 1000, 0, resultAt) },
					func() { g.open("new", wasip1.OCreat, rw) },
					func() { g.link("f", "other", 0) },
					func() { g.mkdir("sub") },
					func() { g.rename("new", "f2") },
					func() { g.unlink("f2") },
					func() { g.rmdir("sub") },
					func() { vfs.FdClose(&g.Caller, fd) },
					func() { g.Caller.Release() },
					func() { g.Table.Close() },
				} {
					contained(call)
				}
				b.method = ""
				g, fd = newcomer()
				if _, e := g.read(fd, 10); e != wasip1.ESUCCESS {
					t.Errorf("fd_read: %v", e)
				}
				g.create("another", "content")
				if e := g.unlink("another"); e != wasip1.ESUCCESS {
					t.Errorf("path_unlink_file: %v", e)
				}
			})
		}
	}
}
