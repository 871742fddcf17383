package virt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/afero"
	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dice decide what hostile guests do, and in which world. They read bytes, and after the last say
// 0.
type dice struct{ from io.Reader }

func (d dice) next() byte {
	var b [1]byte
	if _, err := io.ReadFull(d.from, b[:]); err != nil {
		return 0
	}
	return b[0]
}

// below is a number below n, at most 256.
func (d dice) below(n int) int { return int(d.next()) % n }

// one in n throws is true.
func (d dice) one(n int) bool { return d.below(n) == 0 }

// attackers are Hosts with the modules of hostile guests. Each world is a sibling: modules are
// compiled once.
type attackers struct {
	host                  *virt.Host
	calls, threads, traps *virt.Module

	mu   sync.Mutex
	ends map[string]int // how often guests ended in each way
}

// The budgets of hostile guests are so small that they meet each of them.
func soakLimits(l *virt.Limits) {
	*l = virt.Limits{
		Memory: 4 << 20, Fuel: 20_000_000, CPUTime: 200 * time.Millisecond, WallTime: 300 * time.Millisecond, Sleep: time.Hour,
		HostCalls: 10_000, Stack: 8 << 20, Descriptors: 24, Threads: 8, DiskBytes: 1 << 20, Inodes: 64, OutputBytes: 1 << 16, RandomBytes: 1 << 20, RecordingBytes: 4 << 30,
	}
}

func newAttackers(tb testing.TB, engine virt.Option) *attackers {
	host := hostOf(tb, virt.Untrusted(), virt.WithLimits(soakLimits), engine)
	return &attackers{host: host, calls: compiled(tb, host, passing()), threads: compiled(tb, host, threadsGuest(tb)), traps: compiled(tb, host, bareGuest(tb, "traps"))}
}

// round makes a world and some guests in it, lets them do what the dice say, and closes all.
func (a *attackers) round(d dice) (err error) {
	opts := []virt.Option{virt.WithLimits(soakLimits)}
	clocks := clock.Clock(nil)
	switch d.below(4) {
	case 0:
		clocks = clock.NewVirtual(clock.WithAutoAdvance())
		opts = append(opts, virt.WithClock(clocks))
	case 1:
		opts = append(opts, virt.Deterministic(uint64(d.next())))
	default:
	}
	if d.one(2) {
		opts = append(opts, virt.WithSharedLimits(func(l *virt.Limits) {
			l.Memory, l.CPUTime, l.Stack, l.Descriptors, l.Threads, l.DiskBytes, l.Inodes = 8<<20, time.Second, 8<<20, 48, 8, 1<<20, 100
		}))
	}
	host, err := a.host.Sibling(opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreOutput(host.Close(context.Background()))) }()
	w := &soakWorld{attackers: a, host: host}
	shared, err := w.files(d)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 1 + d.below(3) {
		// Each guest has dice of its own: who throws first would not be repeatable.
		throws := make([]byte, 4*int(d.next()))
		if _, e := io.ReadFull(d.from, throws); e != nil && !errors.Is(e, io.EOF) && !errors.Is(e, io.ErrUnexpectedEOF) {
			return e
		}
		all.Go(func() {
			if e := w.guest(dice{bytes.NewReader(throws)}, shared); e != nil {
				mu.Lock()
				defer mu.Unlock()
				err = errors.Join(err, e)
			}
		})
	}
	if d.one(8) {
		err2 := ignoreOutput(host.Close(context.Background()))
		mu.Lock()
		err = errors.Join(err, err2)
		mu.Unlock()
	}
	all.Wait()
	return err
}

// ignoreOutput is err, unless it says that the output of a guest that was closed is lost.
func ignoreOutput(err error) error {
	if _, ok := errors.AsType[*virt.OutputError](err); ok {
		return nil
	}
	return err
}

type soakWorld struct {
	*attackers
	host *virt.Host
}

// linkToFile makes "link", which leads to "file".
func linkToFile(fsys vfs.FS) error {
	root, err := vfs.NewRoot(fsys)
	if err == nil {
		err = root.Symlink("file", "link")
	}
	return err
}

