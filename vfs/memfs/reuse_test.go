package memfs

import (
	"fmt"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// makeFile makes a file as an open does that finds nothing there.
func makeFile(t *testing.T, f *FS, name string) *fileNode {
	t.Helper()
	node, made, err := f.root.Make(name, 0o666)
	must(t, err)
	if !made {
		t.Fatalf("%s was there", name)
	}
	n := node.(*fileNode)
	_, err = n.Open(vfs.OpenWrite)
	must(t, err)
	return n
}

func TestFilesThatNobodyHasTakeNoMemory(t *testing.T) {
	f := New()
	if n := testing.AllocsPerRun(1000, func() {
		n := makeFile(t, f, "temporary")
		n.LetGo()
		must(t, n.Close())
		must(t, f.root.Unlink("temporary"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("usage %+v", u)
	}
}

// A node that somebody may have is that of its file for ever.
func TestNodesThatAreHeldStay(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(f *FS, n *fileNode)
	}{
		{"by its maker", func(*FS, *fileNode) {}},
		{"looked up before", func(f *FS, n *fileNode) { f.root.Lookup("file"); n.LetGo() }},
		{"looked up after", func(f *FS, n *fileNode) { n.LetGo(); f.root.Lookup("file") }},
		{"found by another open", func(f *FS, n *fileNode) { n.LetGo(); f.root.Make("file", 0) }},
		{"found by host code", func(f *FS, n *fileNode) { n.LetGo(); f.Stat("file") }},
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
			must(t, n.Close())
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
	n.LetGo()
	must(t, n.Close())
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
			n.LetGo()
			must(t, n.Close())
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

// A file that grows and is emptied over and over takes no memory after the first time, and no content of it comes back.
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
