package vfstest

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// lent returns a string in a buffer, and what overwrites that.
func lent(s string) (string, func()) {
	buf := []byte(s)
	return unsafe.String(unsafe.SliceData(buf), len(buf)), func() {
		for i := range buf {
			buf[i] = '#'
		}
	}
}

// nameCases: what names may be, and that they are lent.
func nameCases() []Case {
	long := strings.Repeat("n", 255)
	return []Case{
		{Name: "name/255-bytes", run: func(r *run) {
			r.write(r.root, long, "file")
			r.content(r.root, long, "file")
			r.names(r.root, long)
			r.ok(r.root.Unlink(long), "unlink")
			r.mkdir(r.root, long)
			r.ok(r.root.Rmdir(long), "rmdir")
		}},
		{Name: "name/256-bytes", run: func(r *run) {
			tooLong := long + "n"
			file := r.create(r.root, "file")
			_, err := r.root.Lookup(tooLong)
			r.is(err, "lookup", wasip1.ENAMETOOLONG)
			_, err = r.root.Create(tooLong, 0o666)
			r.is(err, "create", wasip1.ENAMETOOLONG)
			_, err = r.root.Mkdir(tooLong, 0o777)
			r.is(err, "mkdir", wasip1.ENAMETOOLONG)
			if r.has(Symlinks) {
				_, err = r.root.Symlink(tooLong, "x")
				r.is(err, "symlink", wasip1.ENAMETOOLONG)
			}
			if r.has(HardLinks) {
				r.is(r.root.Link(tooLong, file), "link", wasip1.ENAMETOOLONG)
			}
			r.is(r.root.Unlink(tooLong), "unlink", wasip1.ENAMETOOLONG)
			r.is(r.root.Rmdir(tooLong), "rmdir", wasip1.ENAMETOOLONG)
			r.is(r.root.Rename("file", r.root, tooLong), "rename to it", wasip1.ENAMETOOLONG)
			r.names(r.root, "file")
		}},
		{Name: "name/unusual", run: func(r *run) {
			names := []string{" ", "a b", "...", "..a", "-rf", "~", "%2e", "$HOME", "grün", "日本", "🙂", "a'b", "#", "a,b;c"}
			for _, name := range names {
				r.write(r.root, name, "in "+name)
			}
			for _, name := range names {
				r.content(r.root, name, "in "+name)
			}
			r.names(r.root, names...)
		}},
		{Name: "name/not-utf8", run: func(r *run) {
			for _, name := range []string{"\xff", "a\x80b", "\xed\xa0\x80"} {
				if !r.has(ByteNames) {
					_, err := r.root.Create(name, 0o666)
					r.is(err, fmt.Sprintf("create %q", name), wasip1.EILSEQ, wasip1.EINVAL)
					continue
				}
				r.write(r.root, name, name)
				r.content(r.root, name, name)
				r.names(r.root, name)
				r.ok(r.root.Unlink(name), "unlink")
			}
		}},
		{Name: "name/control-bytes", needs: ByteNames, run: func(r *run) {
			r.create(r.root, "a\nb")
			r.create(r.root, "\x01\x7f")
			r.create(r.root, `back\slash`)
			r.names(r.root, "a\nb", "\x01\x7f", `back\slash`)
		}},
		{Name: "name/lent-create", run: func(r *run) {
			name, overwrite := lent("file")
			r.create(r.root, name)
			overwrite()
			r.lookup(r.root, "file")
			r.absent(r.root, "####")
			r.names(r.root, "file")
		}},
		{Name: "name/lent-mkdir", run: func(r *run) {
			name, overwrite := lent("dir")
			d := r.mkdir(r.root, name)
			overwrite()
			r.create(d, "inside")
			r.names(r.lookupDir(r.root, "dir"), "inside")
			r.names(r.root, "dir")
		}},
		{Name: "name/lent-lookup", run: func(r *run) {
			d := r.mkdir(r.root, "dir")
			r.write(d, "file", "content")
			name, overwrite := lent("dir")
			d = r.lookupDir(r.root, name)
			overwrite()
			name, overwrite = lent("file")
			n := r.lookupFile(d, name)
			overwrite()
			r.check(r.readAt(r.open(n), 0, 10) == "content", "the content is not found")
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: 1_000_000_000})
			r.content(d, "file", "content")
		}},
		{Name: "name/lent-symlink", needs: Symlinks, run: func(r *run) {
			name, overwrite := lent("link")
			target, overwriteTarget := lent("target")
			l := r.symlink(r.root, name, target)
			overwrite()
			overwriteTarget()
			got, err := l.Readlink()
			r.ok(err, "readlink")
			r.check(got == "target", "the target is %q", got)
			r.names(r.root, "link")
		}},
		{Name: "name/lent-link", needs: HardLinks, run: func(r *run) {
			n := r.create(r.root, "file")
			name, overwrite := lent("name")
			r.ok(r.root.Link(name, n), "link")
			overwrite()
			r.names(r.root, "file", "name")
			r.lookup(r.root, "name")
		}},
		{Name: "name/lent-rename", run: func(r *run) {
			r.write(r.root, "file", "content")
			from, overwrite := lent("file")
			to, overwriteTo := lent("name")
			r.ok(r.root.Rename(from, r.root, to), "rename")
			overwrite()
			overwriteTo()
			r.names(r.root, "name")
			r.content(r.root, "name", "content")
		}},
		{Name: "name/lent-remove", run: func(r *run) {
			r.create(r.root, "file")
			r.mkdir(r.root, "dir")
			name, overwrite := lent("file")
			r.ok(r.root.Unlink(name), "unlink")
			overwrite()
			name, overwrite = lent("dir")
			r.ok(r.root.Rmdir(name), "rmdir")
			overwrite()
			r.create(r.root, "file")
			r.create(r.root, "dir")
			r.names(r.root, "dir", "file")
		}},
	}
}
