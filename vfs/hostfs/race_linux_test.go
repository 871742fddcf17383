package hostfs

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// arena is a mount in which "d" is a directory at one moment and a link out of the mount at the
// next, while "f" is a file and a link to a file outside. Both hold the same names inside and
// outside; what is outside says so.
type arena struct {
	dir, outside string
	swaps        atomic.Int64
}

func newArena(t *testing.T) *arena {
	a := &arena{dir: t.TempDir(), outside: t.TempDir()}
	writeFile(t, filepath.Join(a.dir, "d/file"), "inside")
	writeFile(t, filepath.Join(a.dir, "d/sub/file"), "inside")
	writeFile(t, filepath.Join(a.dir, "f"), "inside")
	writeFile(t, filepath.Join(a.outside, "file"), "OUTSIDE")
	writeFile(t, filepath.Join(a.outside, "secret"), "OUTSIDE")
	writeFile(t, filepath.Join(a.outside, "sub/file"), "OUTSIDE")
	for link, target := range map[string]string{"d.link": a.outside, "f.link": filepath.Join(a.outside, "file")} {
		if err := os.Symlink(target, filepath.Join(a.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// swap exchanges both n times, each exchange in one step.
func (a *arena) swap(t *testing.T, n int64) {
	for a.swaps.Load() < n {
		for _, name := range [...]string{"d", "f"} {
			p := filepath.Join(a.dir, name)
			if err := unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, p+".link", unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				a.swaps.Store(n)
				return
			}
		}
		a.swaps.Add(1)
	}
}

// check is told of every content that was read.
func (a *arena) check(t *testing.T, what string, f vfs.File) {
	buf := make([]byte, 16)
	if n, _ := f.ReadAt(buf, 0); strings.HasPrefix(string(buf[:n]), "OUT") {
		t.Errorf("%s read %q", what, buf[:n])
	}
}

// untouched verifies that nothing outside was changed.
func (a *arena) untouched(t *testing.T) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(a.outside, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(a.outside, path)
		if d.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			rel += "=" + string(b)
			if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o100 != 0 {
				rel += " changed mode"
			} else if st.ModTime().Unix() == 0 {
				rel += " changed time"
			}
		}
		got = append(got, rel)
		return nil
	})
	if want := ". file=OUTSIDE secret=OUTSIDE sub sub/file=OUTSIDE"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("outside is now %q (%v), was %q", got, err, want)
	}
}

// attack runs every operation on d and f until the swaps are done.
func (a *arena) attack(t *testing.T, fsys *FS, swaps int64) {
	root := rootDir(fsys)
	outside, err := os.Stat(filepath.Join(a.outside, "file"))
	if err != nil {
		t.Fatal(err)
	}
	size := uint64(outside.Size())
	var wg sync.WaitGroup
	wg.Go(func() { a.swap(t, swaps) })
	loop := func(body func()) {
		wg.Go(func() {
			for a.swaps.Load() < swaps {
				body()
			}
		})
	}
	change := vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetMode, Mode: 0o777}
	var hits atomic.Int64
	loop(func() { // by node
		n, err := root.Lookup("d")
		if err != nil {
			if e := wasip1.FromError(err); e != wasip1.ENOENT {
				t.Error("lookup:", err)
			}
			return
		}
		defer release(n)
		d, ok := n.(vfs.Directory)
		if !ok {
			if link, err := n.(vfs.Symlink).Readlink(); err != nil || link != a.outside {
				t.Errorf("link %q %v", link, err)
			}
			n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim})
			return
		}
		hits.Add(1)
		if f, err := d.Lookup("file"); err == nil {
			for _, mode := range []vfs.OpenMode{vfs.OpenRead, vfs.OpenRead | vfs.OpenWrite} {
				if file, err := f.(vfs.RegularFile).Open(mode); err == nil {
					a.check(t, "Open", file)
					file.Close()
				}
			}
			if attr, err := f.Attr(); err == nil && attr.Size == size {
				t.Error("Attr: seen outside")
			}
			release(f)
		}
		if made, err := d.Create("made", 0o666); err == nil {
			made.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetMtim, Size: 3})
			release(made)
		}
		d.Rename("made", d, "moved")
		d.Unlink("moved")
		if made, err := d.Mkdir("dir", 0o777); err == nil {
			release(made)
		}
		d.Rmdir("dir")
		if made, err := d.Symlink("l", "x"); err == nil {
			release(made)
		}
		d.Unlink("l")
	})
	loop(func() { // the file that becomes a link, by a node that was looked up before
		n, err := root.Lookup("f")
		if err != nil {
			return
		}
		defer release(n)
		n.SetAttr(change)
		if r, ok := n.(vfs.RegularFile); ok {
			n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 6})
			for _, mode := range []vfs.OpenMode{vfs.OpenRead, vfs.OpenRead | vfs.OpenWrite} {
				if file, err := r.Open(mode); err == nil {
					a.check(t, "Open of the file", file)
					if mode&vfs.OpenWrite != 0 {
						file.WriteAt([]byte("inside"), 0)
					}
					file.Close()
				}
			}
		}
		if root.Link("hard", n) == nil {
			if l, err := root.Lookup("hard"); err == nil {
				if r, ok := l.(vfs.RegularFile); ok {
					if file, err := r.Open(vfs.OpenRead); err == nil {
						a.check(t, "Link", file)
						file.Close()
					}
				}
				release(l)
			}
			root.Unlink("hard")
		}
	})
	if p, ok := root.(vfs.PathOpener); ok {
		loop(func() {
			for _, path := range [...]string{"d/file", "d/sub/file", "d/../d/file", "f", "d/sub/../file"} {
				if n, f, err := p.OpenPath(path, true, 0, vfs.OpenRead|vfs.OpenWrite, 0); err == nil {
					a.check(t, path, f)
					n.SetAttr(vfs.SetAttr{Mask: vfs.SetMode, Mode: 0o777})
					f.Close()
					release(n)
				}
				if attr, err := p.AttrPath(path, true); err == nil && attr.Size == size {
					t.Errorf("AttrPath(%s): seen outside", path)
				}
			}
			if n, f, err := p.OpenPath("d/new", true, wasip1.OCreat|wasip1.OTrunc, vfs.OpenWrite, 0o666); err == nil {
				f.Close()
				release(n)
			}
			if n, f, err := p.OpenPath("f", true, wasip1.OCreat, vfs.OpenWrite, 0o666); err == nil {
				f.WriteAt([]byte("inside"), 0)
				f.Close()
				release(n)
			}
		})
	}
	wg.Wait()
	if hits.Load() == 0 {
		t.Error("the directory was never met")
	}
	a.untouched(t)
	t.Logf("%d swaps, %d times inside", a.swaps.Load(), hits.Load())
}

