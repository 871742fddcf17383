package virt_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Threads and descriptors of children are taken from their parent's limits, and given back.
func TestChildrenShareTheLimitsOfTheirParent(t *testing.T) {
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.Threads, l.Descriptors = 3, 11 }),
		virt.WithSharedLimits(func(l *virt.Limits) { l.Threads, l.Descriptors = 100, 100 }))
	m := compiled(t, host, bareGuest(t, "family"))
	parent, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	hold := func(most, want int32) {
		t.Helper()
		if n, err := callI32(t.Context(), parent, "hold", most); n != want || err != nil {
			t.Errorf("%d threads of the parent, %v, want %d", n, err, want)
		}
	}
	start := func(g *virt.Guest) (*virt.Child, error) {
		return g.StartChild(m, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 2, MaxDepth: 2})
	}
	hold(1, 1)
	child, err := start(parent)
	if err != nil {
		t.Fatal(err)
	}
	for child.Result() == nil {
		runtime.Gosched()
	}
	if r := child.Result(); r.ExitCode != 2 {
		t.Errorf("the child: %v, want two threads", r)
	}
	parent.Forget(child)
	for host.Usage().Descriptors != parent.Files().Len() {
		runtime.Gosched()
	}
	// The child's threads are not counted any more when their goroutines have returned.
	for held := int32(0); held < 2; runtime.Gosched() {
		n, err := callI32(t.Context(), parent, "hold", 10)
		if err != nil {
			t.Fatal(err)
		}
		held += n
	}
	hold(1, 0)

	// The parent's own four descriptors and those of one child leave room for three more.
	if parent.Files().Len() != 4 {
		t.Fatalf("%d descriptors, want 4", parent.Files().Len())
	}
	idle := compiled(t, host, bareGuest(t, "hang"))
	if child, err = parent.StartChild(idle, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 2, MaxDepth: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := start(parent); !errors.Is(err, wasip1.ENFILE) && !errors.Is(err, wasip1.EMFILE) {
		t.Errorf("a second child: %v, want that no descriptors are left", err)
	}
	child.Kill(wasip1.SIGTERM)
	parent.Stop(nil)
	if err := parent.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if u := host.Usage(); u.Descriptors != 0 || u.Threads != 0 {
		t.Errorf("%d descriptors and %d threads are left", u.Descriptors, u.Threads)
	}
}

// A guest with children cannot be saved, and not be reset while they run: what is in its memory
// about them would be wrong. Those that have ended are gone after a reset.
func TestSnapshotsAndResetsBesideChildren(t *testing.T) {
	host := newHost(t)
	parent := newGuest(t, host, compiled(t, host, bareGuest(t, "family")))
	child, err := parent.StartChild(compiled(t, host, bareGuest(t, "hang")), virt.ChildConfig{Args: []string{"child"}, MaxChildren: 2, MaxDepth: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parent.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "not waited for 1 of its children") {
		t.Errorf("snapshot: %v", err)
	}
	if err := parent.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "runs: wait for its end") {
		t.Errorf("reset: %v", err)
	}
	child.Kill(wasip1.SIGTERM)
	for child.Result() == nil {
		runtime.Gosched()
	}
	if _, err := parent.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "have been waited for") {
		t.Errorf("snapshot with a child that has ended: %v", err)
	}
	if err := parent.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(parent.Children()); n != 0 {
		t.Errorf("%d children are left", n)
	}
	snapshotOf(t, parent)
}

// The guests below one that host code made are bounded together, however many children each may
// have, and a guest that has ended makes room for another.
func TestFamiliesAreBounded(t *testing.T) {
	const most = 256
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 10_000 }))
	idle := compiled(t, host, bareGuest(t, "hang"))
	parent, err := host.Instantiate(t.Context(), idle)
	if err != nil {
		t.Fatal(err)
	}
	start := func() error {
		_, err := parent.StartChild(idle, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 1 << 20, MaxDepth: 2})
		return err
	}
	for i := range most {
		if err := start(); err != nil {
			t.Fatalf("child %d: %v", i, err)
		}
	}
	if err := start(); !errors.Is(err, wasip1.EAGAIN) {
		t.Errorf("one more than %d: %v, want EAGAIN", most, err)
	}
	parent.Children()[0].Kill(wasip1.SIGTERM)
	for err := start(); err != nil; err = start() {
		if !errors.Is(err, wasip1.EAGAIN) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	parent.Stop(nil)
	if err := parent.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestChildrenStartedAtOnce are no more than MaxChildren.
func TestChildrenStartedAtOnce(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, bareGuest(t, "hang"))
	for range 20 {
		parent := newGuest(t, host, m)
		var starts sync.WaitGroup
		var started atomic.Int32
		together := make(chan struct{})
		for range 16 {
			starts.Go(func() {
				<-together
				_, err := parent.StartChild(m, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 2, MaxDepth: 1})
				switch {
				case err == nil:
					started.Add(1)
				case !errors.Is(err, wasip1.EAGAIN):
					t.Error(err)
				}
			})
		}
		close(together)
		starts.Wait()
		if n := started.Load(); n != 2 {
			t.Errorf("%d children started, want 2", n)
		}
		parent.Stop(nil)
	}
}

