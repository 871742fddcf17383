package memfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dump returns all that f holds: contents by name, with inode numbers and link counts.
func dump(t testing.TB, f *FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	var visit func(dir string)
	visit = func(dir string) {
		list, err := f.tree().ReadDir(dir)
		must(t, err)
		for _, e := range list {
			name := dir + e.Name
			a, err := f.tree().Lstat(name)
			must(t, err)
			content := ""
			switch a.Type {
			case wasip1.FiletypeDirectory:
				visit(name + "/")
			case wasip1.FiletypeSymbolicLink:
				content, err = f.tree().Readlink(name)
			default:
				var data []byte
				data, err = f.ReadFile(name)
				content = string(data)
			}
			must(t, err)
			all[name] = fmt.Sprintf("ino %d, nlink %d: %s", a.Ino, a.Nlink, content)
		}
	}
	visit("")
	return all
}

// TestForkAgainstDump changes file systems at random, forks them at random, and looks whether any
// change shows where it should not: after each change of one, all others are what they were.
func TestForkAgainstDump(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	name := func() string { return fmt.Sprintf("d%d/f%d", rng.IntN(3), rng.IntN(12)) }
	change := func(f *FS) string {
		a, b := name(), name()
		switch rng.IntN(8) {
		case 0, 1:
			f.WriteFile(a, []byte(a))
			return "write " + a
		case 2:
			if n, err := f.open(a, vfs.OpenWrite); err == nil {
				n.WriteAt([]byte("change"), int64(rng.IntN(3*chunkSize)))
				n.Close()
			}
			return "change " + a
		case 3:
			f.tree().SetAttr(a, false, vfs.SetAttr{Mask: vfs.SetSize, Size: rng.Uint64N(2 * chunkSize)})
			return "truncate " + a
		case 4:
			f.tree().Remove(a)
			return "remove " + a
		case 5:
			f.tree().Link(a, b)
			return "link " + a + " " + b
		case 6:
			f.tree().Rename(a, b)
			return "rename " + a + " " + b
		default:
			f.tree().Rename(a[:2], b[:2]+"/sub")
			f.tree().Symlink(a, b)
			return "move " + a[:2] + " " + b[:2]
		}
	}
	all := []*FS{New()}
	want := []map[string]string{dump(t, all[0])}
	for step := range 800 {
		i := rng.IntN(len(all))
		if step%40 == 39 {
			fork := all[i].Fork()
			if diff := cmp.Diff(want[i], dump(t, fork)); diff != "" {
				t.Fatalf("step %d: a fork differs:\n%s", step, diff)
			}
			if len(all) < 5 {
				all, want = append(all, fork), append(want, want[i])
			} else {
				j := rng.IntN(len(all))
				all[j], want[j] = fork, want[i]
			}
			continue
		}
		what := change(all[i])
		want[i] = dump(t, all[i])
		for j := range all {
			if j == i {
				continue
			}
			if diff := cmp.Diff(want[j], dump(t, all[j])); diff != "" {
				t.Fatalf("step %d: %q in file system %d shows in %d:\n%s", step, what, i, j, diff)
			}
		}
	}
	for i, f := range all {
		checkUsage(t, f)
		must(t, f.tree().RemoveAll("d0"))
		must(t, f.tree().RemoveAll("d1"))
		must(t, f.tree().RemoveAll("d2"))
		if u := f.Usage(); u.Bytes != 0 || u.Inodes != 1 {
			t.Errorf("file system %d is empty and holds %d bytes, %d inodes", i, u.Bytes, u.Inodes)
		}
	}
}

// checkUsage compares the accounts with what there is.
func checkUsage(t testing.TB, f *FS) {
	t.Helper()
	bytes, inodes := int64(0), int64(0)
	for ino, in := f.table.next(0); in != nil; ino, in = f.table.next(ino + 1) {
		inodes++
		if in.first != nil {
			bytes += int64(cap(in.first.data))
		}
		if in.rest == nil {
			continue
		}
		for i, c := in.rest.next(0); c != nil; i, c = in.rest.next(i + 1) {
			bytes += int64(cap(c.data))
		}
	}
	if u := f.Usage(); u.Bytes != bytes || u.Inodes != inodes {
		t.Errorf("usage says %d bytes, %d inodes; there are %d, %d", u.Bytes, u.Inodes, bytes, inodes)
	}
}

