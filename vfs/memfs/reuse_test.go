package memfs

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// makeFile makes a file as an open does that finds nothing there.
func makeFile(t *testing.T, f *FS, name string) *fileNode {
	t.Helper()
	node, file, err := f.root.Make(name, 0o666)
	must(t, err)
	if file == nil {
		t.Fatalf("%s was there", name)
	}
	return node.(*fileNode)
}

func TestFilesThatNobodyHasTakeNoMemory(t *testing.T) {
	f := New()
	if n := testing.AllocsPerRun(1000, func() {
		n := makeFile(t, f, "temporary")
		must(t, n.LetGo())
		must(t, f.root.Unlink("temporary"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
}

func TestDirectoriesThatNobodyHasTakeNoMemory(t *testing.T) {
	f := New()
	if n := testing.AllocsPerRun(1000, func() {
		must(t, f.root.MakeDir("temporary", 0o777))
		must(t, f.root.Rmdir("temporary"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if u := f.Usage(); u.Inodes != 1 || u.Metadata != 0 {
		t.Errorf("usage %+v", u)
	}
}

// A directory's node that somebody may have stays that of its directory.
func TestNodesOfDirectoriesThatAreHeldStay(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(f *FS) vfs.Node
	}{
		{"looked up", func(f *FS) vfs.Node { n, _ := f.root.Lookup("dir"); return n }},
		{"found by its number", func(f *FS) vfs.Node { return f.Inode(2) }},
		{"moved and looked up there", func(f *FS) vfs.Node {
			f.root.Rename("dir", f.root, "other")
			n, _ := f.root.Lookup("other")
			f.root.Rename("other", f.root, "dir")
			return n
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New()
			must(t, f.root.MakeDir("dir", 0o777))
			n := c.hold(f)
			before, err := n.Attr()
			must(t, err)
			must(t, f.root.Rmdir("dir"))
			for i := range 10 {
				name := fmt.Sprint(i)
				must(t, f.root.MakeDir(name, 0o777))
				if other, _ := f.root.Lookup(name); other == n {
					t.Fatal("the node is that of another directory now")
				}
			}
			if a, err := n.Attr(); err != nil || a.Ino != before.Ino || a.Nlink != 0 {
				t.Errorf("%+v, %v after %+v", a, err, before)
			}
			if _, err := n.(vfs.Directory).Create("file", 0o666); err != wasip1.ENOENT {
				t.Errorf("Create: %v, want ENOENT", err)
			}
		})
	}
}

// A directory that is made where another was has nothing of it, nor has a fork that still has the
// other.
func TestDirectoriesThatAreUsedAgainStartAnew(t *testing.T) {
	f := New()
	must(t, f.root.MakeDir("before", 0o700))
	fork := f.Fork()
	must(t, f.root.Rmdir("before"))
	must(t, f.root.MakeDir("after", 0o755))
	must(t, f.WriteFile("after/file", []byte("x")))
	info, err := f.tree().Stat("after")
	must(t, err)
	if info.Mode.Perm() != 0o755 {
		t.Errorf("mode %o", info.Mode.Perm())
	}
	if list, err := fork.tree().ReadDir("before"); err != nil || len(list) != 0 {
		t.Errorf("in the fork: %v, %v", list, err)
	}
	if _, err := fork.tree().Stat("after"); err == nil {
		t.Error("the fork has the new directory")
	}
}

// A node that somebody may have is that of its file for ever.
func TestNodesThatAreHeldStay(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(f *FS, n *fileNode)
	}{
		{"by its maker", func(f *FS, n *fileNode) { n.Close() }},
		{"looked up before", func(f *FS, n *fileNode) { f.root.Lookup("file"); n.LetGo() }},
		{"looked up after", func(f *FS, n *fileNode) { n.LetGo(); f.root.Lookup("file") }},
		{"found by another open", func(f *FS, n *fileNode) { n.LetGo(); f.root.Make("file", 0) }},
		{"found by host code", func(f *FS, n *fileNode) { n.LetGo(); f.tree().Stat("file") }},
		{"linked and looked up there", func(f *FS, n *fileNode) {
			n.LetGo()
			f.root.Link("other", n)
			f.root.Lookup("other")
			f.root.Unlink("other")
		}},
		{"moved and looked up there", func(f *FS, n *fileNode) {
			n.LetGo()
			f.root.Rename("file", f.root, "other")
			f.root.Lookup("other")
			f.root.Rename("other", f.root, "file")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New()
			n := makeFile(t, f, "file")
			c.hold(f, n)
			must(t, f.root.Unlink("file"))
			for i := range 10 {
				if other := makeFile(t, f, fmt.Sprint(i)); other == n {
					t.Fatal("the node is that of another file now")
				}
			}
			if _, err := n.Open(vfs.OpenRead); err != wasip1.ENOENT {
				t.Errorf("Open: %v, want ENOENT", err)
			}
			if _, err := n.Attr(); err != wasip1.ENOENT {
				t.Errorf("Attr: %v, want ENOENT", err)
			}
			if err := n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim}); err != wasip1.ENOENT {
				t.Errorf("SetAttr: %v, want ENOENT", err)
			}
		})
	}
}

// A node that is used again has nothing of the file before.
func TestNodesThatAreUsedAgainStartAnew(t *testing.T) {
	f := New()
	n := makeFile(t, f, "before")
	_, err := n.WriteAt([]byte("content"), 1<<20)
	must(t, err)
	before, err := n.Attr()
	must(t, err)
	must(t, n.LetGo())
	fork := f.Fork()
	must(t, f.root.Unlink("before"))

	again := makeFile(t, f, "after")
	a, err := again.Attr()
	must(t, err)
	if again != n || a.Ino == before.Ino || a.Size != 0 || a.Nlink != 1 || a.Type != wasip1.FiletypeRegularFile {
		t.Errorf("%+v after %+v; the same node: %t", a, before, again == n)
	}
	if u := f.Usage(); u.Inodes != 2 || u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
	content, err := fork.ReadFile("before")
	if err != nil || string(content[1<<20:]) != "content" {
		t.Errorf("in the fork: %d bytes, %v", len(content), err)
	}
}

// Whoever looks a name up while files come and go has that file, or none.
func TestLookupWhileNodesAreUsedAgain(t *testing.T) {
	f := New()
	const rounds = 2000
	var all sync.WaitGroup
	all.Go(func() {
		for i := range rounds {
			n := makeFile(t, f, "file")
			_, err := n.WriteAt(make([]byte, i%7), 0)
			must(t, err)
			must(t, n.LetGo())
			must(t, f.root.Unlink("file"))
		}
	})
	for range 2 {
		all.Go(func() {
			for range rounds {
				node, err := f.root.Lookup("file")
				if err != nil {
					continue
				}
				a, err := node.Attr()
				b, err2 := node.Attr()
				if err == nil && err2 == nil && a.Ino != b.Ino {
					t.Errorf("inode %d became %d", a.Ino, b.Ino)
				}
			}
		})
	}
	all.Wait()
	if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
}

// A file that grows and is emptied over and over takes no memory after the first time, and no
// content of it comes back.
func TestFilesThatGrowAndAreEmptiedTakeNoMemory(t *testing.T) {
	f := New()
	n := makeFile(t, f, "log")
	for _, size := range []int{1, 100, 4096, chunkSize} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(size)
		}
		got := make([]byte, 60*size)
		if a := testing.AllocsPerRun(50, func() {
			for range 30 {
				_, _, err := n.Append([][]byte{data})
				must(t, err)
			}
			must(t, n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(60 * size)}))
			k, _ := n.ReadAt(got, 0)
			if k != 60*size || got[30*size-1] != byte(size) || got[30*size] != 0 || got[k-1] != 0 {
				t.Fatal("the content of another time")
			}
			must(t, n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}))
		}); a != 0 && 30*size < chunkSize { // those of full size are in a sync.Pool, which is emptied at times
			t.Errorf("writes of %d bytes: %v allocations", size, a)
		}
		if u := f.Usage(); u.Bytes != 0 {
			t.Errorf("usage of an empty file: %+v", u)
		}
	}
}

// The memory of files that were removed is what the next ones are written to, however many there
// are at once.
func TestManyFilesThatAreRemovedLeaveTheirMemoryToOthers(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector takes what is spare
	const files, size, times = 40, 8000, 10
	f := New()
	data := make([]byte, size)
	round := func() {
		for i := range files {
			must(t, f.WriteFile(fmt.Sprint(i), data))
		}
		for i := range files {
			must(t, f.root.Unlink(fmt.Sprint(i)))
		}
	}
	round()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		round()
	}
	runtime.ReadMemStats(&after)
	// Not none: WriteFile takes some, and with the race detector a sync.Pool drops a quarter.
	if took := after.TotalAlloc - before.TotalAlloc; took > times*files*size*2/3 {
		t.Errorf("%d bytes of content took %d bytes", times*files*size, took)
	}
	if u := f.Usage(); u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
}
