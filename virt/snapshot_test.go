package virt_test

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

var (
	//go:embed testdata/warm.wasm
	warmWasm []byte
	//go:embed testdata/checkpoint.wasm
	checkpointWasm []byte
)

func one(t *testing.T, g *virt.Guest, name string, params ...uint64) uint64 {
	t.Helper()
	r, err := g.Call(t.Context(), name, params...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(r) == 0 {
		return 0
	}
	return r[0]
}

func snapshotOf(t *testing.T, g *virt.Guest) *virt.Snapshot {
	t.Helper()
	s, err := g.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func started(t *testing.T, s *virt.Snapshot, opts ...virt.GuestOption) *virt.Guest {
	t.Helper()
	g, err := s.Start(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestForksGoTheirOwnWays(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithFuel(1<<40))
		g := newGuest(t, host, compiled(t, host, warmWasm))
		if got := one(t, g, "bump"); got != 101+1+2+3 {
			t.Fatalf("bump: %d", got)
		}
		one(t, g, "drop")
		one(t, g, "grow", 3)
		one(t, g, "poke", 4<<16, 7)
		s := snapshotOf(t, g)
		one(t, g, "bump")
		one(t, g, "poke", 4<<16, 8)
		a, b := started(t, s), started(t, s)
		one(t, a, "poke", 4<<16, 9)
		for i := range 3 {
			for name, fork := range map[string]*virt.Guest{"a": a, "b": b} {
				if got, want := one(t, fork, "bump"), uint64(107+4*(i+1)); got != want {
					t.Errorf("fork %s: bump answers %d, want %d", name, got, want)
				}
			}
		}
		got := []uint64{one(t, a, "peek", 4<<16), one(t, b, "peek", 4<<16), one(t, b, "size"), one(t, b, "started"),
			one(t, b, "indirect", 1), one(t, b, "text"), one(t, g, "peek", 4<<16)}
		if d := cmp.Diff([]uint64{9, 7, 5, 1, 2, 0x61746164, 8}, got); d != "" {
			t.Error(d)
		}
		var exit *virt.ExitError
		if _, err := b.Call(t.Context(), "init"); !errors.As(err, &exit) || exit.Result.Outcome != virt.Trapped {
			t.Errorf("a data segment that was dropped is there again: %v", err)
		}
		sum, err := s.Hash()
		if again, e := snapshotOf(t, started(t, s)).Hash(); err != nil || e != nil || sum != again {
			t.Errorf("a fork's snapshot has another hash: %x, %x; %v, %v", sum, again, err, e)
		}
	})
}

func TestResetIsAFreshGuest(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine)
		m := compiled(t, host, warmWasm)
		used, fresh := newGuest(t, host, m), newGuest(t, host, m)
		want := []uint64{one(t, fresh, "size"), one(t, fresh, "text"), one(t, fresh, "peek", 4), one(t, fresh, "started"), one(t, fresh, "bump")}
		for range 3 {
			one(t, used, "bump")
			one(t, used, "poke", 4, 1)
			one(t, used, "poke", 65536, 1)
			one(t, used, "grow", 10)
			one(t, used, "poke", 9<<16, 1)
			if err := used.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := []uint64{one(t, used, "size"), one(t, used, "text"), one(t, used, "peek", 4), one(t, used, "started"), one(t, used, "bump")}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if _, err := used.Call(t.Context(), "peek", 2<<16); err == nil {
				t.Fatal("memory that was grown can still be read")
			}
			used = newGuest(t, host, m)
		}
	})
}

