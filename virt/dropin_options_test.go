package virt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// call makes the module call a function of preview1.
func (d dropIn) call(name string, params ...uint64) (wasip1.Errno, error) {
	r, err := d.mod.ExportedFunction(name).Call(context.Background(), params...)
	if err != nil || len(r) == 0 {
		return 0, err
	}
	return wasip1.Errno(r[0]), nil
}

// answers checks what a call answers.
func (d dropIn) answers(want wasip1.Errno, name string, params ...uint64) error {
	if errno, err := d.call(name, params...); errno != want || err != nil {
		return fmt.Errorf("%s answers %v, %v, want %v", name, errno, err, want)
	}
	return nil
}

// ends checks that a call ends the module.
func (d dropIn) ends(name string, params ...uint64) error {
	if errno, err := d.call(name, params...); !errors.As(err, new(*sys.ExitError)) {
		return fmt.Errorf("%s answers %v, %v, want that the module ends", name, errno, err)
	}
	return nil
}

// text puts a text at 0x600 of the memory, and a vector of it at 0x800.
func (d dropIn) text(s string) (ptr, n uint64) {
	d.mod.Memory().WriteString(0x600, s)
	d.mod.Memory().WriteUint32Le(0x800, 0x600)
	d.mod.Memory().WriteUint32Le(0x804, uint32(len(s)))
	return 0x600, uint64(len(s))
}

// open opens a path below the first preopened directory.
func (d dropIn) open(path string, flags wasip1.Oflags) (fd uint64, errno wasip1.Errno) {
	ptr, n := d.text(path)
	errno, err := d.call("path_open", 3, 0, ptr, n, uint64(flags), 1<<29-1, 0, 0, 0x900)
	if err != nil {
		return 0, wasip1.ECANCELED
	}
	opened, _ := d.mod.Memory().ReadUint32Le(0x900)
	return uint64(opened), errno
}

// counts checks the two numbers that args_sizes_get or environ_sizes_get stores.
func (d dropIn) counts(name string, n, size uint32) error {
	if err := d.answers(0, name, 0x900, 0x904); err != nil {
		return err
	}
	gotN, _ := d.mod.Memory().ReadUint32Le(0x900)
	got, _ := d.mod.Memory().ReadUint32Le(0x904)
	if gotN != n || size != 0 && got != size {
		return fmt.Errorf("%s: %d and %d bytes, want %d and %d", name, gotN, got, n, size)
	}
	return nil
}

func (d dropIn) write(fd uint64, s string) (wasip1.Errno, error) {
	d.text(s)
	return d.call("fd_write", fd, 0x800, 1, 0x900)
}

// tried is an option as a module of wazero's may have it: works looks whether it does what it says.
// It is nil where the option is refused.
type tried struct {
	option func(t *testing.T) virt.Option
	works  func(d dropIn) error
}

// effect is an option whose effect the test sees where it made it.
func effect[T any](make func(seen *T) virt.Option, works func(d dropIn, seen *T) error) tried {
	var seen *T
	return tried{func(*testing.T) virt.Option { seen = new(T); return make(seen) }, func(d dropIn) error { return works(d, seen) }}
}

func always(o virt.Option, works func(d dropIn) error) tried {
	return tried{func(*testing.T) virt.Option { return o }, works}
}

func refused(o virt.Option) tried { return always(o, nil) }

// said checks what a module writes to a stream.
func said(fd uint64) func(d dropIn, seen *bytes.Buffer) error {
	return func(d dropIn, seen *bytes.Buffer) error {
		errno, err := d.write(fd, "text")
		if errno != 0 || err != nil || seen.String() != "text" {
			return fmt.Errorf("%v, %v, %q", errno, err, seen)
		}
		return nil
	}
}

func onceCalled(d dropIn, n *int) error {
	if err := d.answers(wasip1.EIO, "sched_yield"); err != nil || *n != 1 {
		return fmt.Errorf("%w, %d calls", err, *n)
	}
	return nil
}

func hasFile(d dropIn) error {
	if _, errno := d.open("file", 0); errno != 0 {
		return fmt.Errorf("open the file: %v", errno)
	}
	return nil
}

