package memfs

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A file whose name is removed while it is opened and closed by many goes with the last of them,
// once.
func TestLastCloseWhileNamesGo(t *testing.T) {
	f := New()
	for range 300 {
		must(t, f.WriteFile("file", []byte("content")))
		n, err := f.lookup("file")
		must(t, err)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for {
					file, err := n.(*fileNode).Open(vfs.OpenWrite)
					if err == wasip1.ENOENT {
						return
					}
					must(t, err)
					_, err = file.WriteAt([]byte("more"), 5)
					must(t, err)
					must(t, file.Close())
				}
			})
		}
		must(t, f.root.Unlink("file"))
		all.Wait()
		if err := n.(*fileNode).Close(); err != wasip1.EBADF {
			t.Fatalf("a file that has gone is closed: %v", err)
		}
		checkUsage(t, f)
		if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 || u.Metadata != 0 {
			t.Fatalf("usage %+v", u)
		}
	}
}

// A file without a name that is opened again while its last close waits for the names' lock stays.
func TestOpenedAgainBeforeItGoes(t *testing.T) {
	f := New()
	must(t, f.WriteFile("file", []byte("content")))
	n, err := f.open("file", vfs.OpenRead)
	must(t, err)
	must(t, f.root.Unlink("file"))

	f.mu.rlock(&f.park)
	closed := make(chan error)
	go func() { closed <- n.Close() }()
	for atomic.LoadUint32(&n.life) != known|unnamed {
		runtime.Gosched()
	}
	_, err = n.Open(vfs.OpenRead)
	f.mu.runlock(&f.park)
	must(t, err)
	must(t, <-closed)

	p := make([]byte, 7)
	if k, err := n.ReadAt(p, 0); string(p[:k]) != "content" {
		t.Errorf("it holds %q, %v", p[:k], err)
	}
	must(t, n.Close())
	if _, err := n.Open(vfs.OpenRead); err != wasip1.ENOENT {
		t.Errorf("closed for the last time, it can be opened: %v", err)
	}
	if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
}

// TestFirstWritesWhileForked writes to files that a fork inherited, while names are changed and the
// fork is forked: each has what it had, and the accounts are right.
func TestFirstWritesWhileForked(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	f := New()
	for _, name := range names {
		must(t, f.WriteFile(name, []byte("before")))
	}
	for range 100 {
		g := f.Fork()
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() {
				for _, name := range names[3*i : 3*i+3] {
					n, err := g.lookup(name)
					must(t, err)
					file, err := n.(vfs.RegularFile).Open(vfs.OpenWrite)
					must(t, err)
					_, err = file.WriteAt([]byte("after!"), 0)
					must(t, err)
					must(t, file.Close())
				}
			})
		}
		all.Go(func() {
			for range 5 {
				h := g.Fork()
				for _, name := range names {
					data, err := h.ReadFile(name)
					if s := string(data); err != nil || s != "before" && s != "after!" {
						t.Errorf("%s holds %q, %v", name, s, err)
					}
				}
				checkUsage(t, h)
			}
		})
		all.Go(func() {
			for range 5 {
				must(t, g.WriteFile("other", []byte("content")))
				must(t, g.root.Unlink("other"))
			}
		})
		all.Wait()
		checkUsage(t, g)
		for _, name := range names {
			was, err := f.ReadFile(name)
			is, err2 := g.Fork().ReadFile(name)
			if err != nil || err2 != nil || string(was) != "before" || string(is) != "after!" {
				t.Fatalf("%s: %q, %v; in the fork %q, %v", name, was, err, is, err2)
			}
		}
	}
}