// TestForksOfAGuestWithoutStreamsHaveTheirOwn takes a snapshot of a guest all of whose standard
// streams are the same: nothing.
func TestForksOfAGuestWithoutStreamsHaveTheirOwn(t *testing.T) {
	host := newHost(t)
	s := snapshotOf(t, newGuest(t, host, compiled(t, host, warmWasm)))
	var out, errs strings.Builder
	fork := started(t, s, virt.WithStdin(strings.NewReader("in")), virt.WithStdout(&out), virt.WithStderr(&errs))
	in := make([]byte, 10)
	n, err := fork.Files().Get(0).Read(in)
	if err != nil {
		t.Error(err)
	}
	for fd, text := range map[uint32]string{1: "out", 2: "err"} {
		if _, err := fork.Files().Get(fd).Write([]byte(text)); err != nil {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
	if _, err := fork.Call(t.Context(), "size"); err != nil { // what was written is written when it returns
		t.Error(err)
	}
	if d := cmp.Diff([]string{"in", "out", "err"}, []string{string(in[:n]), out.String(), errs.String()}); d != "" {
		t.Error(d)
	}
}

// TestResetOpensClosedStreams resets a guest that has closed its standard output, and one that has
// not.
func TestResetOpensClosedStreams(t *testing.T) {
	host := newHost(t)
	var out strings.Builder
	g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithStdout(&out))
	for i, text := range []string{"a", "b", "c"} {
		if _, err := g.Files().Get(1).Write([]byte(text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if i == 1 {
			if err := g.Files().Remove(1); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "abc" {
		t.Errorf("output %q", out.String())
	}
}

func TestForksHaveFilesOfTheirOwn(t *testing.T) {
	host := newHost(t)
	files, err := memfs.FromMap(map[string]string{"a": "original"})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithMount("/", files), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
	f, err := g.Namespace().Root().OpenFile("a", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := g.Files().Insert(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("O")); err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, g)
	a, b := started(t, s), started(t, s)
	for name, fork := range map[string]*virt.Guest{"a": a, "b": b} {
		if _, err := fork.Files().Get(fd).Write([]byte("-" + name)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(g *virt.Guest) string {
		b := make([]byte, 100)
		n, _ := g.Files().Get(fd).ReadAt(b, 0)
		return string(b[:n])
	}
	if d := cmp.Diff([]string{"Original", "O-aginal", "O-bginal"}, []string{read(g), read(a), read(b)}); d != "" {
		t.Error(d)
	}
}

func TestSnapshotsAreRefusedWithTheReason(t *testing.T) {
	host := newHost(t)
	table := handModule{memory: 1, funcs: []handFunc{{name: "f", body: []byte{opI32Const, 0, 0xd0, 0x70, 0x26, 0}}}, tables: []string{"\x70\x00\x01"}}.encode()
	g := newGuest(t, host, compiled(t, host, table))
	audit, err := inspect.Module(table)
	if err != nil || len(audit.SnapshotRefusals) != 1 {
		t.Fatalf("%+v, %v", audit, err)
	}
	if _, err := g.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "table.set") || !strings.Contains(err.Error(), audit.SnapshotRefusals[0]) {
		t.Errorf("a module that changes its table: %v; told before: %v", err, audit.SnapshotRefusals)
	}
	if audit, err := inspect.Module(warmWasm); err != nil || audit.SnapshotRefusals != nil {
		t.Errorf("a module that can be saved: %+v, %v", audit.SnapshotRefusals, err)
	}
	g = newGuest(t, host, compiled(t, host, warmWasm))
	if _, err := g.Call(t.Context(), "trap"); err == nil {
		t.Fatal("no trap")
	}
	if _, err := g.Snapshot(t.Context()); err == nil {
		t.Error("the snapshot of a guest that trapped was taken")
	}
}

func TestACommandGoesOnFromItsCheckpoint(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine)
		m := compiled(t, host, checkpointWasm)
		if r, err := host.RunModule(t.Context(), m); err != nil || r.ExitCode != 43 {
			t.Fatalf("without a snapshot: %v, %v", r, err)
		}
		s := snapshotOf(t, newGuest(t, host, m))
		for range 3 {
			if r, err := started(t, s).Run(t.Context()); err != nil || r.ExitCode != 42 {
				t.Errorf("from the checkpoint: %v, %v", r, err)
			}
		}
	})
}

func TestBudgetsGoOnInForks(t *testing.T) {
	host := newHost(t, virt.WithFuel(1000))
	g := newGuest(t, host, compiled(t, host, warmWasm))
	for range 10 {
		one(t, g, "bump")
	}
	used := g.Usage().Fuel
	s := snapshotOf(t, g)
	count := func(g *virt.Guest) (n uint64) {
		for {
			if _, err := g.Call(t.Context(), "bump"); err != nil {
				return n
			}
			n++
		}
	}
	each := used / 10
	if n, want := count(started(t, s)), (1000-used)/each; n > want+1 || n+2 < want {
		t.Errorf("a fork made %d calls with what was left, want about %d", n, want)
	}
	if n, want := count(started(t, s, virt.WithFuel(2000))), 2000/each; n > want+1 || n+2 < want {
		t.Errorf("a fork made %d calls with fuel of its own, want about %d", n, want)
	}
}

func TestThousandForksCostWhatTheyTouch(t *testing.T) {
	const forks = 1000
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, warmWasm))
	one(t, g, "grow", 100)
	for page := range uint64(100) {
		one(t, g, "poke", page<<16, 1)
	}
	s := snapshotOf(t, g)
	debug.FreeOSMemory() // what tests before this one left goes back to the system now, not while it is measured
	before := resident()
	for range forks {
		one(t, started(t, s), "bump") // writes to one page
	}
	const image, touched = 101 << 12, 1 << 12
	held := resident() - before
	t.Logf("%d forks hold %d KiB each", forks, held/forks>>10)
	if before != 0 && !raceDetector && held > image+forks*(touched+64<<10) { // the race detector keeps a shadow
		t.Errorf("%d forks take %d KiB each", forks, held/forks>>10)
	}
}