// files makes one of the file systems, with "file", "dir" and "link" where it can have them.
func (w *soakWorld) files(d dice) (vfs.FS, error) {
	filled := func() (*memfs.FS, error) {
		m := memfs.New()
		return m, errors.Join(m.WriteFile("file", []byte("0123456789")), m.MkdirAll("dir"), linkToFile(m))
	}
	m, err := filled()
	if err != nil {
		return nil, err
	}
	switch d.below(6) {
	case 0:
		return overlayfs.New(m, memfs.New()), nil
	case 1:
		return quotafs.New(m, quotafs.Limits{Bytes: 1 << 16, Inodes: 32}), nil
	case 2:
		return iofs.New(fstest.MapFS{"file": {Data: []byte("0123456789")}, "dir/a": {}}), nil
	case 3:
		store := afero.NewMemMapFs()
		return aferofs.New(store), errors.Join(afero.WriteFile(store, "/file", []byte("0123456789"), 0o644), store.Mkdir("/dir", 0o755))
	case 4:
		return overlayfs.New(iofs.New(fstest.MapFS{"file": {Data: []byte("0123456789")}, "dir/a": {}}), quotafs.New(memfs.New(), quotafs.Limits{Bytes: 1 << 16})), nil
	default:
		return m, nil
	}
}

// guest lets one guest run. Its own options are thrown too.
func (w *soakWorld) guest(d dice, files vfs.FS) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	network := netmem.New(w.host.Clock())
	listener, err := network.Listen("guest:80", 4)
	if err != nil {
		return err
	}
	opts := []virt.GuestOption{virt.WithArgs("a"), virt.WithEnv("A", "1"), virt.WithStdout(io.Discard), virt.WithMount("/", files), virt.WithPreopened(listener)}
	if d.one(2) {
		opts = append(opts, virt.WithDevices("/dev"))
	}
	switch d.below(4) {
	case 0:
		in, typing := pipe.New(0)
		defer typing.Close()
		opts = append(opts, virt.WithStream(0, in))
	case 1:
		opts = append(opts, virt.WithStdin(strings.NewReader("typed")))
	}
	if d.one(4) {
		opts = append(opts, virt.WithTrace(trace.Text(io.Discard)))
	}
	if d.one(4) {
		opts = append(opts, virt.WithUsage())
	}
	m, run := w.calls, w.callsOf
	switch d.below(8) {
	case 0:
		m, run = w.threads, w.hangOf
		opts = append(opts, virt.WithMaxThreads(4))
	case 1:
		m, run = w.traps, w.trapOf
	default: // threads are recorded only where they take turns
		if d.one(4) {
			opts = append(opts, virt.WithRecording(io.Discard))
		}
	}
	g, err := w.host.Instantiate(ctx, m, opts...)
	if errors.Is(err, virt.ErrClosed) {
		return nil
	} else if budget := (*virt.BudgetError)(nil); errors.As(err, &budget) {
		return nil
	} else if err != nil {
		return err
	}
	if d.one(4) { // it is ended at some moment
		// The delay is the moment: it is meant to fall anywhere in what the guest does.
		end := time.AfterFunc(time.Duration(d.next())*100*time.Microsecond, cancel)
		defer end.Stop()
	}
	if d.one(8) {
		end := time.AfterFunc(time.Duration(d.next())*100*time.Microsecond, func() { g.Stop(nil) })
		defer end.Stop()
	}
	run(ctx, g, d)
	if err := ignoreOutput(g.Close(context.Background())); err != nil {
		return err
	}
	if r := g.Result(); r.Outcome == virt.Failed {
		return fmt.Errorf("a guest failed: %w", r.Err)
	}
	g.Usage()
	w.note(g.Result())
	return nil
}

// note counts how a guest ended.
func (a *attackers) note(r *virt.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ends == nil {
		a.ends = map[string]int{}
	}
	a.ends[r.Outcome.String()+" "+string(r.Budget)]++
}

// callsOf makes calls of preview1 with hostile arguments.
func (w *soakWorld) callsOf(ctx context.Context, g *virt.Guest, d dice) {
	mem := g.Instance().Memory()
	for at, text := range map[uint32]string{fileAddr: "file", newAddr: "new", dirAddr: "dir", linkAddr: "link"} {
		mem.Write(at, []byte(text))
	}
	mem.Write(iovAddr, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, bufAddr), 8))
	mem.Write(subAddr+16, []byte{1})
	for i, name := range []uint64{fileAddr, dirAddr} {
		// What does not succeed the calls below find missing.
		_, _ = g.Call(ctx, "path_open", rootFd, 0, name, 4-uint64(i), 0, uint64(wasip1.RightsAll), uint64(wasip1.RightsAll), 0, resAddr)
	}
	for range 64 {
		i := d.below(len(hostileCalls))
		c := hostileCalls[i]
		args := make([]uint64, len(c.args))
		for j, a := range c.args {
			if args[j] = fuzzedArgument(d.next, a.fine); signatureOf(i)[j] == 'i' {
				args[j] = uint64(uint32(args[j]))
			}
		}
		if _, err := g.Call(ctx, c.name, args...); err != nil {
			return
		}
	}
}

