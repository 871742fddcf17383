package vfstest

import (
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// stranger is a node of no file system.
type stranger struct{ vfs.Directory }

func (stranger) Type() wasip1.Filetype     { return wasip1.FiletypeRegularFile }
func (stranger) Attr() (vfs.Attr, error)   { return vfs.Attr{Ino: 1, Nlink: 1}, nil }
func (stranger) SetAttr(vfs.SetAttr) error { return wasip1.EIO }

// linkCases: hard and symbolic links.
func linkCases() []Case {
	return []Case{
		{Name: "link/missing", run: func(r *run) {
			if r.has(HardLinks) {
				return
			}
			n := r.create(r.root, "file")
			r.is(r.root.Link("name", n), "link", wasip1.ENOTSUP)
			r.names(r.root, "file")
		}},
		{Name: "link/same-file", needs: HardLinks, run: func(r *run) {
			d := r.mkdir(r.root, "d")
			n := r.write(r.root, "a", "content")
			r.ok(d.Link("b", n), "link")
			r.content(d, "b", "content")
			b := r.lookupFile(d, "b")
			r.check(r.ino(b) == r.ino(n), "the names have inodes %d and %d", r.ino(n), r.ino(b))
			r.writeAt(r.open(b), "C", 0)
			r.content(r.root, "a", "Content")
			for _, e := range r.list(d, 0, 1) {
				r.check(e.Ino == r.ino(n), "readdir says inode %d of it", e.Ino)
			}
		}},
		{Name: "link/nlink", needs: HardLinks, run: func(r *run) {
			nlink := func(n vfs.Node, want uint64) {
				got := r.attr(n).Nlink
				r.check(got == want, "nlink is %d, want %d", got, want)
			}
			n := r.create(r.root, "a")
			r.open(n)
			nlink(n, 1)
			r.ok(r.root.Link("b", n), "link")
			nlink(n, 2)
			nlink(r.lookup(r.root, "b"), 2)
			r.ok(r.root.Link("c", r.lookup(r.root, "b")), "link by the other name")
			nlink(n, 3)
			r.ok(r.root.Unlink("a"), "unlink the first name")
			nlink(n, 2)
			r.create(r.root, "x")
			r.ok(r.root.Rename("x", r.root, "b"), "rename over a name")
			nlink(n, 1)
			nlink(r.lookup(r.root, "c"), 1)
		}},
		{Name: "link/nlink-last", needs: HardLinks | OpenUnlink, run: func(r *run) {
			n := r.create(r.root, "a")
			r.open(n)
			r.ok(r.root.Link("b", n), "link")
			r.ok(r.root.Unlink("a"), "unlink")
			r.ok(r.root.Unlink("b"), "unlink")
			r.check(r.attr(n).Nlink == 0, "nlink is %d, want 0", r.attr(n).Nlink)
			r.is(r.root.Link("c", n), "link of a file without names", wasip1.ENOENT)
			r.names(r.root)
		}},
		{Name: "link/exists", needs: HardLinks, run: func(r *run) {
			n := r.create(r.root, "a")
			r.create(r.root, "b")
			r.mkdir(r.root, "d")
			r.is(r.root.Link("a", n), "link to itself", wasip1.EEXIST)
			r.is(r.root.Link("b", n), "link over a file", wasip1.EEXIST)
			r.is(r.root.Link("d", n), "link over a directory", wasip1.EEXIST)
			r.check(r.attr(n).Nlink == 1, "nlink is %d, want 1", r.attr(n).Nlink)
		}},
		{Name: "link/directory", needs: HardLinks, run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.is(r.root.Link("e", d), "link", wasip1.EPERM)
			r.names(r.root, "d")
		}},
		{Name: "link/other-file-system", needs: HardLinks, run: func(r *run) {
			r.is(r.root.Link("a", stranger{}), "link", wasip1.EXDEV)
			r.names(r.root)
		}},
		{Name: "link/symlink", needs: HardLinks | Symlinks, run: func(r *run) {
			l := r.symlink(r.root, "l", "nowhere")
			r.ok(r.root.Link("m", l), "link")
			m := r.lookup(r.root, "m")
			r.check(m.Type() == wasip1.FiletypeSymbolicLink && r.ino(m) == r.ino(l), "the link was followed")
			r.check(r.attr(l).Nlink == 2, "nlink is %d, want 2", r.attr(l).Nlink)
		}},
		{Name: "symlink/missing", run: func(r *run) {
			if r.has(Symlinks) {
				return
			}
			_, err := r.root.Symlink("l", "target")
			r.is(err, "symlink", wasip1.ENOTSUP)
			r.names(r.root)
		}},
		{Name: "symlink/targets", needs: Symlinks, run: func(r *run) {
			for i, target := range []string{
				"a", "a/b", "../..", "/abs", "./.", "a//b/", " ", "日本", "l0", strings.Repeat("t", 255), strings.Repeat("t/", 2047) + "t",
			} {
				name := "l" + string(rune('0'+i))
				l := r.symlink(r.root, name, target)
				got, err := l.Readlink()
				r.ok(err, "readlink")
				r.check(got == target, "the target is %.40q, want %.40q", got, target)
				l, ok := r.lookup(r.root, name).(vfs.Symlink)
				r.check(ok, "lookup does not find a link")
				got, err = l.Readlink()
				r.ok(err, "readlink")
				r.check(got == target, "looked up, the target is %.40q, want %.40q", got, target)
				a := r.attr(l)
				r.check(a.Type == wasip1.FiletypeSymbolicLink, "type %v", a.Type)
				r.check(a.Size == uint64(len(target)), "size %d, want %d", a.Size, len(target))
				r.check(a.Nlink == 1, "nlink %d", a.Nlink)
			}
		}},
		{Name: "symlink/not-followed", needs: Symlinks, run: func(r *run) {
			r.mkdir(r.root, "dir")
			r.symlink(r.root, "l", "dir")
			n := r.lookup(r.root, "l")
			_, isDir := n.(vfs.Directory)
			r.check(!isDir && n.Type() == wasip1.FiletypeSymbolicLink, "lookup followed a link")
		}},
		{Name: "symlink/exists", needs: Symlinks, run: func(r *run) {
			r.create(r.root, "file")
			r.mkdir(r.root, "dir")
			r.symlink(r.root, "link", "old")
			for _, name := range []string{"file", "dir", "link"} {
				_, err := r.root.Symlink(name, "new")
				r.is(err, "symlink over "+name, wasip1.EEXIST)
			}
			got, err := r.lookup(r.root, "link").(vfs.Symlink).Readlink()
			r.ok(err, "readlink")
			r.check(got == "old", "the target is %q now", got)
		}},
		{Name: "symlink/size", needs: Symlinks, run: func(r *run) {
			l := r.symlink(r.root, "l", "target")
			r.is(l.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 1}), "truncating a link", wasip1.EINVAL)
		}},
	}
}
