package virt_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/wasisuite"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
)

// full reports whether tests are to run at their full size.
var full = os.Getenv("WASIVIRT_FULL") != ""

// sized is a small number, or a large one where tests run at their full size.
func sized(small, large int) int {
	if full {
		return large
	}
	return small
}

// hashed runs a module in a world of its own and returns its hash and output.
func hashed(t *testing.T, first *virt.Host, m *virt.Module, seed uint64, opts ...virt.GuestOption) ([32]byte, string) {
	t.Helper()
	host, err := first.Sibling(virt.Deterministic(seed), virt.WithHash(), virt.WithMaxThreads(8), virt.WithEnv("PWD", "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := host.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	var out bytes.Buffer
	result, err := host.RunModule(t.Context(), m, append(opts, virt.WithStdout(&out), virt.WithStderr(&out))...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Exited && result.Outcome != virt.Deadlocked {
		t.Fatalf("%v\n%s", result, out.String())
	}
	return result.Hash, out.String()
}

func TestOneSeedOneHash(t *testing.T) {
	guests := map[string][]byte{"go": goGuest(t, "busy"), "threads": bareGuest(t, "race_counter")}
	for name, wasm := range guests {
		t.Run(name, func(t *testing.T) {
			engines := map[string][]virt.Option{"compiler": {virt.WithAccessSwitches(), shared}, "interpreter": {virt.WithAccessSwitches(), virt.WithInterpreter()}}
			want, text := [32]byte{}, ""
			for engine, opts := range engines {
				first := newHost(t, append(opts, virt.Deterministic(0))...)
				m := compiled(t, first, wasm)
				for _, procs := range []int{1, 2} {
					before := runtime.GOMAXPROCS(procs)
					for range sized(2, 250) {
						got, out := hashed(t, first, m, 7)
						if want == [32]byte{} {
							want, text = got, out
						}
						if got != want {
							t.Fatalf("%s, GOMAXPROCS=%d: hash %x, want %x\n%s\nwant\n%s", engine, procs, got, want, out, text)
						}
					}
					runtime.GOMAXPROCS(before)
				}
			}
			first := newHost(t, shared, virt.WithAccessSwitches(), virt.Deterministic(0))
			m := compiled(t, first, wasm)
			hashes := map[[32]byte]bool{}
			for seed := range uint64(sized(10, 100)) {
				h, _ := hashed(t, first, m, seed)
				hashes[h] = true
			}
			if len(hashes) < 2 {
				t.Error("all seeds have the same hash")
			}
			t.Logf("%d hashes", len(hashes))
		})
	}
}

func TestDeterministicRefusesTheMachine(t *testing.T) {
	dir := hostDir(t, t.TempDir())
	listener := hostnet.NewListener(nil)
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	faulty, err := faultfs.New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	below, err := vfs.NewRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := below.FS("/")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		opts []virt.Option
		want string
	}{
		{"real clock", []virt.Option{virt.WithClock(clock.Real())}, "the clock is the machine's"},
		{"lens on the real clock", []virt.Option{virt.WithClock(clock.Offset(clock.Real(), 1))}, "the clock is the machine's"},
		{"parallel threads", []virt.Option{virt.WithScheduler(sched.NewParallel(sched.Limits{}))}, "run in parallel"},
		{"system randomness", []virt.Option{virt.WithRandom(random.System())}, "the source is the machine's"},
		{"directory", []virt.Option{virt.WithMount("/data", dir)}, "/data shows a directory of the machine"},
		{"faults", []virt.Option{virt.WithMount("/data", faulty)}, "/data shows a directory of the machine"},
		{"quota", []virt.Option{virt.WithMount("/data", quotafs.New(dir, quotafs.Limits{Inodes: 10}))}, "/data shows a directory of the machine"},
		{"afero", []virt.Option{virt.WithMount("/data", aferofs.New(afero.NewOsFs()))}, "/data shows a directory of the machine"},
		{"afero below a path", []virt.Option{virt.WithMount("/data", aferofs.New(afero.NewReadOnlyFs(afero.NewBasePathFs(afero.NewOsFs(), t.TempDir()))))}, "/data shows a directory of the machine"},
		{"afero over another", []virt.Option{virt.WithMount("/data", aferofs.New(afero.NewCopyOnWriteFs(afero.NewOsFs(), afero.NewMemMapFs())))}, "/data shows a directory of the machine"},
		{"a tree of mounts", []virt.Option{virt.WithMount("/data", tree)}, "/data shows a directory of the machine"},
		{"a view", []virt.Option{virt.WithMount("/data", iofs.New(view.FS(dir)))}, "/data shows a directory of the machine"},
		{"embedded", []virt.Option{virt.WithMount("/data", struct{ *hostfs.FS }{dir.(*hostfs.FS)})}, "/data shows a directory of the machine"},
		{"budget of system randomness", []virt.Option{virt.WithRandom(random.Limited(random.System(), 10))}, "the source is the machine's"},
		{"devices", []virt.Option{virt.WithMount("/data", devfs.New(devfs.WithStreams(listener, nil, nil)))}, "/data shows a directory of the machine"},
		{"shared stream", []virt.Option{virt.WithStream(0, stdio.Shared(listener))}, "descriptor 0"},
		{"io/fs", []virt.Option{virt.WithMount("/data", iofs.New(os.DirFS(t.TempDir())))}, "/data shows a directory of the machine"},
		{"root", []virt.Option{virt.WithMount("/data", iofs.New(root.FS()))}, "/data shows a directory of the machine"},
		{"overlay", []virt.Option{virt.WithMount("/data", overlayfs.New(dir, memfs.New()))}, "/data shows a directory of the machine"},
		{"listener", []virt.Option{virt.WithPreopened(listener)}, "*hostnet.Listener"},
		{"stream", []virt.Option{virt.WithStream(0, listener)}, "descriptor 0"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for i := range 2 {
				opts := append(tc.opts[:len(tc.opts):len(tc.opts)], virt.Deterministic(1))
				if i == 1 {
					opts = append([]virt.Option{virt.Deterministic(1)}, tc.opts...)
				}
				_, err := virt.NewBuilder(opts...).Build(t.Context())
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v, want %q", err, tc.want)
				}
			}
		})
	}
	host := newHost(t, virt.Deterministic(1))
	m := compiled(t, host, bareGuest(t, "race_counter"))
	if _, err := host.Instantiate(t.Context(), m, virt.WithMount("/data", dir)); err == nil || !strings.Contains(err.Error(), "/data") {
		t.Errorf("a guest with a directory of the machine: %v", err)
	}
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Namespace().Mount("/data", dir); err == nil || !strings.Contains(err.Error(), "/data shows a directory of the machine") {
		t.Errorf("a directory of the machine, mounted later: %v", err)
	}
	if err := g.Namespace().Clone().Mount("/data", dir); err == nil {
		t.Error("a directory of the machine is mounted in a clone")
	}
	if err := g.Namespace().Mount("/data", memfs.New()); err != nil {
		t.Error(err)
	}
	newHost(t, virt.WithDeterminism(virt.Determinism{Seed: 1, MachineAccess: true}), virt.WithMount("/data", dir))
}