// The programs that a Host keeps are bounded in bytes, because compiled code takes many times as
// much. One that is about to be started is not closed.
func TestProgramsAreBounded(t *testing.T) {
	first, second := bareGuest(t, "family"), bareGuest(t, "hang")
	limits := inspect.DefaultLimits()
	limits.ModuleBytes = uint64(len(first) + len(second) - 1)
	host := newHost(t, virt.WithModuleLimits(limits))
	parent, err := host.Instantiate(t.Context(), compiled(t, host, first))
	if err != nil {
		t.Fatal(err)
	}
	program := func(wasm []byte) (*virt.Module, func()) {
		t.Helper()
		m, release, err := parent.Program(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		return m, release
	}
	start := func(m *virt.Module) error {
		_, err := parent.StartChild(m, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 4, MaxDepth: 1})
		return err
	}
	m, release := program(first)
	if again, done := program(first); again != m {
		t.Error("the program is compiled again")
	} else {
		done()
	}
	_, done := program(second)
	if err := start(m); err != nil {
		t.Error(err)
	}
	release()
	if err := start(m); !errors.Is(err, virt.ErrClosed) {
		t.Errorf("%v, want that the program is closed", err)
	}
	if again, done := program(second); again == m {
		t.Error("the first program is kept")
	} else {
		done()
	}
	done()
	parent.Stop(nil)
}

// A child that cannot be made gives back its place among the Host's guests, and no other.
func TestChildrenThatCannotBeMade(t *testing.T) {
	host := newHost(t, virt.WithMaxGuests(3))
	m := compiled(t, host, bareGuest(t, "hang"))
	parent := newGuest(t, host, m)
	start := func(of uint32) error {
		_, err := parent.StartChild(m, virt.ChildConfig{Args: []string{"child"}, Descriptors: map[uint32]uint32{5: of}, MaxChildren: 10, MaxDepth: 1})
		return err
	}
	for range 5 {
		if err := start(1000); !errors.Is(err, wasip1.EBADF) {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := start(0); (err == nil) != (i < 2) || err != nil && !errors.Is(err, wasip1.EAGAIN) {
			t.Errorf("child %d of a guest, of three guests in all: %v", i, err)
		}
	}
	parent.Stop(nil)
}

// distinct returns a module like wasm of other bytes, and of one size for all n.
func distinct(wasm []byte, n byte) []byte {
	return append(slices.Clone(wasm), 0, 3, 1, 'n', n) // a custom section
}

// Programs count as long as guests run them: compiled code that the Host has forgotten is freed
// with the last guest.
func TestProgramsInUseAreBounded(t *testing.T) {
	wasm := bareGuest(t, "hang")
	limits := inspect.DefaultLimits()
	limits.ModuleBytes = uint64(len(distinct(wasm, 0)))
	host := newHost(t, virt.WithModuleLimits(limits))
	parent := newGuest(t, host, compiled(t, host, wasm))
	start := func(n byte) (*virt.Child, error) {
		m, release, err := parent.Program(t.Context(), distinct(wasm, n))
		if err != nil {
			return nil, err
		}
		defer release()
		return parent.StartChild(m, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 10, MaxDepth: 1})
	}
	var children []*virt.Child
	for n := range byte(2) {
		c, err := start(n)
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	if _, err := start(2); !errors.Is(err, wasip1.EAGAIN) {
		t.Errorf("a third program: %v", err)
	}
	children[0].Kill(wasip1.SIGTERM)
	_, err := start(2)
	for errors.Is(err, wasip1.EAGAIN) {
		runtime.Gosched()
		_, err = start(2)
	}
	if err != nil {
		t.Error(err)
	}
	_, _, err = parent.Program(t.Context(), append(distinct(wasm, 3), distinct(wasm, 3)...))
	if _, ok := errors.AsType[*inspect.Error](err); !ok {
		t.Errorf("a program that is too large: %v", err)
	}
	parent.Stop(nil)
}

// Guests that ask for programs and end do not leave many compilations behind, each with its memory.
func TestProgramsAreCompiledOneAtATime(t *testing.T) {
	wasm, dir := bareGuest(t, "hang"), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var waits atomic.Bool
		var running atomic.Int32
		returns := make(chan struct{})
		elsewhere := link.CompileElsewhere("elsewhere", func(context.Context, []byte, string) error {
			if !waits.Load() {
				return nil
			}
			running.Add(1)
			defer running.Add(-1)
			<-returns
			return errors.New("not compiled")
		}).(virt.HostOption)
		host := hostOf(t, virt.WithCompilationCache(dir, 0), elsewhere)
		parent := newGuest(t, host, compiled(t, host, wasm))
		waits.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		var errs [3]error
		for n := range errs {
			go func() { _, _, errs[n] = parent.Program(ctx, distinct(wasm, byte(n))) }()
		}
		synctest.Wait()
		if n := running.Load(); n != 1 {
			t.Errorf("%d programs are compiled at once", n)
		}
		cancel()
		synctest.Wait()
		for _, err := range errs {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		go func() { _, _, _ = parent.Program(t.Context(), distinct(wasm, 4)) }()
		synctest.Wait()
		if n := running.Load(); n != 1 {
			t.Errorf("%d programs are compiled at once, some for nobody", n)
		}
		close(returns)
	})
}

// A guest pays for compiling what it starts.
func TestProgramsCountForProcessorTime(t *testing.T) {
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.CPUTime = time.Hour }))
	wasm := bareGuest(t, "hang")
	parent := newGuest(t, host, compiled(t, host, wasm))
	before := parent.Usage().CPUTime
	_, release, err := parent.Program(t.Context(), distinct(wasm, 1))
	if err != nil {
		t.Fatal(err)
	}
	release()
	if after := parent.Usage().CPUTime; after <= before {
		t.Errorf("%v of processor time before and %v after", before, after)
	}
}