func TestForkNode(t *testing.T) {
	f := New()
	must(t, f.WriteFile("d/file", []byte("content")))
	must(t, f.tree().Symlink("target", "link"))
	must(t, f.WriteFile("orphan", []byte("orphan's")))
	orphan, err := f.open("orphan", vfs.OpenRead)
	must(t, err)
	must(t, f.tree().Remove("orphan"))
	must(t, f.tree().Mkdir("gone", 0o777))
	gone, err := f.lookup("gone")
	must(t, err)
	must(t, f.tree().Remove("gone"))

	g := f.Fork()
	for _, name := range []string{"", "d", "d/file", "link"} {
		old, err := f.lookup(name)
		must(t, err)
		n, err := g.lookup(name)
		must(t, err)
		if got := g.ForkNode(old); got != n || n == old {
			t.Errorf("%q: the fork's node is %p, found by name %p, the old one %p", name, got, n, old)
		}
	}

	must(t, orphan.Close())
	must(t, f.WriteFile("new", nil))
	n, ok := g.ForkNode(orphan).(vfs.RegularFile)
	if !ok {
		t.Fatal("an open file without a name did not come along")
	}
	file, err := n.Open(vfs.OpenRead)
	must(t, err)
	p := make([]byte, 20)
	if k, _ := file.ReadAt(p, 0); string(p[:k]) != "orphan's" {
		t.Errorf("it holds %q", p[:k])
	}
	before := g.Usage()
	must(t, file.Close())
	if after := g.Usage(); after.Inodes != before.Inodes-1 {
		t.Errorf("closed, it is kept: %+v", after)
	}

	d, ok := g.ForkNode(gone).(vfs.Directory)
	if !ok {
		t.Fatal("no node for a removed directory")
	}
	if _, err := d.Create("a", 0o666); err != wasip1.ENOENT {
		t.Errorf("create in a removed directory: %v", err)
	}
	if n, err := d.ReadDir(0, make([]vfs.DirEntry, 1)); n != 0 || err != nil {
		t.Errorf("readdir of a removed directory: %d, %v", n, err)
	}

	made, err := f.lookup("new")
	must(t, err)
	for what, n := range map[string]vfs.Node{"made after": made, "of the fork": g.root, "of another": New().root} {
		if got := g.ForkNode(n); got != nil {
			t.Errorf("a node %s has %v in the fork", what, got)
		}
	}
}

func TestDropOrphans(t *testing.T) {
	f := New()
	must(t, f.WriteFile("a", []byte("content")))
	a, err := f.open("a", vfs.OpenRead)
	must(t, err)
	must(t, f.tree().Remove("a"))
	g := f.Fork()
	if u := g.Usage(); u.Inodes != 2 {
		t.Errorf("an orphan did not come along: %+v", u)
	}
	g.DropOrphans()
	if u := g.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("an orphan is kept: %+v", u)
	}
	if u := f.Usage(); u.Inodes != 2 {
		t.Errorf("the old side lost its own: %+v", u)
	}
	must(t, a.Close())
	if u := f.Usage(); u.Inodes != 1 || u.Bytes != 0 {
		t.Errorf("closed, it is kept: %+v", u)
	}
}

// TestForkWhileWriting forks a file system that two goroutines write to. One writes a number to a
// and then to b, so that in a fork a is b or one more; each write is whole.
func TestForkWhileWriting(t *testing.T) {
	f := New()
	write := func(name string, i int) {
		n, err := f.open(name, vfs.OpenWrite)
		if err != nil {
			t.Error(err)
			return
		}
		defer n.Close()
		if _, err := n.WriteAt(bytes.Repeat(fmt.Appendf(nil, "%08d", i), 4000), 0); err != nil {
			t.Error(err)
		}
	}
	must(t, f.WriteFile("a", nil))
	must(t, f.WriteFile("b", nil))
	write("a", 0)
	write("b", 0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				write("a", i)
				write("b", i)
			}
		}
	})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				name := fmt.Sprintf("x/%d", i%50)
				if i%2 == 0 {
					f.WriteFile(name, []byte(name))
				} else {
					f.tree().Rename(fmt.Sprintf("x/%d", (i-1)%50), "x/y")
				}
			}
		}
	})
	number := func(g *FS, name string) int {
		data, err := g.ReadFile(name)
		must(t, err)
		if strings.Count(string(data), string(data[:8])) != 4000 {
			t.Fatalf("%s is half written", name)
		}
		i, err := strconv.Atoi(string(data[:8]))
		must(t, err)
		return i
	}
	for range 100 {
		g := f.Fork()
		a, b := number(g, "a"), number(g, "b")
		if a != b && a != b+1 {
			t.Errorf("a is %d and b %d", a, b)
		}
		must(t, g.WriteFile("a", []byte("of the fork")))
		dump(t, g)
	}
	close(stop)
	wg.Wait()
}

// TestForkForgetsItsOrigin: a fork keeps what it shares, not the file system that it came from.
func TestForkForgetsItsOrigin(t *testing.T) {
	collected := make(chan struct{})
	f := New()
	must(t, f.WriteFile("a", []byte("kept")))
	g := f.Fork()
	runtime.AddCleanup(f, func(struct{}) { close(collected) }, struct{}{})
	f = nil
	for range 10 {
		runtime.GC()
		runtime.Gosched()
	}
	<-collected
	data, err := g.ReadFile("a")
	if string(data) != "kept" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestForkIsConstant(t *testing.T) {
	f := bigTree(t, 20_000)
	allocs := testing.AllocsPerRun(10, func() { f.Fork() })
	if allocs > 10 {
		t.Errorf("a fork makes %v allocations", allocs)
	}
}

func TestForkKeepsLimits(t *testing.T) {
	f := New(WithMaxBytes(1000), WithMaxInodes(3), WithMaxFileSize(2000))
	must(t, f.WriteFile("a", make([]byte, 500)))
	g := f.Fork()
	if err := g.WriteFile("b", make([]byte, 600)); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("beyond the bytes: %v", err)
	}
	if err := g.WriteFile("c", nil); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("beyond the inodes: %v", err)
	}
	if err := g.tree().SetAttr("a", false, vfs.SetAttr{Mask: vfs.SetSize, Size: 2001}); !errors.Is(err, wasip1.EFBIG) {
		t.Errorf("beyond the size: %v", err)
	}
	if _, err := f.lookup("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the fork's file shows: %v", err)
	}
	must(t, f.WriteFile("b", make([]byte, 400)))
}
