package virt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// threadsGuest is testdata/bare/threads.c.
func threadsGuest(tb testing.TB) []byte { return bareGuest(tb, "threads") }

// bareGuest is a module that is committed beside its source.
func bareGuest(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", "bare", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// onBothEngines runs a test of guests without threads in wazero's compiler and interpreter, under
// the race detector too.
func onBothEngines(t *testing.T, test func(t *testing.T, engine virt.Option)) {
	t.Run("compiler", func(t *testing.T) { test(t, virt.Options()) })
	t.Run("interpreter", func(t *testing.T) { test(t, virt.WithInterpreter()) })
}

// onEachEngine runs a test of threads in wazero's compiler and interpreter.
func onEachEngine(t *testing.T, test func(t *testing.T, engine virt.Option)) {
	t.Run("compiler", func(t *testing.T) { test(t, virt.Options()) })
	t.Run("interpreter", func(t *testing.T) {
		if raceDetector {
			t.Skip("the race detector sees guest memory in the interpreter")
		}
		test(t, virt.WithInterpreter())
	})
}

func newGuest(tb testing.TB, host *virt.Host, m *virt.Module, opts ...virt.GuestOption) *virt.Guest {
	tb.Helper()
	g, err := host.Instantiate(context.Background(), m, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			tb.Errorf("close the guest: %v", err)
		}
	})
	return g
}

// TestThreadsCompute runs what programs do with threads, over and over in one guest, and in guests
// that are made anew.
func TestThreadsCompute(t *testing.T) {
	rounds := sized(200, 1000)
	if testing.Short() {
		rounds = 50
	}
	tests := []struct {
		export string
		n      uint64
		want   uint64
	}{
		{"with_mutex", 50, 8 * 50},
		{"with_condition", 5, 8 * 5},
		{"with_barrier", 5, 8 * 8 * 5},
		{"with_queue", 30, 4 * 30 * 31 / 2},
		{"parallel_sum", 1 << 10, squares(1 << 10)},
		{"churn", 3, 0},
	}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		// More than the guest uses: one that has said that it is done may not be gone yet.
		host := newHost(t, engine, virt.WithMaxThreads(10_000))
		m := compiled(t, host, threadsGuest(t))
		for _, tc := range tests {
			t.Run(tc.export, func(t *testing.T) {
				t.Parallel()
				var g *virt.Guest
				for i := range rounds {
					if i%100 == 0 {
						g = newGuest(t, host, m)
					}
					got, err := g.Call(t.Context(), tc.export, tc.n)
					if err != nil {
						t.Fatalf("round %d: %v", i, err)
					}
					if tc.want != 0 && got[0] != tc.want {
						t.Fatalf("round %d: %d, want %d", i, got[0], tc.want)
					}
				}
			})
		}
	})
}

// TestThreadsOfAssemblyScript sums on eight threads of a guest that another toolchain made: memory
// imported under its name, and exported too, no stack in memory, and a wasi_thread_start of its
// own.
func TestThreadsOfAssemblyScript(t *testing.T) {
	rounds := sized(200, 1000)
	if testing.Short() {
		rounds = 50
	}
	wasm, err := os.ReadFile("testdata/assemblyscript/sum.wasm")
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithMaxThreads(10_000))
		m := compiled(t, host, wasm)
		var g *virt.Guest
		for i := range rounds {
			if i%100 == 0 {
				g = newGuest(t, host, m)
			}
			if got, err := g.Call(t.Context(), "parallel_sum", 1<<10); err != nil || got[0] != squares(1<<10) {
				t.Fatalf("round %d: %v, %v; want %d", i, got, err, squares(1<<10))
			}
		}
	})
}

func squares(n uint64) (sum uint64) {
	for i := range n {
		sum += i * i
	}
	return sum
}

func TestThreadIDsAreNotUsedAgain(t *testing.T) {
	host := newHost(t, virt.WithMaxThreads(100))
	g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	for _, want := range []int32{10, 20, 30} {
		if id, err := callI32(t.Context(), g, "churn", 10); err != nil || id != want {
			t.Fatalf("the last of ten threads is %d, %v; want %d", id, err, want)
		}
	}
}

