package overlayfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// forkedWorld is an overlay with a memfs that has the same done to it.
type forkedWorld struct {
	fs         *overlayfs.FS
	model      *memfs.FS
	this, that *vfs.Root
	rng        *rand.Rand
}

func newForkedWorld(t *testing.T, fs *overlayfs.FS, model *memfs.FS, seed uint64) *forkedWorld {
	return &forkedWorld{fs, model, rootOf(t, fs), rootOf(t, model), rand.New(rand.NewPCG(seed, 5))}
}

// change does the same to both.
func (w *forkedWorld) change(t *testing.T) {
	t.Helper()
	s := w.rng.Uint64()
	if s%8 == 0 {
		p := []string{"a", "b", "c/d", "a/b", "a/link"}[s/8%5]
		set := vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetMode, Mtim: int64(s >> 8), Mode: 0o600}
		if got, want := w.this.SetAttr(p, false, set), w.that.SetAttr(p, false, set); wasip1.FromError(got) != wasip1.FromError(want) {
			t.Fatalf("attributes of %s: %v, want %v", p, got, want)
		}
		return
	}
	got, want := churn(rand.New(rand.NewPCG(s, 0)), w.this), churn(rand.New(rand.NewPCG(s, 0)), w.that)
	if got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// attributes returns what Lstat says of all that a file system has, and how its directories are
// listed.
func attributes(t *testing.T, fsys vfs.FS) map[string]vfs.Attr {
	t.Helper()
	r, all := rootOf(t, fsys), map[string]vfs.Attr{}
	for p := range tree(t, fsys) {
		a, err := r.Lstat(p)
		if err != nil {
			t.Fatal(err)
		}
		if a.Type == wasip1.FiletypeDirectory {
			a.Size = 0
		}
		all[p] = a
	}
	return all
}

// listing returns the entries of all directories with their cookies.
func listing(t *testing.T, fsys vfs.FS) map[string][]vfs.DirEntry {
	t.Helper()
	r, all := rootOf(t, fsys), map[string][]vfs.DirEntry{}
	var visit func(p string)
	visit = func(p string) {
		list, err := r.ReadDir(p)
		if err != nil {
			t.Fatal(err)
		}
		all[p] = list
		for _, e := range list {
			if e.Type == wasip1.FiletypeDirectory {
				visit(p + "/" + e.Name)
			}
		}
	}
	visit(".")
	return all
}

// fork returns a fork of both, which shows what the original shows.
func (w *forkedWorld) fork(t *testing.T, seed uint64) (*forkedWorld, vfs.Fork) {
	t.Helper()
	var s vfs.Forking
	f, err := s.Fork(w.fs)
	if err != nil {
		t.Fatal(err)
	}
	return newForkedWorld(t, f.FS.(*overlayfs.FS), w.model.Fork(), seed), f
}

func (w *forkedWorld) check(t *testing.T) {
	t.Helper()
	if d := cmp.Diff(tree(t, w.model), tree(t, w.fs)); d != "" {
		t.Fatalf("(-memfs +overlay):\n%s", d)
	}
	want := attributes(t, w.model)
	for p, got := range attributes(t, w.fs) {
		if got.Nlink != want[p].Nlink || got.Size != want[p].Size {
			t.Fatalf("%s: %+v, want %+v", p, got, want[p])
		}
	}
}

// sameAs compares two overlays in all that can be seen of them. The order in which it is looked at
// differs: an overlay must not depend on it.
func (w *forkedWorld) sameAs(t *testing.T, other *forkedWorld) {
	t.Helper()
	if w.rng.IntN(2) == 0 {
		a, err := w.fs.Diff()
		b, err2 := other.fs.Diff()
		if d := cmp.Diff(b, a); d != "" || err != nil || err2 != nil {
			t.Fatalf("Diff: %v %v (-original +fork):\n%s", err, err2, d)
		}
	}
	if d := cmp.Diff(attributes(t, other.fs), attributes(t, w.fs)); d != "" {
		t.Fatalf("attributes (-original +fork):\n%s", d)
	}
	if d := cmp.Diff(listing(t, other.fs), listing(t, w.fs)); d != "" {
		t.Fatalf("entries (-original +fork):\n%s", d)
	}
}

// held is a file that is open in an overlay, and what it holds.
func (w *forkedWorld) held(t *testing.T) (*vfs.OpenFile, string) {
	t.Helper()
	var files []string
	for p, a := range attributes(t, w.fs) {
		if a.Type == wasip1.FiletypeRegularFile {
			files = append(files, p)
		}
	}
	if len(files) == 0 {
		return nil, ""
	}
	p := files[w.rng.IntN(len(files))]
	b, err := w.this.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.this.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if w.rng.IntN(2) == 0 {
		if err := errors.Join(w.this.Remove(p), w.that.Remove(p)); err != nil {
			t.Fatal(err)
		}
	}
	return f, string(b)
}

