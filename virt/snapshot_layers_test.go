package virt_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// layered is a faulty overlay over a directory of the machine.
func layered(t *testing.T) vfs.FS {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/low", []byte("low"), 0o666); err != nil {
		t.Fatal(err)
	}
	low, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := low.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := faultfs.New(overlayfs.New(low, memfs.New()), []faultfs.Rule{{Op: "create", Path: "/**", From: 40, Errno: wasip1.EIO}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Memory, globals, files, offsets and budgets of the original and of two forks are their own, also
// while all run.
func TestForksAndTheirOriginalRunOnByThemselves(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine)
		g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithMount("/", layered(t)), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 100_000 }))
		root := g.Namespace().Root()
		f, err := root.OpenFile("low", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := g.Files().Insert(f)
		if err != nil {
			t.Fatal(err)
		}
		s := snapshotOf(t, g)
		var wg sync.WaitGroup
		for i, each := range []*virt.Guest{g, started(t, s), started(t, s)} {
			wg.Go(func() {
				root := each.Namespace().Root()
				for n := range uint64(30) {
					name := fmt.Sprintf("f%d", n)
					if err := root.WriteFile(name, fmt.Append(nil, i), 0o666); err != nil {
						t.Error(err)
					}
					if _, err := each.Files().Get(fd).Write([]byte{byte('0' + i)}); err != nil {
						t.Error(err)
					}
					for _, call := range [][]uint64{{8, uint64(i)}, {4000, n}} {
						if _, err := each.Call(t.Context(), "poke", call...); err != nil {
							t.Error(err)
						}
					}
					if got, err := each.Call(t.Context(), "bump"); err != nil || got[0] != 107+4*n {
						t.Errorf("guest %d counts to %d: %v", i, got, err)
					}
					if got, err := each.Call(t.Context(), "peek", 8); err != nil || got[0] != uint64(i) {
						t.Errorf("guest %d finds %d in its memory: %v", i, got, err)
					}
				}
				if b, err := root.ReadFile("low"); err != nil || string(b) != strings.Repeat(fmt.Sprint(i), 30) {
					t.Errorf("guest %d finds %q in its file: %v", i, b, err)
				}
				for n := range 30 {
					if b, err := root.ReadFile(fmt.Sprintf("f%d", n)); err != nil || string(b) != fmt.Sprint(i) {
						t.Errorf("guest %d finds %q in its file: %v", i, b, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestForksGoOnWithTheDiskThatIsLeft(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.DiskBytes = 5000 }))
	g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
	write := func(g *virt.Guest, name string, n int) error {
		return g.Namespace().Root().WriteFile(name, make([]byte, n), 0o666)
	}
	if err := write(g, "tmp/a", 600); err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, g)
	for range 100 { // what a fork holds of the Host's budget is given back when it is closed
		fork, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := write(fork, "tmp/b", 401); !errors.Is(err, wasip1.EDQUOT) {
			t.Fatalf("a fork took more than was left: %v", err)
		}
		if err := fork.Namespace().Root().Remove("tmp/a"); err != nil {
			t.Fatal(err)
		}
		if err := write(fork, "tmp/c", 600); err != nil {
			t.Fatalf("a fork removed a file, whose space it did not get: %v", err)
		}
		if err := fork.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := write(fork, "tmp/b", 400); err != nil {
			t.Fatalf("after a reset: %v", err)
		}
		if err := fork.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Start(t.Context(), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 500 })); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("a fork with a limit below what it holds: %v", err)
	}
	for range 7 {
		if err := write(started(t, s), "tmp/b", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Start(t.Context()); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("the Host's budget has room for eight, and a ninth got: %v", err)
	}
}

// A fork of a snapshot allocates the same however many files of its overlay were changed before.
func TestForksCostTheSameWhateverWasChangedBefore(t *testing.T) {
	costs := map[int]float64{}
	for _, n := range []int{1000, 10_000} {
		host := newHost(t)
		g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithMount("/", overlayfs.New(memfs.New(), memfs.New())))
		for i := range n {
			if err := g.Namespace().Root().WriteFile(fmt.Sprint("f", i), []byte{byte(i)}, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		s := snapshotOf(t, g)
		costs[n] = testing.AllocsPerRun(10, func() {
			fork, err := s.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if b, err := fork.Namespace().Root().ReadFile("f7"); len(b) != 1 || b[0] != 7 {
				t.Error(b, err)
			}
			if err := fork.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if costs[10_000] > costs[1000]+50 {
		t.Errorf("a fork makes %v allocations after 1,000 changes, %v after 10,000", costs[1000], costs[10_000])
	}
}
