package vfstest

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Tree returns what a file system for [WithReadOnly] holds: contents by name, with slashes.
// Directories are those that the names mention.
func Tree() map[string]string {
	t := map[string]string{
		"empty":             "",
		"hello.txt":         "hello\n",
		"large":             strings.Repeat("0123456789abcdef", 10_000),
		"dir/file":          "in dir",
		"dir/sub/deep/file": "deep down",
		"dir/grün/日本 🙂.txt": "names",
	}
	for i := range 150 {
		t[fmt.Sprintf("many/file%03d", i)] = fmt.Sprint(i)
	}
	return t
}

// readOnlyCases are for file systems that hold Tree and cannot be changed.
func readOnlyCases() []Case {
	cases := []Case{
		{Name: "read-only/root", run: func(r *run) {
			a := r.attr(r.root)
			r.check(a.Ino != 0 && a.Type == wasip1.FiletypeDirectory, "attributes %+v", a)
			r.names(r.root, "dir", "empty", "hello.txt", "large", "many")
		}},
		{Name: "read-only/content", run: func(r *run) {
			for name, content := range Tree() {
				d, base := r.root, name
				for {
					dir, rest, found := strings.Cut(base, "/")
					if !found {
						break
					}
					d, base = r.lookupDir(d, dir), rest
				}
				r.content(d, base, content)
				a := r.attr(r.lookup(d, base))
				r.check(a.Size == uint64(len(content)) && a.Nlink >= 1 && a.Ino != 0, "attributes %+v", a)
				r.check(a.Type == wasip1.FiletypeRegularFile, "type %v", a.Type)
			}
		}},
		{Name: "read-only/read-at", run: func(r *run) {
			f := r.openMode(r.lookupFile(r.root, "large"), vfs.OpenRead)
			want := Tree()["large"]
			for _, off := range []int{150_000, 17, 4096, 0, 159_999} {
				got := r.readAt(f, int64(off), 100)
				r.check(got == want[off:min(off+100, len(want))], "at %d there is %.20q", off, got)
			}
			n, err := f.ReadAt(make([]byte, 1), 1<<40)
			r.check(n == 0 && err == io.EOF, "a read beyond the end returns %d, %v", n, err)
			_, err = f.ReadAt(make([]byte, 1), -1)
			r.is(err, "a read at -1", wasip1.EINVAL)
			r.ok(f.Close(), "close")
		}},
		{Name: "read-only/lookup", run: func(r *run) {
			r.absent(r.root, "absent")
			r.absent(r.lookupDir(r.root, "dir"), "hello.txt")
			_, err := r.root.Lookup(strings.Repeat("n", 256))
			r.is(err, "lookup of a long name", wasip1.ENAMETOOLONG)
			ino := r.ino(r.lookup(r.root, "dir"))
			r.check(ino == r.ino(r.lookup(r.root, "dir")), "the inode changes")
			r.check(ino != r.ino(r.lookup(r.root, "empty")), "two files, one inode")
		}},
		{Name: "read-only/lent", run: func(r *run) {
			name, overwrite := lent("dir")
			d := r.lookupDir(r.root, name)
			overwrite()
			name, overwrite = lent("file")
			n := r.lookupFile(d, name)
			overwrite()
			f := r.openMode(n, vfs.OpenRead)
			r.check(r.readAt(f, 0, 10) == "in dir", "the content is not found")
			r.ok(f.Close(), "close")
			r.names(d, "file", "grün", "sub")
		}},
		{Name: "read-only/readdir", run: func(r *run) {
			d := r.lookupDir(r.root, "many")
			whole := r.list(d, 0, 200)
			r.check(len(whole) == 150, "%d entries, want 150", len(whole))
			for i, e := range whole {
				n := r.lookup(d, e.Name)
				r.check(e.Ino == r.ino(n) && e.Type == n.Type(), "%s has inode %d and type %v in the list", e.Name, e.Ino, e.Type)
				if i%10 == 0 {
					got := namesOf(r.list(d, e.Next, 7))
					r.check(slices.Equal(got, namesOf(whole[i+1:])), "after %s follows another list", e.Name)
				}
			}
		}},
	}
	// Every way to change something, each on its own.
	for _, w := range []struct {
		name string
		do   func(r *run, d vfs.Directory) error
	}{
		{"create", func(_ *run, d vfs.Directory) error { _, err := d.Create("new", 0o666); return err }},
		{"mkdir", func(_ *run, d vfs.Directory) error { _, err := d.Mkdir("new", 0o777); return err }},
		{"symlink", func(_ *run, d vfs.Directory) error { _, err := d.Symlink("new", "target"); return err }},
		{"link", func(r *run, d vfs.Directory) error { return d.Link("new", r.lookup(d, "file")) }},
		{"unlink", func(_ *run, d vfs.Directory) error { return d.Unlink("file") }},
		{"rename", func(_ *run, d vfs.Directory) error { return d.Rename("file", d, "new") }},
		{"rename-over", func(r *run, d vfs.Directory) error { return d.Rename("file", r.root, "hello.txt") }},
		{"open", func(r *run, d vfs.Directory) error {
			_, err := r.lookupFile(d, "file").Open(vfs.OpenRead | vfs.OpenWrite)
			return err
		}},
		{"open-truncate", func(r *run, d vfs.Directory) error {
			_, err := r.lookupFile(d, "file").Open(vfs.OpenWrite | vfs.OpenTruncate)
			return err
		}},
		{"set-size", func(r *run, d vfs.Directory) error {
			return r.lookup(d, "file").SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 1})
		}},
		{"set-times", func(r *run, d vfs.Directory) error {
			return r.lookup(d, "file").SetAttr(vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetAtim, Mtim: 1, Atim: 1})
		}},
		{"set-times-of-directory", func(_ *run, d vfs.Directory) error {
			return d.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim, Mtim: 1})
		}},
		{"write", func(r *run, d vfs.Directory) error {
			f := r.openMode(r.lookupFile(d, "file"), vfs.OpenRead)
			defer f.Close()
			_, err := f.WriteAt([]byte("x"), 0)
			if wasip1.FromError(err) == wasip1.EBADF { // it was not opened for writing, which is as true
				return wasip1.EROFS
			}
			return err
		}},
	} {
		cases = append(cases, Case{Name: "read-only/" + w.name, run: func(r *run) {
			d := r.lookupDir(r.root, "dir")
			before := r.attr(d)
			r.is(w.do(r, d), w.name, wasip1.EROFS)
			after := r.attr(d)
			r.check(before.Mtim == after.Mtim, "mtim changed")
			r.names(d, "file", "grün", "sub")
			r.content(d, "file", "in dir")
			r.content(r.root, "hello.txt", "hello\n")
		}})
	}
	for i := range cases {
		cases[i].onReadOnly = true
	}
	return cases
}
