package vfstest

import (
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// renameMatrix is a case for every type onto every type.
func renameMatrix() []Case {
	const (
		file    = "file"
		empty   = "empty-dir"
		full    = "full-dir"
		link    = "symlink"
		nothing = "nothing"
	)
	const ok = wasip1.ESUCCESS
	want := map[string]map[string]wasip1.Errno{
		file:  {nothing: ok, file: ok, empty: wasip1.EISDIR, full: wasip1.EISDIR, link: ok},
		link:  {nothing: ok, file: ok, empty: wasip1.EISDIR, full: wasip1.EISDIR, link: ok},
		empty: {nothing: ok, file: wasip1.ENOTDIR, empty: ok, full: wasip1.ENOTEMPTY, link: wasip1.ENOTDIR},
		full:  {nothing: ok, file: wasip1.ENOTDIR, empty: ok, full: wasip1.ENOTEMPTY, link: wasip1.ENOTDIR},
	}
	put := func(r *run, d vfs.Directory, kind, name string) vfs.Node {
		switch kind {
		case file:
			return r.write(d, name, "content of "+name)
		case link:
			return r.symlink(d, name, "target of "+name)
		case empty:
			return r.mkdir(d, name)
		case full:
			n := r.mkdir(d, name)
			r.create(n, "inside "+name)
			return n
		}
		return nil
	}
	// still demands that name is what put made.
	still := func(r *run, d vfs.Directory, kind, name, made string, ino uint64) {
		if kind == nothing {
			r.absent(d, name)
			return
		}
		n := r.lookup(d, name)
		r.check(r.ino(n) == ino, "%s has another inode now", name)
		switch kind {
		case file:
			r.content(d, name, "content of "+made)
		case link:
			got, err := n.(vfs.Symlink).Readlink()
			r.ok(err, "readlink")
			r.check(got == "target of "+made, "the target is %q", got)
		case empty:
			r.names(n.(vfs.Directory))
		case full:
			r.names(n.(vfs.Directory), "inside "+made)
		}
	}
	var cases []Case
	for _, from := range []string{file, empty, full, link} {
		for _, to := range []string{nothing, file, empty, full, link} {
			for _, where := range []string{"", "-elsewhere"} {
				c := Case{Name: "rename/" + from + "-onto-" + to + where}
				if from == link || to == link {
					c.needs = Symlinks
				}
				c.run = func(r *run) {
					there := r.root
					if where != "" {
						there = r.mkdir(r.root, "elsewhere")
					}
					src, dst := put(r, r.root, from, "src"), put(r, there, to, "dst")
					srcIno, dstIno := r.ino(src), uint64(0)
					if dst != nil {
						dstIno = r.ino(dst)
					}
					err := r.root.Rename("src", there, "dst")
					errno := want[from][to]
					r.is(err, "rename", errno)
					if errno == ok {
						r.absent(r.root, "src")
						still(r, there, from, "dst", "src", srcIno)
						return
					}
					still(r, r.root, from, "src", "src", srcIno)
					still(r, there, to, "dst", "dst", dstIno)
				}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// renameCases: what else rename(2) says.
func renameCases() []Case {
	return []Case{
		{Name: "rename/absent", run: func(r *run) {
			r.create(r.root, "b")
			r.is(r.root.Rename("a", r.root, "b"), "rename", wasip1.ENOENT)
			r.is(r.root.Rename("a", r.root, "a"), "rename", wasip1.ENOENT)
			r.names(r.root, "b")
		}},
		{Name: "rename/onto-itself", run: func(r *run) {
			r.write(r.root, "file", "content")
			r.create(r.mkdir(r.root, "dir"), "inside")
			r.ok(r.root.Rename("file", r.root, "file"), "a file")
			r.ok(r.root.Rename("dir", r.root, "dir"), "a directory")
			r.content(r.root, "file", "content")
			r.names(r.lookupDir(r.root, "dir"), "inside")
			r.names(r.root, "dir", "file")
		}},
		{Name: "rename/two-names-of-one-file", needs: HardLinks, run: func(r *run) {
			n := r.create(r.root, "a")
			r.ok(r.root.Link("b", n), "link")
			r.ok(r.root.Rename("a", r.root, "b"), "rename")
			r.names(r.root, "a", "b")
			r.check(r.attr(n).Nlink == 2, "nlink is %d, want 2", r.attr(n).Nlink)
		}},
		{Name: "rename/into-itself", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.is(r.root.Rename("d", d, "x"), "rename", wasip1.EINVAL)
			r.names(r.root, "d")
			r.names(d)
		}},
		{Name: "rename/below-itself", run: func(r *run) {
			a := r.mkdir(r.root, "a")
			b := r.mkdir(a, "b")
			c := r.mkdir(b, "c")
			r.is(r.root.Rename("a", c, "x"), "rename", wasip1.EINVAL)
			r.is(a.Rename("b", c, "x"), "rename", wasip1.EINVAL)
			r.names(c)
			r.names(r.root, "a")
		}},
		{Name: "rename/onto-parent", run: func(r *run) {
			a := r.mkdir(r.root, "a")
			b := r.mkdir(a, "b")
			r.mkdir(b, "c")
			r.is(b.Rename("c", r.root, "a"), "a directory onto its grandparent", wasip1.ENOTEMPTY)
			r.is(a.Rename("b", r.root, "a"), "a directory onto its parent", wasip1.ENOTEMPTY)
			r.names(b, "c")
		}},
		{Name: "rename/after-a-move", run: func(r *run) {
			// Where a directory lies is found out anew: what was below is not any more.
			a := r.mkdir(r.root, "a")
			b := r.mkdir(a, "b")
			r.ok(a.Rename("b", r.root, "b"), "rename b out")
			r.ok(r.root.Rename("a", b, "a"), "rename a below b")
			r.is(r.root.Rename("b", a, "b"), "rename b below a", wasip1.EINVAL)
			r.names(r.root, "b")
			r.names(b, "a")
		}},
		{Name: "rename/inode", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			for _, n := range []vfs.Node{r.create(r.root, "x"), r.mkdir(r.root, "y")} {
				name := map[bool]string{true: "y", false: "x"}[n.Type() == wasip1.FiletypeDirectory]
				ino := r.ino(n)
				r.ok(r.root.Rename(name, d, "new"+name), "rename")
				r.check(r.ino(r.lookup(d, "new"+name)) == ino, "the inode changed")
				r.check(r.ino(n) == ino, "the old node's inode changed")
			}
		}},
		{Name: "rename/open-file", needs: OpenUnlink, run: func(r *run) {
			f := r.open(r.write(r.root, "a", "content"))
			r.ok(r.root.Rename("a", r.mkdir(r.root, "d"), "b"), "rename")
			r.writeAt(f, "C", 0)
			r.content(r.lookupDir(r.root, "d"), "b", "Content")
		}},
		{Name: "rename/replaced-open-file", needs: OpenUnlink, run: func(r *run) {
			old := r.write(r.root, "b", "old")
			f := r.open(old)
			r.write(r.root, "a", "newer")
			r.ok(r.root.Rename("a", r.root, "b"), "rename")
			r.check(r.readAt(f, 0, 10) == "old", "the replaced file lost its content")
			r.check(r.attr(old).Nlink == 0, "nlink of the replaced file is %d, want 0", r.attr(old).Nlink)
			r.writeAt(f, "x", 0)
			r.content(r.root, "b", "newer")
		}},
		{Name: "rename/directory-in-use", needs: OpenUnlink, run: func(r *run) {
			d := r.mkdir(r.root, "d")
			sub := r.mkdir(d, "sub")
			f := r.open(r.write(sub, "file", "content"))
			r.ok(r.root.Rename("d", r.mkdir(r.root, "e"), "moved"), "rename")
			r.write(d, "new", "through the old node")
			r.write(sub, "below", "too")
			r.writeAt(f, "C", 0)
			moved := r.lookupDir(r.lookupDir(r.root, "e"), "moved")
			r.names(moved, "new", "sub")
			r.content(moved, "new", "through the old node")
			r.content(r.lookupDir(moved, "sub"), "file", "Content")
			r.content(r.lookupDir(moved, "sub"), "below", "too")
		}},
		{Name: "rename/replaced-directory-in-use", needs: OpenUnlink, run: func(r *run) {
			old := r.mkdir(r.root, "old")
			r.create(r.mkdir(r.root, "new"), "inside")
			r.ok(r.root.Rename("new", r.root, "old"), "rename")
			_, err := old.Create("x", 0o666)
			r.is(err, "create in the replaced directory", wasip1.ENOENT)
			r.names(old)
			r.names(r.lookupDir(r.root, "old"), "inside")
		}},
		{Name: "rename/other-file-system", run: func(r *run) {
			r.create(r.root, "a")
			r.is(r.root.Rename("a", stranger{}, "b"), "rename", wasip1.EXDEV)
			r.names(r.root, "a")
		}},
		{Name: "rename/back-and-forth", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.write(r.root, "a", "content")
			for range 20 {
				r.ok(r.root.Rename("a", d, "b"), "there")
				r.names(r.root, "d")
				r.ok(d.Rename("b", r.root, "a"), "and back")
				r.names(d)
			}
			r.content(r.root, "a", "content")
		}},
	}
}