func TestTooManyThreads(t *testing.T) {
	const max = 3
	spinning := func(n int32) int32 {
		host := newHost(t, virt.WithMaxThreads(max))
		g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
		id, err := callI32(t.Context(), g, "leave_threads", 2, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if id := spinning(max); id != max {
		t.Errorf("thread %d answers %d", max, id)
	}
	if id := spinning(max + 1); id != -int32(wasip1.EAGAIN) {
		t.Errorf("a thread too many answers %d, want -EAGAIN", id)
	}

	// The limit of the scheduler is that of all guests, and changes while they run.
	p := sched.NewParallel(sched.Limits{Threads: 1})
	host := newHost(t, virt.WithScheduler(p), virt.WithMaxThreads(max))
	g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	if id, err := callI32(t.Context(), g, "leave_threads", 2, 2, 0); err != nil || id != -int32(wasip1.EAGAIN) {
		t.Errorf("a thread too many of the scheduler's answers %d, %v, want -EAGAIN", id, err)
	}
	p.SetLimits(sched.Limits{Threads: 2})
	if id, err := callI32(t.Context(), g, "leave_threads", 2, 1, 0); err != nil || id <= 0 {
		t.Errorf("a thread after the limit was raised: %d, %v", id, err)
	}
	if s := p.Stats(); s.Alive != 2 || s.Refused != 1 {
		t.Errorf("%+v, want 2 alive and 1 refused", s)
	}
}

// TestOneProcessorForMany lets one thread run at a time, each of which only computes: a check gives
// the turn to others.
func TestOneProcessorForMany(t *testing.T) {
	host := newHost(t, virt.WithScheduler(sched.NewParallel(sched.Limits{Running: 1})), virt.WithMaxThreads(8))
	g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	if id, err := callI32(t.Context(), g, "leave_threads", 1, 2, 0); err != nil || id <= 0 {
		t.Fatalf("%d, %v", id, err)
	}
	// Two threads spin; the first gets its turns, and so does the guest of another.
	if _, err := callI32(t.Context(), g, "churn", 0); err != nil {
		t.Error(err)
	}
	other := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	if n, err := other.Call(t.Context(), "with_mutex", 10); err != nil || n[0] != 80 {
		t.Errorf("%v, %v", n, err)
	}
}

// TestWithoutThreads answers a guest that may have none, or that is not made for them.
func TestWithoutThreads(t *testing.T) {
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	if n, err := callI32(t.Context(), g, "spawn"); err != nil || n != -int32(wasip1.EAGAIN) {
		t.Errorf("thread-spawn without WithMaxThreads answers %d, %v; want -EAGAIN", n, err)
	}
	spawn := handFunc{module: "wasi", name: "thread-spawn", signature: signature{params: []byte{typeI32}, results: []byte{typeI32}}}
	plain := handModule{funcs: []handFunc{spawn, {name: "spawn", signature: spawn.signature, body: calling(0, 1)}}, memory: 1}.encode()
	g = newGuest(t, host, compiled(t, host, plain), virt.WithMaxThreads(1))
	if n, err := callI32(t.Context(), g, "spawn", 0); err != nil || n != -int32(wasip1.ENOTSUP) {
		t.Errorf("thread-spawn in a module without wasi_thread_start answers %d, %v; want -ENOTSUP", n, err)
	}
}

// What the functions hang, hang_in_threads and leave_threads of the guest do for ever.
const (
	hangNot = iota
	hangSpin
	hangWait
	hangSleep
	hangRead
	hangAccept
	hangYield
	hangRecurse
)

// TestTheFirstEndDecides ends guests from a thread while the others do what never ends.
func TestTheFirstEndDecides(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithMaxThreads(8))
		m := compiled(t, host, threadsGuest(t))
		before := measure()
		for meanwhile, name := range map[uint64]string{hangSpin: "spinning", hangWait: "waiting", hangSleep: "sleeping", hangYield: "yielding"} {
			for how, want := range map[uint64]virt.Outcome{0: virt.Trapped, 1: virt.Exited} {
				g := newGuest(t, host, m)
				_, err := g.Call(t.Context(), "fail_beside", how, meanwhile)
				exit, ok := errors.AsType[*virt.ExitError](err)
				if !ok || exit.Result.Outcome != want || exit.Result.Thread != 2 {
					t.Fatalf("others %s, want %v: %v", name, want, err)
				}
				switch r := g.Result(); want {
				case virt.Exited:
					if r.ExitCode != 42 {
						t.Errorf("exit code %d, want 42", r.ExitCode)
					}
				case virt.Trapped:
					if r.Trap.Kind != trap.Unreachable || !strings.Contains(r.Trap.Stack, "fail_in_thread") || !strings.Contains(r.Trap.Stack, "wasi_thread_start") {
						t.Errorf("trap %v at\n%s", r.Trap.Kind, r.Trap.Stack)
					}
				}
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
				r := g.Result()
				ends := []virt.ThreadEnd{{Outcome: virt.Canceled}, {Thread: 1, Outcome: virt.Canceled}, {Thread: 2, Outcome: want, Trap: r.Trap}}
				// The third may not have been started by then.
				others := slices.DeleteFunc(r.Threads, func(e virt.ThreadEnd) bool { return e == virt.ThreadEnd{Thread: 3, Outcome: virt.Canceled} })
				if d := cmp.Diff(ends, others); d != "" {
					t.Errorf("the threads' ends (-want +got):\n%s", d)
				}
			}
		}
		expectNothingLeft(t, before, 64<<20)
	})
}

// TestMainReturns ends a command whose threads never would.
func TestMainReturns(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithMaxThreads(8))
		m := compiled(t, host, bareGuest(t, "returns"))
		before := measure()
		for range 20 {
			r, err := host.RunModule(t.Context(), m)
			if err != nil || !r.Success() {
				t.Fatalf("%v, %v", r, err)
			}
		}
		expectNothingLeft(t, before, 64<<20)
	})
}

