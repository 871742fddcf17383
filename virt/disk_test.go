package virt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/virt"
)

// TestHashOfADeepTree hashes a tree that is deeper than any path leads, which a guest makes by
// descriptors. What lies at its end counts.
func TestHashOfADeepTree(t *testing.T) {
	host := newHost(t, virt.Deterministic(1), virt.WithHash())
	guest := compiled(t, host, caller("sched_yield", ""))
	hash := func(last string) []byte {
		mem := memfs.New()
		at := mem.Root().(vfs.Directory)
		for range 3000 {
			n, err := at.Mkdir("d", 0o755)
			if err != nil {
				t.Fatal(err)
			}
			at = n.(vfs.Directory)
		}
		if _, err := at.Mkdir(last, 0o755); err != nil {
			t.Fatal(err)
		}
		result, err := host.RunModule(t.Context(), guest, virt.WithMount("/", mem))
		if err != nil || result.Outcome != virt.Exited {
			t.Fatal(result, err)
		}
		return result.Hash[:]
	}
	a, b := hash("a"), hash("b")
	if string(a) == string(b) || string(a) != string(hash("a")) {
		t.Errorf("hashes of trees that differ at their end: %x, %x", a, b)
	}
}

func TestDefaultWorldHasASize(t *testing.T) {
	host := newHost(t)
	size := func(opts ...virt.GuestOption) int64 {
		t.Helper()
		guest, err := host.Instantiate(t.Context(), compiled(t, host, passing()), opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer guest.Close(t.Context())
		fsys := guest.Namespace().Mounts()[0].FS
		if q, ok := fsys.(*quotafs.FS); ok {
			fsys = q.Unwrap()
		}
		return fsys.(*memfs.FS).Usage().MaxBytes
	}
	if n := size(); n != virt.DefaultDiskBytes {
		t.Errorf("without a limit: %d bytes", n)
	}
	if n := size(virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 4 * virt.DefaultDiskBytes })); n < 4*virt.DefaultDiskBytes {
		t.Errorf("with a larger limit: %d bytes", n)
	}
}

// TestHashOfFilesEndsWithTheContext: the hash of a tree ends with the context of the call that
// ended the guest, and Close says so.
func TestHashOfFilesEndsWithTheContext(t *testing.T) {
	host := newHost(t, virt.Deterministic(1), virt.WithHash())
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough hashed")
	mem := memfs.New()
	for i := range 100 {
		if err := mem.WriteFile(fmt.Sprint(i), make([]byte, 1<<16)); err != nil {
			t.Fatal(err)
		}
	}
	looked := 0
	counting := hookedFS{mem, embedded{func() {
		if looked++; looked == 10 {
			cancel(cause)
		}
	}}}
	g := newGuest(t, host, compiled(t, host, passing()), virt.WithMount("/", counting))
	if _, err := g.Call(ctx, "proc_exit", 0); err == nil {
		t.Fatal("proc_exit returned")
	}
	if err := g.Close(t.Context()); !errors.Is(err, cause) || looked > 20 {
		t.Errorf("Close: %v after %d of 100 files", err, looked)
	}
}