// Forks, and forks of forks, show what the original showed, descriptors included, and then go their
// own ways, each as a memfs that has the same done to it.
func TestRandomForksAgreeWithMemfs(t *testing.T) {
	for name, newFS := range map[string]func(t *testing.T) *overlayfs.FS{
		"memory":      func(t *testing.T) *overlayfs.FS { return overlayfs.New(modelFS(t), memfs.New()) },
		"the machine": func(t *testing.T) *overlayfs.FS { return overlayfs.New(filled(t, fssuite.HostDir(t)), memfs.New()) },
		"overlay and quota": func(t *testing.T) *overlayfs.FS {
			return overlayfs.New(overlayfs.New(modelFS(t), memfs.New()), quotafs.New(memfs.New(), quotafs.Limits{}))
		},
		"upper has files": func(t *testing.T) *overlayfs.FS { return overlayfs.New(modelFS(t), modelFS(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			seeds := uint64(25)
			if testing.Short() {
				seeds = 8
			}
			for seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { randomForks(t, newFS(t), seed) })
			}
		})
	}
}

func randomForks(t *testing.T, fsys *overlayfs.FS, seed uint64) {
	all := []*forkedWorld{newForkedWorld(t, fsys, modelFS(t), seed)}
	rng := rand.New(rand.NewPCG(seed, 6))
	for step := range 150 {
		w := all[rng.IntN(len(all))]
		if step%10 != 9 {
			w.change(t)
			continue
		}
		open, content := w.held(t)
		fork, f := w.fork(t, uint64(step))
		if open != nil {
			reads(t, f.Node(open.Node()), content)
			if err := open.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if f.Settle(); rng.IntN(2) == 0 {
			fork.sameAs(t, w)
		}
		if len(all) < 6 {
			all = append(all, fork)
		} else {
			all[rng.IntN(len(all))] = fork
		}
	}
	for _, w := range all {
		w.check(t)
	}
}

// reads checks that a node is a file, by its content.
func reads(t *testing.T, n vfs.Node, want string) {
	t.Helper()
	file, ok := n.(vfs.RegularFile)
	if !ok {
		t.Fatalf("the counterpart of a file is a %T", n)
	}
	o, err := file.Open(vfs.OpenRead)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(want)+1)
	if n, _ := o.ReadAt(b, 0); string(b[:n]) != want {
		t.Fatalf("it holds %q, want %q", b[:n], want)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if r, ok := n.(vfs.Releaser); ok {
		r.Release()
	}
}

// changedFiles is an overlay in which n files of the lower were changed, as many were removed and
// as many made.
func changedFiles(t *testing.T, n int) *overlayfs.FS {
	t.Helper()
	lower := memfs.New()
	fsys := overlayfs.New(lower, memfs.New())
	r := rootOf(t, fsys)
	name := func(kind string, i int) string { return fmt.Sprintf("%d/%s%d", i%10, kind, i) }
	for i := range n {
		for _, kind := range []string{"changed", "gone"} {
			if err := lower.WriteFile(name(kind, i), []byte("low")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		err := errors.Join(r.WriteFile(name("changed", i), []byte("high"), 0o666), r.Remove(name("gone", i)), r.WriteFile(name("new", i), nil, 0o666))
		if err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

// A fork of a fork, with what a guest does first in it, costs the same however much was changed
// before.
func TestForkIsConstant(t *testing.T) {
	costs := map[int][2]float64{}
	for _, n := range []int{1000, 10_000} {
		taken, err := changedFiles(t, n).ForkFS(new(vfs.Forking))
		if err != nil {
			t.Fatal(err)
		}
		fork := func() vfs.FS {
			f, err := taken.FS.(vfs.Forker).ForkFS(new(vfs.Forking))
			if err != nil {
				t.Fatal(err)
			}
			return f.FS
		}
		costs[n] = [2]float64{testing.AllocsPerRun(10, func() { fork() }), testing.AllocsPerRun(10, func() {
			r := rootOf(t, fork())
			if b, err := r.ReadFile("7/changed7"); string(b) != "high" {
				t.Error(string(b), err)
			}
			if _, err := r.Lstat("7/gone7"); !errors.Is(err, wasip1.ENOENT) {
				t.Error(err)
			}
			if err := errors.Join(r.WriteFile("7/new7", []byte("higher"), 0o666), r.Rename("7/new17", "7/other")); err != nil {
				t.Error(err)
			}
		})}
	}
	for i, what := range []string{"a fork", "a fork with a few changes"} {
		if small, large := costs[1000][i], costs[10_000][i]; large > small+10 {
			t.Errorf("%s makes %v allocations after 1,000 changes, %v after 10,000", what, small, large)
		}
	}
}

// The next fork of an overlay costs what was changed since the last.
func TestForkCostsWhatWasChangedSinceTheLast(t *testing.T) {
	costs := map[int]float64{}
	for _, n := range []int{1000, 10_000} {
		fsys := changedFiles(t, n)
		r, i := rootOf(t, fsys), 0
		costs[n] = testing.AllocsPerRun(10, func() {
			i++
			if err := r.WriteFile("3/changed3", []byte{byte(i)}, 0o666); err != nil {
				t.Error(err)
			}
			if _, err := fsys.ForkFS(new(vfs.Forking)); err != nil {
				t.Error(err)
			}
		})
	}
	if costs[10_000] > costs[1000]+50 {
		t.Errorf("%v allocations after 1,000 changes, %v after 10,000", costs[1000], costs[10_000])
	}
}

// A fork keeps what it shares, not the overlay that it came from.
func TestForkForgetsItsOrigin(t *testing.T) {
	collected := make(chan struct{})
	fsys := changedFiles(t, 10)
	f, err := fsys.ForkFS(new(vfs.Forking))
	if err != nil {
		t.Fatal(err)
	}
	fork := f.FS
	runtime.AddCleanup(fsys, func(struct{}) { close(collected) }, struct{}{})
	fsys, f = nil, vfs.Fork{}
	for range 10 {
		runtime.GC()
		runtime.Gosched()
	}
	<-collected
	if b, err := rootOf(t, fork).ReadFile("1/changed1"); string(b) != "high" {
		t.Errorf("%q, %v", b, err)
	}
}

// What copies take of WithMaxCopyUp goes over to a fork with the files that it has.
func TestForkGoesOnWithTheCopiesThatAreLeft(t *testing.T) {
	lower := memfs.New()
	for _, name := range []string{"a", "b", "c"} {
		if err := lower.WriteFile(name, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	fsys := overlayfs.New(lower, memfs.New(), overlayfs.WithMaxCopyUp(20))
	r := rootOf(t, fsys)
	open, err := r.OpenFile("a", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, name := range []string{"a", "b"} {
		if err := r.Truncate(name, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Remove("a"); err != nil {
		t.Fatal(err)
	}
	for _, opens := range []bool{true, false} {
		f, err := fsys.ForkFS(new(vfs.Forking))
		if err != nil {
			t.Fatal(err)
		}
		fork := rootOf(t, f.FS)
		if opens {
			o, err := f.Node(open.Node()).(vfs.RegularFile).Open(vfs.OpenRead)
			if err != nil {
				t.Fatal(err)
			}
			if err := fork.Truncate("c", 10); !errors.Is(err, wasip1.ENOSPC) {
				t.Errorf("two copies are kept, and a third: %v", err)
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := fork.Truncate("c", 10); err != nil {
			t.Error(err)
		}
		if err := errors.Join(fork.Remove("b"), fork.Remove("c")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Truncate("c", 10); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("the original has two copies, and a third: %v", err)
	}
}

// Forks can be made, used and dropped while the original is changed.
func TestForkWhileWriting(t *testing.T) {
	fsys := changedFiles(t, 50)
	r := rootOf(t, fsys)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for id := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("%d/w%d", id, i%7)
				err := errors.Join(r.WriteFile(name, []byte(name), 0o666), r.Rename(name, name+"+"), r.Link(name+"+", name), r.Remove(name), r.Remove(name+"+"))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 50 {
		f, err := fsys.ForkFS(new(vfs.Forking))
		if err != nil {
			t.Fatal(err)
		}
		again, err := f.FS.(vfs.Forker).ForkFS(new(vfs.Forking))
		if err != nil {
			t.Fatal(err)
		}
		for _, fork := range []vfs.FS{f.FS, again.FS} {
			wg.Go(func() {
				r := rootOf(t, fork)
				if err := r.WriteFile(fmt.Sprintf("%d/changed%d", i%10, i), []byte("forked"), 0o666); err != nil {
					t.Error(err)
				}
				if _, err := fork.(*overlayfs.FS).Diff(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	close(stop)
	wg.Wait()
}