func TestDeadlockTellsStacks(t *testing.T) {
	wasm := bareGuest(t, "deadlock_mutexes")
	for seed := range uint64(200) {
		host := newHost(t, virt.Deterministic(seed), virt.WithAccessSwitches(), virt.WithMaxThreads(2))
		result, err := host.Run(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		if result.Outcome != virt.Deadlocked {
			continue
		}
		var threads []string
		for _, s := range result.Stacks {
			threads = append(threads, fmt.Sprint(s.Thread))
			if !strings.Contains(s.Frames, "wait32") {
				t.Errorf("thread %d was in %q", s.Thread, s.Frames)
			}
		}
		if got := strings.Join(threads, " "); got != "0 1 2" {
			t.Errorf("stacks of threads %s, want 0 1 2", got)
		}
		return
	}
	t.Error("no seed deadlocks")
}

// TestSeedsOfThreadsSuite runs the official wasi-threads suite, from the directory
// WASI_THREADS_TESTSUITE, under many seeds: 200 where tests run at their full size.
func TestSeedsOfThreadsSuite(t *testing.T) {
	tests := wasisuite.Load(t, "WASI_THREADS_TESTSUITE", "wasi-threads")
	first := newHost(t, shared, virt.Deterministic(0))
	for seed := range uint64(sized(3, 200)) {
		for _, test := range tests {
			host, err := first.Sibling(virt.Deterministic(seed))
			if err != nil {
				t.Fatal(err)
			}
			runSuiteTest(t, host, test, nil, virt.WithMaxThreads(16))
			if err := host.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				t.Fatalf("%s, seed %d", test.Name, seed)
			}
		}
	}
	t.Logf("%d tests", len(tests))
}