// hangOf hangs, on some threads.
func (w *soakWorld) hangOf(ctx context.Context, g *virt.Guest, d dice) {
	how := uint64(d.below(hangRecurse + 1))
	if d.one(2) {
		_, _ = g.Call(ctx, "hang_in_threads", how, uint64(d.below(6)), 4) // how it ends is seen in the Result
		return
	}
	_, _ = g.Call(ctx, "hang", how, 4)
}

// trapOf traps, or takes memory.
func (w *soakWorld) trapOf(ctx context.Context, g *virt.Guest, d dice) {
	for range 4 {
		name := []string{"stack_overflow", "grow", "fine", "unreachable"}[d.below(4)]
		var args []uint64
		if f := g.Instance().ExportedFunction(name); f != nil {
			for range f.Definition().ParamTypes() {
				args = append(args, uint64(d.next()))
			}
		}
		if _, err := g.Call(ctx, name, args...); err != nil {
			return
		}
	}
}

// FuzzHostileGuests lets hostile guests loose in random worlds, with every budget set.
func FuzzHostileGuests(f *testing.F) {
	for seed := range byte(16) {
		r := rand.NewChaCha8([32]byte{seed})
		throws := make([]byte, 2048)
		_, _ = r.Read(throws) // it never fails
		f.Add(throws)
	}
	a := newAttackers(f, virt.Options())
	f.Fuzz(func(t *testing.T, throws []byte) {
		if err := a.round(dice{bytes.NewReader(throws)}); err != nil {
			t.Error(err)
		}
	})
}

const (
	// soakMemory is what the process of a soak may hold, in bytes.
	soakMemory = 1 << 30
	// soakChild is the variable that says to a process that it is a soak's, and how long it lasts.
	soakChild = "WASIVIRT_SOAK_CHILD"
)

// TestSoakOfHostileGuests lets hostile guests loose, in a process that is held to 1 GiB, for as
// long as WASIVIRT_SOAK says ("30m"), without it for a moment. The process has to be alive at the
// end, its memory flat, and no goroutine, descriptor or mapping left.
func TestSoakOfHostileGuests(t *testing.T) {
	if long := os.Getenv(soakChild); long != "" {
		d, err := time.ParseDuration(long)
		if err != nil {
			t.Fatal(err)
		}
		soak(t, d)
		return
	}
	long := "1s"
	if s := os.Getenv("WASIVIRT_SOAK"); full && s != "" {
		long = s
	}
	child := exec.Command(os.Args[0], "-test.run=^TestSoakOfHostileGuests$", "-test.v", "-test.timeout=0")
	child.Env = append(os.Environ(), soakChild+"="+long, "GOMEMLIMIT=900MiB", "WASIVIRT_FULL=", "GOTRACEBACK=all")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("the process of the soak: %v", err)
	}
	t.Logf("%s", out)
}

func soak(t *testing.T, long time.Duration) {
	compiler, interpreter := newAttackers(t, virt.Options()), newAttackers(t, virt.WithInterpreter())
	var seed atomic.Uint64
	worker := func(until time.Time, least uint64) error {
		for begun := seed.Load(); seed.Load() < begun+least || time.Now().Before(until); {
			n := seed.Add(1)
			var key [32]byte
			binary.LittleEndian.PutUint64(key[:], n)
			a := compiler
			if n%8 == 0 && !raceDetector {
				a = interpreter
			}
			if err := a.round(dice{rand.NewChaCha8(key)}); err != nil {
				return fmt.Errorf("round %d: %w", n, err)
			}
			if held := resident(); held > soakMemory {
				return fmt.Errorf("round %d: %d MiB are resident", n, held>>20)
			}
		}
		return nil
	}
	rounds := func(until time.Time) {
		var all errgroup.Group
		for range 4 {
			all.Go(func() error { return worker(until, 20) })
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	settled := func() (resources, int, int64) {
		r := measure()
		debug.FreeOSMemory()
		return r, mappings(), resident()
	}
	rounds(time.Now().Add(long / 10)) // what is kept for the next guest is there now
	before, mapped, held := settled()
	begun := seed.Load()
	rounds(time.Now().Add(long * 9 / 10))
	expectNothingLeft(t, before, 32<<20)
	_, mappedNow, heldNow := settled()
	// The runtime maps its heap in pieces, and a thread that a goroutine is bound to keeps its
	// stack.
	if mappedNow > mapped+64 {
		t.Errorf("%d mappings, %d before", mappedNow, mapped)
	}
	if heldNow > held+64<<20 {
		t.Errorf("%d MiB are resident, %d before", heldNow>>20, held>>20)
	}
	t.Logf("ends in the compiler %v, in the interpreter %v", compiler.ends, interpreter.ends)
	t.Logf("%d rounds in %v; resident %d MiB before, %d after; mappings %d, %d", seed.Load()-begun, long, held>>20, heldNow>>20, mapped, mappedNow)
}
