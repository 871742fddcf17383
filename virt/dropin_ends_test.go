package virt_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dropIn is a runtime with a module that exports the functions of preview1.
type dropIn struct {
	runtime wazero.Runtime
	closer  api.Closer
	mod     api.Module
}

func newDropIn(t *testing.T, instantiate context.Context, opts ...virt.Option) dropIn {
	t.Helper()
	d := dropIn{runtime: newRuntime(t)}
	var err error
	if d.closer, err = dropin.Instantiate(t.Context(), d.runtime, opts...); err != nil {
		t.Fatal(err)
	}
	if d.mod, err = d.runtime.InstantiateWithConfig(instantiate, passing(imported("sock_open", "iii")), anonymous()); err != nil {
		t.Fatal(err)
	}
	return d
}

// sleeps has the module wait for an hour in poll_oneoff.
func (d dropIn) sleeps(ctx context.Context) error {
	d.subscribe()
	return d.polls(ctx)
}

// subscribe puts the subscription for polls into the module's memory.
func (d dropIn) subscribe() {
	sub := make([]byte, 48)
	sub[16] = byte(wasip1.ClockMonotonic)
	hour := uint64(time.Hour)
	for i := range 8 {
		sub[24+i] = byte(hour >> (8 * i))
	}
	d.mod.Memory().Write(0x800, sub)
}

func (d dropIn) polls(ctx context.Context) error {
	_, err := d.mod.ExportedFunction("poll_oneoff").Call(ctx, 0x800, 0x900, 1, 0x100)
	return err
}

// reads has the module read its standard input.
func (d dropIn) reads(ctx context.Context) error {
	d.mod.Memory().WriteUint32Le(0x800, 0x700)
	d.mod.Memory().WriteUint32Le(0x804, 1)
	_, err := d.mod.ExportedFunction("fd_read").Call(ctx, 0, 0x800, 1, 0x100)
	return err
}

// dropInEnds are the ways to end what a module does.
var dropInEnds = []struct {
	name string
	end  func(d dropIn, cancel context.CancelFunc)
}{
	{"context", func(_ dropIn, cancel context.CancelFunc) { cancel() }},
	{"Module.Close", func(d dropIn, _ context.CancelFunc) { _ = d.mod.Close(context.Background()) }},
	{"closer", func(d dropIn, _ context.CancelFunc) { _ = d.closer.Close(context.Background()) }},
	{"Runtime.Close", func(d dropIn, _ context.CancelFunc) { _ = d.runtime.Close(context.Background()) }},
}

// endsWaiting has a module wait, and ends it meanwhile.
func endsWaiting(t *testing.T, end func(dropIn, context.CancelFunc), wait func(dropIn, context.Context) error, opts ...virt.Option) {
	asked := make(chan struct{}, 1)
	input := newStalled()
	defer close(input.end)
	tell := virt.WithMiddleware("poll_oneoff,fd_read", func(c *virt.Call) wasip1.Errno { asked <- struct{}{}; return c.Next() })
	d := newDropIn(t, t.Context(), append(opts, virt.WithStdin(input), tell)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- wait(d, ctx) }()
	<-asked
	end(d, cancel)
	if exit, ok := errors.AsType[*sys.ExitError](<-ended); !ok || exit.ExitCode() == 0 {
		t.Errorf("the call answers %v, want an exit code that says why", exit)
	}
}

// TestDropInWaitsEnd: what a module waits in ends with the call's context and with each way to
// close it.
func TestDropInWaitsEnd(t *testing.T) {
	for _, e := range dropInEnds {
		for what, wait := range map[string]func(dropIn, context.Context) error{"sleep": dropIn.sleeps, "read": dropIn.reads} {
			t.Run(what+" "+e.name, func(t *testing.T) { endsWaiting(t, e.end, wait) })
		}
	}
}

// TestDropInTimeout ends a module that sleeps, and leaves it closed.
func TestDropInTimeout(t *testing.T) {
	d := newDropIn(t, t.Context(), virt.WithTimeout(time.Millisecond))
	for _, when := range []string{"while it sleeps", "later"} {
		if err := d.sleeps(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want a deadline exceeded", when, err)
		}
	}
}