func oneFile() vfs.FS {
	f, err := memfs.FromMap(map[string]string{"file": "text"})
	if err != nil {
		panic(err)
	}
	return f
}

type pollerFunc func(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno)

func (f pollerFunc) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	return f(s, subs, events)
}

type zeroSource struct{}

func (zeroSource) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sleptOut checks that an hour's sleep ends the module.
func sleptOut(d dropIn) error {
	if err := d.sleeps(context.Background()); !errors.As(err, new(*sys.ExitError)) {
		return fmt.Errorf("the sleep answers %v", err)
	}
	return nil
}

func secondCallEnds(d dropIn) error {
	return errors.Join(d.answers(0, "sched_yield"), d.ends("sched_yield"))
}

func argv(n uint32) func(d dropIn) error {
	return func(d dropIn) error { return d.counts("args_sizes_get", n, 0) }
}

func oneVariable(d dropIn) error { return d.counts("environ_sizes_get", 1, 4) }

// dropInOptions are all options of package virt.
var dropInOptions = map[string]tried{
	"GuestOptions":      always(virt.GuestOptions(virt.WithArgs("a", "b")), argv(3)),
	"Options":           always(virt.Options(virt.WithArgs("a", "b")), argv(3)),
	"WithAbsoluteLinks": always(virt.WithAbsoluteLinks(), func(d dropIn) error { d.text("/x"); return d.answers(0, "path_symlink", 0x600, 2, 3, 0x601, 1) }),
	"WithArgs":          always(virt.WithArgs("a"), argv(2)),
	"WithArgsFunc":      always(virt.WithArgsFunc(func() ([]string, error) { return []string{"a"}, nil }), argv(2)),
	"WithClock": always(virt.WithClock(clock.NewVirtual(clock.WithStart(time.Unix(1, 0)))), func(d dropIn) error {
		err := d.answers(0, "clock_time_get", 0, 0, 0x900)
		if now, _ := d.mod.Memory().ReadUint64Le(0x900); now != 1e9 {
			return fmt.Errorf("%w, it is %d ns", err, now)
		}
		return err
	}),
	"WithDevices": always(virt.WithDevices("/d"), func(d dropIn) error {
		if _, errno := d.open("d/null", 0); errno != 0 {
			return errno
		}
		return nil
	}),
	"Limits.DiskBytes": always(virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 2 }), func(d dropIn) error {
		fd, errno := d.open("new", wasip1.OCreat)
		_, err1 := d.write(fd, "text")
		again, err2 := d.write(fd, "text")
		if errno != 0 || again != wasip1.EDQUOT {
			return fmt.Errorf("%v, %v, %v, %v", errno, err1, again, err2)
		}
		return nil
	}),
	"WithEnv":     always(virt.WithEnv("A", "1"), oneVariable),
	"WithEnvFunc": always(virt.WithEnvFunc(func() ([]string, error) { return []string{"A=1"}, nil }), oneVariable),
	"WithExitHook": effect(func(code *uint32) virt.Option { return virt.WithExitHook(func(c uint32) { *code = c }) }, func(d dropIn, code *uint32) error {
		if err := d.ends("proc_exit", 3); err != nil || *code != 3 {
			return fmt.Errorf("%w, the hook saw %d", err, *code)
		}
		return nil
	}),
	"WithFallback": effect(func(n *int) virt.Option {
		return virt.WithFallback("sched_yield", func(r wazero.Runtime) (api.Module, error) {
			f := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { *n++; stack[0] = uint64(wasip1.EIO) })
			return r.NewHostModuleBuilder("other").NewFunctionBuilder().WithGoModuleFunction(f, nil, []api.ValueType{api.ValueTypeI32}).
				Export("sched_yield").Instantiate(context.Background())
		})
	}, onceCalled),
	"WithFaults":       always(virt.WithFaults(virt.Fault{Calls: "sched_yield", Errno: wasip1.EIO}), func(d dropIn) error { return d.answers(wasip1.EIO, "sched_yield") }),
	"WithHostEnv":      always(virt.WithHostEnv(process.PassNone), func(d dropIn) error { return d.counts("environ_sizes_get", 0, 0) }),
	"WithLimits":       always(virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1 }), secondCallEnds),
	"WithSharedLimits": always(virt.WithSharedLimits(func(l *virt.Limits) { l.HostCalls = 1 }), secondCallEnds),
	"Limits.Descriptors": always(virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 5 }), func(d dropIn) error {
		_, first := d.open("a", wasip1.OCreat)
		if _, second := d.open("a", 0); first != 0 || second != wasip1.EMFILE {
			return fmt.Errorf("%v, %v", first, second)
		}
		return nil
	}),
	"Limits.HostCalls": always(virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1 }), secondCallEnds),
	"Limits.Inodes": always(virt.WithLimits(func(l *virt.Limits) { l.Inodes = 1 }), func(d dropIn) error {
		_, first := d.open("a", wasip1.OCreat)
		if _, second := d.open("b", wasip1.OCreat); first != 0 || second != wasip1.EDQUOT {
			return fmt.Errorf("%v, %v", first, second)
		}
		return nil
	}),
	"Limits.OutputBytes": always(virt.WithLimits(func(l *virt.Limits) { l.OutputBytes = 2 }), func(d dropIn) error { d.text("text"); return d.ends("fd_write", 1, 0x800, 1, 0x900) }),
	"Limits.RandomBytes": always(virt.WithLimits(func(l *virt.Limits) { l.RandomBytes = 2 }), func(d dropIn) error { return d.answers(wasip1.EDQUOT, "random_get", 0x900, 8) }),
	"Limits.Sleep":       always(virt.WithLimits(func(l *virt.Limits) { l.Sleep = 1 }), sleptOut),
	"WithMiddleware": effect(func(n *int) virt.Option {
		return virt.WithMiddleware("sched_yield", func(c *virt.Call) wasip1.Errno { *n++; return wasip1.EIO })
	}, onceCalled),
	"WithReplacement": effect(func(n *int) virt.Option {
		return virt.WithReplacement("sched_yield", func(c *virt.Call) wasip1.Errno { *n++; return wasip1.EIO })
	}, onceCalled),
	"WithMount":     {func(*testing.T) virt.Option { return virt.WithMount("/", oneFile()) }, hasFile},
	"WithMountFunc": always(virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) { return oneFile(), nil }), hasFile),
	"WithName":      always(virt.WithName("four"), func(d dropIn) error { return d.counts("args_sizes_get", 1, 5) }),
	"WithPolicy": always(virt.WithPolicy(virt.Deny("sched_yield")), func(d dropIn) error {
		if errno, err := d.call("sched_yield"); errno == 0 || err != nil {
			return fmt.Errorf("%v, %v", errno, err)
		}
		return nil
	}),
	"WithPoller": effect(func(n *int) virt.Option {
		return virt.WithPoller(pollerFunc(func(*poll.Set, []wasip1.Subscription, []wasip1.Event) (int, wasip1.Errno) { *n++; return 0, wasip1.EIO }))
	}, func(d dropIn, n *int) error {
		if err := d.sleeps(context.Background()); err != nil || *n != 1 {
			return fmt.Errorf("%w, %d calls", err, *n)
		}
		return nil
	}),
	"WithPreopened": {func(*testing.T) virt.Option { r, _ := pipe.New(0); return virt.WithPreopened(r) }, func(d dropIn) error { return d.answers(0, "fd_fdstat_get", 4, 0x900) }},
	"WithRandom": always(virt.WithRandom(random.Source(zeroSource{})), func(d dropIn) error {
		d.mod.Memory().WriteUint64Le(0x900, 1)
		err := d.answers(0, "random_get", 0x900, 8)
		if n, _ := d.mod.Memory().ReadUint64Le(0x900); n != 0 {
			return fmt.Errorf("%w, got %d", err, n)
		}
		return err
	}),
	"WithSeed": effect(func(*int) virt.Option { return virt.WithSeed(7) }, func(d dropIn, _ *int) error {
		want := random.Seeded(7).Stream(0)
		b := make([]byte, 8)
		if _, err := want.Read(b); err != nil {
			return err
		}
		err := d.answers(0, "random_get", 0x900, 8)
		if got, _ := d.mod.Memory().Read(0x900, 8); !bytes.Equal(got, b) {
			return fmt.Errorf("%w, got %x, want %x", err, got, b)
		}
		return err
	}),
	"WithSignalHook": effect(func(s *wasip1.Signal) virt.Option {
		return virt.WithSignalHook(func(sig wasip1.Signal) process.Action { *s = sig; return process.ActionIgnore })
	}, func(d dropIn, s *wasip1.Signal) error {
		if err := d.answers(0, "proc_raise", uint64(wasip1.SIGUSR1)); err != nil || *s != wasip1.SIGUSR1 {
			return fmt.Errorf("%w, the hook saw %v", err, *s)
		}
		return nil
	}),
	"WithStderr": effect(func(b *bytes.Buffer) virt.Option { return virt.WithStderr(b) }, said(2)),
	"WithStdout": effect(func(b *bytes.Buffer) virt.Option { return virt.WithStdout(b) }, said(1)),
	"WithStdin": {func(*testing.T) virt.Option { return virt.WithStdin(strings.NewReader("in")) }, func(d dropIn) error {
		d.text("????")
		err := d.answers(0, "fd_read", 0, 0x800, 1, 0x900)
		if b, _ := d.mod.Memory().Read(0x600, 4); string(b) != "in??" {
			return fmt.Errorf("%w, read %q", err, b)
		}
		return err
	}},
	"WithStream": {func(*testing.T) virt.Option { _, w := pipe.New(0); return virt.WithStream(1, w) }, func(d dropIn) error {
		if errno, err := d.write(1, "text"); errno != wasip1.EPIPE && errno != 0 || err != nil {
			return fmt.Errorf("%v, %v", errno, err)
		}
		return nil
	}},
	"WithTimeout": always(virt.WithTimeout(time.Millisecond), sleptOut),
	"WithTrace": effect(func(n *int) virt.Option {
		return virt.WithTrace(countingTracer{n})
	}, func(d dropIn, n *int) error {
		if err := d.answers(0, "sched_yield"); err != nil || *n == 0 {
			return fmt.Errorf("%w, %d events", err, *n)
		}
		return nil
	}),
	"WithoutFiles": always(virt.WithoutFiles(), func(d dropIn) error { return d.answers(wasip1.EBADF, "fd_prestat_get", 3, 0x900) }),
	"WithNetwork":  {func(*testing.T) virt.Option { return virt.WithNetwork(netmem.New(nil).At("here")) }, func(d dropIn) error { return d.answers(0, "sock_open", 1, 2, 0x900) }},

	"Deterministic":            refused(virt.Deterministic(1)),
	"replay.WithLibrary":       refused(replay.WithLibrary("a", passing())),
	"replay.WithSnapshot":      refused(replay.WithSnapshot(new(virt.Snapshot))),
	"WithDeterminism":          refused(virt.WithDeterminism(virt.Determinism{})),
	"Untrusted":                refused(virt.Untrusted()),
	"WithAccessObserver":       refused(virt.WithAccessObserver(func(*trace.Access) {})),
	"WithAccessSwitches":       refused(virt.WithAccessSwitches()),
	"WithAllowedImports":       refused(virt.WithAllowedImports("wasi_snapshot_preview1.*")),
	"WithCallsAfterTrap":       refused(virt.WithCallsAfterTrap()),
	"WithCompilationCache":     refused(virt.WithCompilationCache("x", 1)),
	"WithFuel":                 refused(virt.WithFuel(1)),
	"WithFunctions":            refused(virt.WithFunctions("env", virt.HostFunction{Name: "f", Call: func(*virt.HostCall, []uint64) {}})),
	"WithHash":                 refused(virt.WithHash()),
	"WithInterpreter":          refused(virt.WithInterpreter()),
	"WithLibrary":              refused(virt.WithLibrary("a", virt.Library{Module: new(virt.Module)})),
	"the field CPUTime":        refused(virt.WithLimits(func(l *virt.Limits) { l.CPUTime = 1 })),
	"the field CallDepth":      refused(virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 100 })),
	"the field Stack":          refused(virt.WithLimits(func(l *virt.Limits) { l.Stack = 1 << 20 })),
	"WithMaxThreads":           refused(virt.WithMaxThreads(1)),
	"WithMemoryLimit":          refused(virt.WithMemoryLimit(1 << 20)),
	"WithModuleLimits":         refused(virt.WithModuleLimits(inspect.Limits{})),
	"WithModules":              refused(virt.WithModules(func(wazero.Runtime) (api.Module, error) { return nil, errors.New("no") })),
	"WithMaxGuests":            refused(virt.WithMaxGuests(1)),
	"WithPlug":                 refused(virt.WithPlug(new(virt.Module))),
	"WithRecording":            refused(virt.WithRecording(new(bytes.Buffer))),
	"the field RecordingBytes": refused(virt.WithLimits(func(l *virt.Limits) { l.RecordingBytes = 1 })),
	"WithRuntime":              refused(virt.WithRuntime(wazero.NewRuntime(context.Background()))),
	"WithRuntimeConfig":        refused(virt.WithRuntimeConfig(wazero.NewRuntimeConfig())),
	"WithScheduler":            refused(virt.WithScheduler(sched.NewParallel(sched.Limits{}))),
	"WithSerializedCalls":      refused(virt.WithSerializedCalls()),
	"WithUsage":                refused(virt.WithUsage()),
	"WithoutPreemption":        refused(virt.WithoutPreemption()),
}