// TestDeadlock has the schedulers tell who waits where.
func TestDeadlock(t *testing.T) {
	schedulers := map[string]func() sched.Scheduler{
		"parallel": func() sched.Scheduler { return sched.NewParallel(sched.Limits{}).DetectDeadlock() },
		"seeded":   func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{Seed: 1}) },
	}
	for name, s := range schedulers {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, virt.WithScheduler(s()), virt.WithMaxThreads(8))
			g := newGuest(t, host, compiled(t, host, threadsGuest(t)), virt.WithName("stuck"))
			_, err := g.Call(t.Context(), "deadlock")
			r := g.Result()
			dead, ok := errors.AsType[*sched.DeadlockError](err)
			if !ok || r.Outcome != virt.Deadlocked {
				t.Fatalf("%v, %v", r, err)
			}
			if len(dead.Threads) != 2 || dead.Threads[0].Group != "stuck" || dead.Threads[1].Op != "memory.atomic.wait32" {
				t.Errorf("%v", dead)
			}
		})
	}
}

// panicking is an embedder's stream that panics.
type panicking struct{ stdio.Discard }

func (panicking) Read([]byte) (int, error) { panic("the embedder's mistake") }

// TestPanicsAreTheGuestsEnd lets what the embedder gave panic, on the first thread and on another.
func TestPanicsAreTheGuestsEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithMaxThreads(8))
		m := compiled(t, host, threadsGuest(t))
		for thread, call := range []struct {
			name string
			args []uint64
		}{
			{"hang", []uint64{hangRead, 0}},
			{"hang_in_threads", []uint64{hangRead, 1, 0}},
		} {
			g := newGuest(t, host, m, virt.WithStream(0, panicking{}))
			_, err := g.Call(t.Context(), call.name, call.args...)
			r := g.Result()
			if r.Outcome != virt.Failed || !strings.Contains(r.Err.Error(), "the embedder's mistake") || err == nil {
				t.Errorf("%s: %v, %v", call.name, r, err)
			}
			if r.Thread != uint32(thread) {
				t.Errorf("%s: thread %d, want %d", call.name, r.Thread, thread)
			}
		}
		g := newGuest(t, host, m)
		if n, err := g.Call(t.Context(), "with_mutex", 5); err != nil || n[0] != 40 {
			t.Errorf("the next guest: %v, %v", n, err)
		}
	})
}

// TestHostFunctionsBesideTheMemory runs a guest that imports its memory from the module from which
// it imports the embedder's functions, and calls one of them on a thread. A panic there is the
// guest's end.
func TestHostFunctionsBesideTheMemory(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		callback := func(_ context.Context, n int32) int32 {
			if n < 0 {
				panic(errors.New("negative"))
			}
			return n + 1
		}
		host := newHost(t, engine, (&embedder{callback}).modules(), virt.WithMaxThreads(2))
		m := compiled(t, host, bareGuest(t, "callback"))
		g := newGuest(t, host, m)
		if n, err := callI32(t.Context(), g, "call_in_thread", 41); err != nil || n != 42 {
			t.Errorf("%d, %v", n, err)
		}
		_, err := callI32(t.Context(), g, "call_in_thread", -1)
		r := g.Result()
		if err == nil || r.Outcome != virt.Failed || r.Thread != 2 || !strings.Contains(r.Err.Error(), "negative") {
			t.Errorf("%v of thread %d, %v", r, r.Thread, err)
		}
	})
}

// TestMemoryModuleIsReserved refuses a guest that wants the Host's own memory.
func TestMemoryModuleIsReserved(t *testing.T) {
	host := newHost(t)
	m := handModule{funcs: []handFunc{{module: "wasivirt.memory", name: "f"}}}.encode()
	if _, err := host.Compile(t.Context(), m); err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("%v, want a refusal", err)
	}
}

// TestRefusesWhatItCannotRewrite gives the reason.
func TestRefusesWhatItCannotRewrite(t *testing.T) {
	wasm := threadsGuest(t)
	host := newHost(t, virt.WithMaxThreads(8))
	code := strings.Index(string(wasm), "\xfe\x01\x02\x00") // memory.atomic.wait32
	if code < 0 {
		t.Fatal("the guest has no wait")
	}
	wasm[code+1] = 0x7f
	if _, err := host.Compile(t.Context(), wasm); err == nil || !strings.Contains(err.Error(), "unknown opcode 0xfe 0x7f") {
		t.Errorf("%v, want the opcode named", err)
	}
	_, err := host.Compile(t.Context(), handModule{funcs: []handFunc{{name: "wasivirt.fuel"}}}.encode())
	if err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("%v, want the reserved name refused", err)
	}
}

// TestThreadsWithoutTheFeature says what a runtime of the embedder's lacks.
func TestThreadsWithoutTheFeature(t *testing.T) {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(t.Context())
	host := hostOf(t, virt.WithRuntime(r))
	if _, err := host.Compile(t.Context(), threadsGuest(t)); err == nil {
		t.Error("a runtime without threads compiled a guest with threads")
	}
}