// TestDropInOptionsOfAReactor come from the context that the module was instantiated with.
func TestDropInOptionsOfAReactor(t *testing.T) {
	var everybody, own bytes.Buffer
	ctx := dropin.WithOptions(t.Context(), virt.WithStdout(&own), virt.WithPolicy(virt.Deny("random_get")))
	d := newDropIn(t, ctx, virt.WithStdout(&everybody))
	mem := d.mod.Memory()
	mem.WriteUint32Le(0x800, 0x700)
	mem.WriteUint32Le(0x804, 3)
	mem.WriteString(0x700, "out")
	if _, err := d.mod.ExportedFunction("fd_write").Call(t.Context(), 1, 0x800, 1, 0x100); err != nil {
		t.Fatal(err)
	}
	if own.String() != "out" || everybody.Len() != 0 {
		t.Errorf("own %q, everybody's %q", own.String(), everybody.String())
	}
	errno, err := d.mod.ExportedFunction("random_get").Call(t.Context(), 0x700, 8)
	if err != nil || errno[0] == 0 {
		t.Errorf("random_get: %v, %v; the policy denies it", errno, err)
	}
}

// TestDropInRefusesOptions that would have no effect, by their names.
func TestDropInRefusesOptions(t *testing.T) {
	for name, o := range map[string]virt.Option{
		"WithMemoryLimit":    virt.WithMemoryLimit(1 << 20),
		"field CallDepth of": virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 100 }),
		"WithFuel":           virt.WithFuel(1000),
		"Deterministic":      virt.Deterministic(1),
		"WithCallsAfterTrap": virt.WithCallsAfterTrap(),
		"WithMaxThreads":     virt.WithMaxThreads(1),
		"field Fuel of":      virt.WithLimits(func(l *virt.Limits) { l.Fuel, l.HostCalls = 1000, 1 }),
		"field Memory of":    virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 1 << 20 }),
	} {
		if _, err := dropin.Instantiate(t.Context(), newRuntime(t), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error that names it", name, err)
		}
	}
}

// TestDropInUsesStreamsOfTheModuleConfig, and its randomness, unless options give others.
func TestDropInUsesStreamsOfTheModuleConfig(t *testing.T) {
	wasm := command(texts("hello"), readFd(0), call{"fd_write", []any{1, iovecAt(15), 1, resultAt}}, writeText(2, 0), call{"random_get", []any{bufferAt, 4}})
	var given bytes.Buffer
	for name, tc := range map[string]struct {
		opts []virt.Option
		want string
	}{
		"the configuration's": {nil, "typed"},
		"an option's":         {[]virt.Option{virt.WithStdout(&given)}, ""},
	} {
		r := newRuntime(t)
		if _, err := dropin.Instantiate(t.Context(), r, tc.opts...); err != nil {
			t.Fatal(err)
		}
		var out, diagnostics bytes.Buffer
		// The memory has 64 bytes for what is read, all of which are written.
		config := anonymous().WithStdin(strings.NewReader("typed")).WithStdout(&out).WithStderr(&diagnostics).WithRandSource(strings.NewReader("dice"))
		mod, err := r.InstantiateWithConfig(t.Context(), wasm, config)
		if err != nil {
			t.Fatal(name, err)
		}
		random, _ := mod.Memory().Read(bufferAt, 4)
		if got := strings.TrimRight(out.String(), "\x00"); got != tc.want || diagnostics.String() != "hello" || string(random) != "dice" {
			t.Errorf("%s: %q, %q, random %q", name, got, diagnostics.String(), random)
		}
	}
	if got := strings.TrimRight(given.String(), "\x00"); got != "typed" {
		t.Errorf("the option's writer got %q", got)
	}
}

// TestDropInAsksForClocks in other words than the module's configuration.
func TestDropInAsksForClocks(t *testing.T) {
	wasm := command(texts(), call{"sched_yield", nil})
	r := newRuntime(t)
	if _, err := dropin.Instantiate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := r.InstantiateWithConfig(t.Context(), wasm, anonymous().WithSysWalltime().WithSysNanotime().WithSysNanosleep()); err != nil {
		t.Errorf("the system's: %v", err)
	}
	_, err := r.InstantiateWithConfig(t.Context(), wasm, anonymous().WithNanotime(func() int64 { return 1 }, 1))
	if err == nil || !strings.Contains(err.Error(), "virt.WithClock") || !strings.Contains(err.Error(), "WithNanotime") {
		t.Errorf("its own: %v, want an error that names virt.WithClock", err)
	}
}