// walk attacks by paths, through the walker of package vfs.
func (a *arena) walk(t *testing.T, fsys *FS, swaps int64) {
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.swap(t, swaps) })
	var hits atomic.Int64
	loop := func(body func()) {
		wg.Go(func() {
			for a.swaps.Load() < swaps {
				body()
			}
		})
	}
	loop(func() {
		for _, path := range []string{"d/file", "d/sub/file", "f", "d/../d/sub/../file", "./d//file", "../d/file", "d.link/file", "f.link"} {
			if b, err := root.ReadFile(path); err == nil {
				hits.Add(1)
				if strings.HasPrefix(string(b), "OUT") {
					t.Errorf("ReadFile(%s) read %q", path, b)
				}
			}
			if st, err := root.Stat(path); err == nil && st.Size == uint64(len("OUTSIDE")) && st.Type == wasip1.FiletypeRegularFile {
				t.Errorf("Stat(%s): seen outside", path)
			}
		}
		if es, err := root.ReadDir("d"); err == nil {
			for _, e := range es {
				if e.Name == "secret" {
					t.Error("ReadDir: seen outside")
				}
			}
		}
	})
	loop(func() {
		root.WriteFile("d/made", []byte("made"), 0o666)
		root.WriteFile("f", []byte("inside"), 0o666)
		root.Rename("d/made", "d/moved")
		root.Rename("d/moved", "moved")
		root.Rename("moved", "d/sub/moved")
		root.Link("d/file", "d/hard")
		root.Link("f", "d/sub/hard")
		root.Symlink("x", "d/l")
		root.Mkdir("d/dir", 0o777)
		root.Chmod("f", 0o777)
		root.Chtimes("d/file", time.Unix(0, 0), time.Unix(0, 0))
		root.Chtimes("f", time.Unix(0, 0), time.Unix(0, 0))
		root.Truncate("f", 6)
		root.Truncate("d/sub/file", 6)
		for _, name := range []string{"d/made", "d/moved", "d/sub/moved", "d/hard", "d/sub/hard", "d/l", "d/dir", "moved"} {
			root.Remove(name)
		}
	})
	wg.Wait()
	if hits.Load() == 0 {
		t.Error("nothing was ever read")
	}
	a.untouched(t)
}

// Many swaps of a directory for a link out, 100,000 where WASIVIRT_FULL is set, while everything is
// done to it.
func TestSwappedLinksLeadNowhere(t *testing.T) {
	swaps := int64(20_000)
	if os.Getenv("WASIVIRT_FULL") != "" {
		swaps = 100_000
	}
	if testing.Short() {
		swaps = 5_000
	}
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			a := newArena(t)
			b, err := open(a.dir, options{})
			if err != nil {
				t.Fatal(err)
			}
			fsys := &FS{b}
			defer fsys.Close()
			a.attack(t, fsys, swaps)
			a.swaps.Store(0)
			a.walk(t, fsys, swaps/4)
		})
	}
}
