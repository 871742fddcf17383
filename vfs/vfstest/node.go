package vfstest

import (
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// nodeCases: making, finding and removing.
func nodeCases() []Case {
	return []Case{
		{Name: "root/directory", run: func(r *run) {
			r.check(r.root.Type() == wasip1.FiletypeDirectory, "the root's type is %v", r.root.Type())
			a, b := r.attr(r.root), r.attr(r.fs.Root())
			r.check(a.Ino != 0 && a.Ino == b.Ino, "the root's inode is %d, then %d", a.Ino, b.Ino)
			r.check(a.Type == wasip1.FiletypeDirectory, "the root's attributes say %v", a.Type)
			r.names(r.root)
		}},
		{Name: "lookup/absent", run: func(r *run) {
			r.absent(r.root, "a")
			r.create(r.root, "ab")
			r.absent(r.root, "a")
			r.absent(r.root, "abc")
		}},
		{Name: "lookup/same-inode", run: func(r *run) {
			n := r.create(r.root, "a")
			for range 3 {
				r.check(r.ino(r.lookup(r.root, "a")) == r.ino(n), "another inode than that which was made")
			}
		}},
		{Name: "create/empty", run: func(r *run) {
			a := r.attr(r.create(r.root, "a"))
			r.check(a.Type == wasip1.FiletypeRegularFile, "type %v", a.Type)
			r.check(a.Size == 0 && a.Nlink == 1 && a.Ino != 0, "size %d, nlink %d, ino %d", a.Size, a.Nlink, a.Ino)
			r.content(r.root, "a", "")
		}},
		{Name: "create/exists", run: func(r *run) {
			r.write(r.root, "file", "content")
			r.mkdir(r.root, "dir")
			for _, name := range []string{"file", "dir"} {
				_, err := r.root.Create(name, 0o666)
				r.is(err, "create "+name, wasip1.EEXIST)
			}
			r.content(r.root, "file", "content")
		}},
		{Name: "create/exists-symlink", needs: Symlinks, run: func(r *run) {
			r.symlink(r.root, "dangling", "nowhere")
			_, err := r.root.Create("dangling", 0o666)
			r.is(err, "create on a dangling link", wasip1.EEXIST)
			r.absent(r.root, "nowhere")
		}},
		{Name: "mkdir/empty", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.check(d.Type() == wasip1.FiletypeDirectory && r.attr(d).Type == wasip1.FiletypeDirectory, "type %v", d.Type())
			r.names(d)
			r.check(r.ino(r.lookupDir(r.root, "d")) == r.ino(d), "another inode than that which was made")
		}},
		{Name: "mkdir/exists", run: func(r *run) {
			r.create(r.root, "file")
			r.create(r.mkdir(r.root, "dir"), "inside")
			for _, name := range []string{"file", "dir"} {
				_, err := r.root.Mkdir(name, 0o777)
				r.is(err, "mkdir "+name, wasip1.EEXIST)
			}
			r.names(r.lookupDir(r.root, "dir"), "inside")
		}},
		{Name: "mkdir/deep", run: func(r *run) {
			d := r.root
			for range 30 {
				d = r.mkdir(d, "d")
			}
			r.write(d, "end", "here")
			d = r.root
			for range 30 {
				d = r.lookupDir(d, "d")
			}
			r.content(d, "end", "here")
		}},
		{Name: "mkdir/nlink", needs: DirNlink, run: func(r *run) {
			nlink := func(n vfs.Node, want uint64) {
				got := r.attr(n).Nlink
				r.check(got == want, "nlink is %d, want %d", got, want)
			}
			d := r.mkdir(r.root, "d")
			nlink(d, 2)
			r.create(d, "file")
			nlink(d, 2)
			r.mkdir(d, "x")
			r.mkdir(d, "y")
			nlink(d, 4)
			r.ok(d.Rmdir("x"), "rmdir")
			nlink(d, 3)
			r.ok(d.Rename("y", r.root, "y"), "rename")
			nlink(d, 2)
			nlink(r.root, 4)
		}},
		{Name: "unlink/file", run: func(r *run) {
			r.create(r.root, "a")
			r.create(r.root, "b")
			r.ok(r.root.Unlink("a"), "unlink")
			r.absent(r.root, "a")
			r.names(r.root, "b")
			r.is(r.root.Unlink("a"), "a second unlink", wasip1.ENOENT)
		}},
		{Name: "unlink/absent", run: func(r *run) {
			r.is(r.root.Unlink("a"), "unlink", wasip1.ENOENT)
		}},
		{Name: "unlink/directory", run: func(r *run) {
			r.mkdir(r.root, "d")
			r.is(r.root.Unlink("d"), "unlink", wasip1.EISDIR)
			r.names(r.root, "d")
		}},
		{Name: "unlink/symlink-not-target", needs: Symlinks, run: func(r *run) {
			r.write(r.root, "target", "kept")
			r.mkdir(r.root, "dir")
			r.symlink(r.root, "to-file", "target")
			r.symlink(r.root, "to-dir", "dir")
			r.ok(r.root.Unlink("to-file"), "unlink a link to a file")
			r.ok(r.root.Unlink("to-dir"), "unlink a link to a directory")
			r.names(r.root, "dir", "target")
			r.content(r.root, "target", "kept")
		}},
		{Name: "unlink/open", needs: OpenUnlink, run: func(r *run) {
			n := r.write(r.root, "a", "before")
			f := r.open(n)
			r.ok(r.root.Unlink("a"), "unlink")
			r.check(r.readAt(f, 0, 10) == "before", "the content has gone with the name")
			r.writeAt(f, " and after", 6)
			r.check(r.readAt(f, 0, 20) == "before and after", "writing no longer works")
			a := r.attr(n)
			r.check(a.Nlink == 0, "nlink is %d, want 0", a.Nlink)
			r.check(a.Size == 16, "size is %d, want 16", a.Size)
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetSize, Size: 3})
			r.check(r.readAt(f, 0, 20) == "bef", "truncating no longer works")
		}},
		{Name: "unlink/open-and-made-again", needs: OpenUnlink, run: func(r *run) {
			old := r.write(r.root, "a", "old")
			f := r.open(old)
			r.ok(r.root.Unlink("a"), "unlink")
			n := r.write(r.root, "a", "newer")
			r.check(r.ino(n) != r.ino(old), "two files have the inode %d", r.ino(n))
			r.check(r.readAt(f, 0, 10) == "old", "the new file is seen through the old one")
			r.content(r.root, "a", "newer")
		}},
		{Name: "rmdir/empty", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.create(d, "file")
			r.ok(d.Unlink("file"), "unlink")
			r.ok(r.root.Rmdir("d"), "rmdir")
			r.absent(r.root, "d")
			r.names(r.root)
		}},
		{Name: "rmdir/absent", run: func(r *run) {
			r.is(r.root.Rmdir("d"), "rmdir", wasip1.ENOENT)
		}},
		{Name: "rmdir/not-empty", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.mkdir(d, "inside")
			r.is(r.root.Rmdir("d"), "rmdir", wasip1.ENOTEMPTY)
			r.names(d, "inside")
		}},
		{Name: "rmdir/not-directory", run: func(r *run) {
			r.create(r.root, "file")
			r.is(r.root.Rmdir("file"), "rmdir", wasip1.ENOTDIR)
			r.names(r.root, "file")
		}},
		{Name: "rmdir/symlink-to-directory", needs: Symlinks, run: func(r *run) {
			r.mkdir(r.root, "d")
			r.symlink(r.root, "l", "d")
			r.is(r.root.Rmdir("l"), "rmdir", wasip1.ENOTDIR)
			r.names(r.root, "d", "l")
		}},
		{Name: "rmdir/in-use", needs: OpenUnlink, run: func(r *run) {
			d := r.mkdir(r.root, "d")
			file := r.create(r.root, "file")
			r.ok(r.root.Rmdir("d"), "rmdir")
			_, err := d.Create("a", 0o666)
			r.is(err, "create in it", wasip1.ENOENT)
			_, err = d.Mkdir("a", 0o777)
			r.is(err, "mkdir in it", wasip1.ENOENT)
			if r.has(Symlinks) {
				_, err = d.Symlink("a", "b")
				r.is(err, "symlink in it", wasip1.ENOENT)
			}
			if r.has(HardLinks) {
				r.is(d.Link("a", file), "link into it", wasip1.ENOENT)
			}
			r.is(r.root.Rename("file", d, "a"), "rename into it", wasip1.ENOENT)
			r.is(d.Unlink("a"), "unlink in it", wasip1.ENOENT)
			r.absent(d, "a")
			r.names(d)
			r.names(r.root, "file")
		}},
		{Name: "rmdir/made-again", needs: OpenUnlink, run: func(r *run) {
			old := r.mkdir(r.root, "d")
			r.ok(r.root.Rmdir("d"), "rmdir")
			r.create(r.mkdir(r.root, "d"), "file")
			r.names(old)
			_, err := old.Create("a", 0o666)
			r.is(err, "create in the old one", wasip1.ENOENT)
		}},
		{Name: "ino/distinct", run: func(r *run) {
			seen := map[uint64]string{r.ino(r.root): "the root"}
			note := func(name string, n vfs.Node) {
				ino := r.ino(n)
				r.check(ino != 0, "%s has the inode 0", name)
				r.check(seen[ino] == "", "%s and %s have the inode %d", name, seen[ino], ino)
				seen[ino] = name
			}
			d := r.mkdir(r.root, "d")
			note("d", d)
			for _, name := range []string{"a", "b", "c"} {
				note(name, r.create(r.root, name))
				note("d/"+name, r.create(d, name))
			}
			if r.has(Symlinks) {
				note("l", r.symlink(r.root, "l", "a"))
			}
		}},
	}
}