// TestDropInSeesTheModuleConfig, but for mounts, which the first call asks for in other words.
func TestDropInSeesTheModuleConfig(t *testing.T) {
	r := newRuntime(t)
	var out bytes.Buffer
	if _, err := dropin.Instantiate(t.Context(), r, virt.WithStdout(&out)); err != nil {
		t.Fatal(err)
	}
	config := anonymous().WithArgs("name", "one")
	if _, err := r.InstantiateWithConfig(t.Context(), wazeroGuest(t, "testdata/print_args.wasm"), config); err != nil {
		t.Fatal(err)
	}
	if want := "name\x00one\x00"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	config = config.WithFSConfig(wazero.NewFSConfig().WithDirMount(t.TempDir(), "/data"))
	_, err := r.InstantiateWithConfig(t.Context(), wazeroGuest(t, "testdata/print_args.wasm"), config)
	if err == nil || !strings.Contains(err.Error(), "virt.WithMount") {
		t.Errorf("with a mount: %v, want an error that names virt.WithMount", err)
	}
}

// TestDropInOptionThatRunsAModule of the same runtime while the world of another is made.
func TestDropInOptionThatRunsAModule(t *testing.T) {
	r := newRuntime(t)
	m, err := r.CompileModule(t.Context(), passing())
	if err != nil {
		t.Fatal(err)
	}
	run := func() error {
		mod, err := r.InstantiateModule(t.Context(), m, anonymous())
		if err != nil {
			return err
		}
		defer mod.Close(t.Context())
		_, err = mod.ExportedFunction("sched_yield").Call(t.Context())
		return err
	}
	depth := 0
	files := virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) {
		if depth++; depth == 1 {
			return memfs.New(), run()
		}
		return memfs.New(), nil
	})
	if _, err := dropin.Instantiate(t.Context(), r, files); err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil {
		t.Error(err)
	}
	if depth != 2 {
		t.Errorf("%d worlds were made, want 2", depth)
	}
}

// TestDropInFreesWorlds of modules that were closed before another one gets its own.
func TestDropInFreesWorlds(t *testing.T) {
	r := newRuntime(t)
	shared := virt.WithSharedLimits(func(l *virt.Limits) { l.Inodes = 3 })
	if _, err := dropin.Instantiate(t.Context(), r, shared); err != nil {
		t.Fatal(err)
	}
	makesDir := func() api.Module {
		t.Helper()
		mod, err := r.InstantiateWithConfig(t.Context(), passing(), anonymous())
		if err != nil {
			t.Fatal(err)
		}
		mod.Memory().WriteString(0x700, "d")
		if errno, err := mod.ExportedFunction("path_create_directory").Call(t.Context(), 3, 0x700, 1); err != nil || errno[0] != 0 {
			t.Fatalf("make a directory: %v, %v", errno, err)
		}
		return mod
	}
	for range 2 { // they stay open
		makesDir()
	}
	for range 20 {
		if err := makesDir().Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropInCallsOfSeveralGoroutines of one module have each their own context: its values, and its
// end, which ends no other call and leaves the module open.
func TestDropInCallsOfSeveralGoroutines(t *testing.T) {
	type key struct{}
	values := make(chan any, 1)
	tell := virt.WithMiddleware("poll_oneoff", func(c *virt.Call) wasip1.Errno {
		values <- c.Context().Value(key{})
		errno := c.Next()
		values <- c.Context().Value(key{})
		return errno
	})
	d := newDropIn(t, t.Context(), tell)
	d.subscribe()
	const calls = 3
	var cancels [calls]context.CancelFunc
	var ended [calls]chan error
	for i := range calls {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, i))
		defer cancel()
		cancels[i], ended[i] = cancel, make(chan error, 1)
		go func() { ended[i] <- d.polls(ctx) }()
		if got := <-values; got != i {
			t.Errorf("call %d has the value %v", i, got)
		}
	}
	for _, i := range []int{1, 0, 2} {
		cancels[i]()
		if got := <-values; got != i {
			t.Errorf("call %d has the value %v at its end", i, got)
		}
		if exit, ok := errors.AsType[*sys.ExitError](<-ended[i]); !ok || exit.ExitCode() != sys.ExitCodeContextCanceled {
			t.Errorf("call %d answers %v", i, exit)
		}
		for j, e := range ended {
			if len(e) != 0 {
				t.Errorf("the end of call %d ended call %d", i, j)
			}
		}
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if exit, ok := errors.AsType[*sys.ExitError](d.polls(late)); !ok || exit.ExitCode() != sys.ExitCodeContextCanceled {
		t.Errorf("a call whose context has ended before answers %v", exit)
	}
	if errno, err := d.mod.ExportedFunction("random_get").Call(t.Context(), 0x700, 8); err != nil || errno[0] != 0 {
		t.Errorf("a call after them: %v, %v", errno, err)
	}
}