type countingTracer struct{ n *int }

func (c countingTracer) Begin(*trace.Event) {}
func (c countingTracer) End(*trace.Event)   { *c.n++ }

// TestDropInKnowsAllOptions: an option that is new is in dropInOptions too.
func TestDropInKnowsAllOptions(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
				continue
			}
			of, _ := f.Type.Results.List[0].Type.(*ast.Ident)
			if of == nil || !slices.Contains([]string{"Option", "GuestOption", "HostOption"}, of.Name) {
				continue
			}
			if _, known := dropInOptions[f.Name.Name]; !known {
				t.Errorf("nobody says what %s does for modules that wazero instantiates", f.Name.Name)
			}
		}
	}
}

// TestDropInHonoursOrRefusesOptions, each by its name, given to Instantiate and with the context.
func TestDropInHonoursOrRefusesOptions(t *testing.T) {
	for name, tc := range dropInOptions {
		t.Run(name, func(t *testing.T) {
			option := tc.option(t)
			guests, ofGuest := option.(virt.GuestOption)
			if tc.works == nil {
				if _, err := dropin.Instantiate(t.Context(), newRuntime(t), option); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%v, want an error that names it", err)
				}
				if ofGuest {
					d := newDropIn(t, dropin.WithOptions(t.Context(), guests))
					if _, err := d.call("sched_yield"); err == nil || !strings.Contains(err.Error(), name) {
						t.Errorf("with the context: %v, want an error that names it", err)
					}
				}
				return
			}
			if err := tc.works(newDropIn(t, t.Context(), option)); err != nil {
				t.Error(err)
			}
			if ofGuest {
				guests, _ = tc.option(t).(virt.GuestOption)
				if err := tc.works(newDropIn(t, dropin.WithOptions(t.Context(), guests))); err != nil {
					t.Errorf("with the context: %v", err)
				}
			}
		})
	}
}

// TestDropInWaitsEndWithEachOption: whatever options a module has, what it waits in ends with each
// way to end it, and nothing is left.
func TestDropInWaitsEndWithEachOption(t *testing.T) {
	for name, tc := range dropInOptions {
		if tc.works == nil || slices.Contains([]string{"Limits.Sleep", "WithTimeout", "WithPoller", "WithStdin", "WithExitHook"}, name) {
			continue // refused, or the wait ends by itself
		}
		for _, e := range dropInEnds {
			for what, wait := range map[string]func(dropIn, context.Context) error{"sleep": dropIn.sleeps, "read": dropIn.reads} {
				t.Run(name+" "+what+" "+e.name, func(t *testing.T) {
					endsWaiting(t, e.end, wait, tc.option(t))
				})
			}
		}
	}
}
