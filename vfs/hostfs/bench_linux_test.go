//go:build linux && (amd64 || arm64)

package hostfs

import (
	"fmt"
	"path/filepath"
	"testing"

	"os"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func BenchmarkLinux(b *testing.B) {
	dir := b.TempDir()
	for _, d := range []string{"1/2/3/4/5/6/7", "many"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			b.Fatal(err)
		}
	}
	for _, f := range []string{"file", "1/2/3/4/5/6/7/file"} {
		if err := os.WriteFile(filepath.Join(dir, f), make([]byte, 1<<17), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	fsys := newFS(b, dir)
	p := pathOpener(fsys)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("open-close/1", func() error { return openClose("file")(p, nil) })
	run("open-close/8", func() error { return openClose("1/2/3/4/5/6/7/file")(p, nil) })
	run("attr/1", func() error { return attrPath("file")(p, nil) })
	run("attr/8", func() error { return attrPath("1/2/3/4/5/6/7/file")(p, nil) })
	run("create-close-unlink", func() error {
		n, f, err := p.OpenPath("new", true, wasip1.OCreat|wasip1.OExcl, vfs.OpenWrite, 0o666)
		if err != nil {
			return err
		}
		f.Close()
		release(n)
		return p.Unlink("new")
	})
	run("rename", func() error {
		if err := p.Rename("file", p, "file2"); err != nil {
			return err
		}
		return p.Rename("file2", p, "file")
	})
	run("lookup-dir", func() error {
		n, err := p.Lookup("1")
		release(n)
		return err
	})
	n, f, err := p.OpenPath("file", true, 0, vfs.OpenRead|vfs.OpenWrite, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer release(n)
	defer f.Close()
	for _, size := range []int{1, 4 << 10, 64 << 10} {
		buf := make([]byte, size)
		run(fmt.Sprint("read/", size), func() error { _, err := f.ReadAt(buf, 0); return err })
	}
	bufs := make([][]byte, 8)
	for i := range bufs {
		bufs[i] = make([]byte, 512)
	}
	v := f.(vfs.VectorFile)
	run("read-8x512", func() error { _, err := v.ReadVector(bufs, 0); return err })
	run("write-8x512", func() error { _, err := v.WriteVector(bufs, 0); return err })
	run("append/1", func() error { _, _, err := f.(vfs.Appender).Append([][]byte{{1}}); return err })
	run("fstat", func() error { _, err := n.Attr(); return err })

	for i := range 20000 {
		if err := os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("file-%d", i)), nil, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	many, err := p.Lookup("many")
	if err != nil {
		b.Fatal(err)
	}
	defer release(many)
	entries := make([]vfs.DirEntry, 128)
	run("list-20000", func() error {
		for cookie := uint64(0); ; {
			n, err := many.(vfs.Directory).ReadDir(cookie, entries)
			if n == 0 || err != nil {
				return err
			}
			cookie = entries[n-1].Next
		}
	})
}
