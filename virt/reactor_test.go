package virt_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// embedder is host code that guests call as env.callback.
type embedder struct {
	callback func(ctx context.Context, n int32) int32
}

func (e *embedder) modules() virt.Option {
	return virt.WithModules(func(r wazero.Runtime) (api.Module, error) {
		return r.NewHostModuleBuilder("env").NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
				stack[0] = api.EncodeI32(e.callback(ctx, api.DecodeI32(stack[0])))
			}), []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
			Export("callback").Instantiate(context.Background())
	})
}

// reactorWasm is the Go reactor of testdata, built once a test run.
var reactorWasm struct {
	sync.Mutex
	wasm []byte
}

func goReactor(t *testing.T) []byte {
	t.Helper()
	reactorWasm.Lock()
	defer reactorWasm.Unlock()
	if reactorWasm.wasm == nil {
		reactorWasm.wasm = goGuest(t, "reactor", "-buildmode=c-shared")
	}
	return reactorWasm.wasm
}

// newReactor makes a guest of the Go reactor whose callback is callback.
func newReactor(t *testing.T, callback func(ctx context.Context, n int32) int32, opts ...virt.GuestOption) *virt.Guest {
	t.Helper()
	host := newHost(t, (&embedder{callback}).modules(),
		shared)
	g, err := host.Instantiate(t.Context(), compiled(t, host, goReactor(t)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// callI32 calls an export with results and parameters of type i32.
func callI32(ctx context.Context, g *virt.Guest, name string, params ...int32) (int32, error) {
	var p []uint64
	for _, n := range params {
		p = append(p, api.EncodeI32(n))
	}
	results, err := g.Call(ctx, name, p...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return api.DecodeI32(results[0]), nil
}

func TestReactorIsCalledAgainAndAgain(t *testing.T) {
	g := newReactor(t, nil)
	const calls = 1000
	for i := range int32(calls) {
		if sum, err := callI32(t.Context(), g, "add", i, -1); err != nil || sum != i-1 {
			t.Fatalf("call %d: %d, %v", i, sum, err)
		}
	}
	// Its state is what a thousand calls have made of it.
	if n, err := g.Call(t.Context(), "called"); err != nil || n[0] != calls {
		t.Errorf("the guest counted %v calls, %v", n, err)
	}
	if r := g.Result(); r.Outcome != virt.Running {
		t.Errorf("the guest is %v, want running", r)
	}
	if _, err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "reactor") {
		t.Errorf("Run of a reactor: %v", err)
	}
	if _, err := g.Call(t.Context(), "subtract"); err == nil || !strings.Contains(err.Error(), `"subtract"`) {
		t.Errorf("a function that is missing: %v", err)
	}
	if _, err := g.Call(t.Context(), "add", 1); err == nil || !errors.Is(err, virt.ErrParams) || !strings.Contains(err.Error(), "with 1 parameters, which takes 2") {
		t.Errorf("a parameter that is missing: %v", err)
	}
}

func TestReactorTakesStringsThroughItsAllocator(t *testing.T) {
	files, err := memfs.FromMap(map[string]string{"dir/greeting": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	g := newReactor(t, nil, virt.WithMount("/", files), virt.WithStdout(&out))
	a, err := wazeromem.NewAllocator(g.Instance())
	if err != nil {
		t.Fatal(err)
	}
	const name = "/dir/greeting"
	ptr, err := a.WriteString(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wazeromem.ReadString(g.Instance().Memory(), ptr, uint32(len(name))); got != name || err != nil {
		t.Errorf("read back %q, %v", got, err)
	}
	if n, err := callI32(t.Context(), g, "upper", int32(ptr), int32(len(name))); n != 5 || err != nil {
		t.Errorf("upper: %d, %v", n, err)
	}
	if err := a.Free(t.Context(), ptr, uint32(len(name))); err != nil {
		t.Error(err)
	}
	if out.String() != "HELLO" {
		t.Errorf("printed %q", out.String())
	}
}

func TestReactorIsCalledFromWhatItCalls(t *testing.T) {
	var g *virt.Guest
	g = newReactor(t, func(ctx context.Context, n int32) int32 {
		sum, err := callI32(ctx, g, "add", n, 1)
		if err != nil {
			t.Error(err)
		}
		return sum
	})
	for i := range int32(10) {
		if got, err := callI32(t.Context(), g, "nest", i); err != nil || got != i+1 {
			t.Errorf("nest(%d): %d, %v", i, got, err)
		}
	}
}

// TestReactorRefusesASecondCall makes a call while another is in the middle of a host function.
func TestReactorRefusesASecondCall(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	g := newReactor(t, func(_ context.Context, n int32) int32 {
		close(inside)
		<-leave
		return n
	})
	first := make(chan error)
	go func() {
		_, err := callI32(t.Context(), g, "nest", 1)
		first <- err
	}()
	<-inside
	if _, err := callI32(t.Context(), g, "add", 1, 2); !errors.Is(err, virt.ErrBusy) {
		t.Errorf("a second call: %v, want ErrBusy", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("the first call: %v", err)
	}
	if sum, err := callI32(t.Context(), g, "add", 1, 2); sum != 3 || err != nil {
		t.Errorf("after the first call: %d, %v", sum, err)
	}
}

func TestReactorSerializesCalls(t *testing.T) {
	inside, leave := make(chan struct{}, 1), make(chan struct{})
	g := newReactor(t, func(_ context.Context, n int32) int32 {
		inside <- struct{}{}
		<-leave
		return n
	}, virt.WithSerializedCalls())
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := callI32(t.Context(), g, "nest", 1); err != nil {
			t.Error(err)
		}
	})
	<-inside
	// Whoever waits for its turn gives up with its context.
	canceled, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := callI32(canceled, g, "add", 1, 2); !errors.Is(err, reason) {
		t.Errorf("a call whose context has ended: %v", err)
	}
	const calls = 50
	for i := range int32(calls) {
		group.Go(func() {
			if sum, err := callI32(t.Context(), g, "add", i, i); err != nil || sum != 2*i {
				t.Errorf("add(%d, %d): %d, %v", i, i, sum, err)
			}
		})
	}
	close(leave)
	group.Wait()
	if n, err := g.Call(t.Context(), "called"); err != nil || n[0] != calls {
		t.Errorf("the guest counted %v calls, %v", n, err)
	}
}

func TestReactorEndsWithProcExit(t *testing.T) {
	g := newReactor(t, nil)
	_, err := callI32(t.Context(), g, "exit", 7)
	exit, ok := errors.AsType[*virt.ExitError](err)
	if !ok || exit.Result.Outcome != virt.Exited || exit.Result.ExitCode != 7 {
		t.Errorf("exit(7): %v", err)
	}
	_, err = callI32(t.Context(), g, "add", 1, 2)
	if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.ExitCode != 7 {
		t.Errorf("a call after the end: %v, want the end again", err)
	}
	if r := g.Result(); r.Outcome != virt.Exited || r.ExitCode != 7 {
		t.Errorf("result %v", r)
	}
}

// trapping is a module with a function that traps and one that does not.
func trapping() []byte {
	return handModule{funcs: []handFunc{
		{name: "trap", body: []byte{opUnreachable}},
		{name: "fine"},
	}}.encode()
}

func TestReactorEndsWithATrap(t *testing.T) {
	host := newHost(t)
	g, err := host.Instantiate(t.Context(), compiled(t, host, trapping()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Call(t.Context(), "trap")
	trapped, ok := errors.AsType[*virt.Trap](err)
	if !ok || trapped.Kind != trap.Unreachable {
		t.Errorf("trap: %v", err)
	}
	if _, err := g.Call(t.Context(), "fine"); !errors.As(err, &trapped) {
		t.Errorf("a call after the trap: %v, want the trap again", err)
	}
}

func TestReactorGoesOnAfterATrapWhereAskedFor(t *testing.T) {
	host := newHost(t)
	g, err := host.Instantiate(t.Context(), compiled(t, host, trapping()), virt.WithCallsAfterTrap())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := g.Call(t.Context(), "trap"); err == nil {
			t.Error("no error of a trap")
		}
		if _, err := g.Call(t.Context(), "fine"); err != nil {
			t.Errorf("a call after the trap: %v", err)
		}
	}
	if r := g.Result(); r.Outcome != virt.Running {
		t.Errorf("the guest is %v, want running", r)
	}
}

func TestReactorEndsWithItsContext(t *testing.T) {
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	g := newReactor(t, func(ctx context.Context, n int32) int32 {
		cancel(reason)
		<-ctx.Done() // host code sees the end too
		return n
	})
	_, err := callI32(ctx, g, "nest", 1)
	exit, ok := errors.AsType[*virt.ExitError](err)
	if !ok || exit.Result.Outcome != virt.Canceled || !errors.Is(err, reason) {
		t.Errorf("a call whose context ended: %v", err)
	}
}

func TestReactorIsClosedWhileItRuns(t *testing.T) {
	inside := make(chan struct{})
	g := newReactor(t, func(ctx context.Context, n int32) int32 {
		close(inside)
		<-ctx.Done()
		return n
	})
	called := make(chan error)
	go func() {
		_, err := callI32(context.Background(), g, "nest", 1)
		called <- err
	}()
	<-inside
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
	err := <-called
	if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Canceled || !errors.Is(err, virt.ErrClosed) {
		t.Errorf("the call: %v, want an end by Close", err)
	}
	if _, err := callI32(t.Context(), g, "add", 1, 2); err == nil {
		t.Error("a call after Close has no error")
	}
	if err := g.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// TestCallAfterRun: the error says that Run ended the guest, and what to call instead.
func TestCallAfterRun(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, command(texts("x"), writeText(1, 0)))
	g := newGuest(t, host, m)
	if _, err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := g.Call(t.Context(), "run")
	if !errors.As(err, new(*virt.ExitError)) || !strings.Contains(err.Error(), "call _start with Guest.Call") {
		t.Errorf("after Run: %v", err)
	}
	g = newGuest(t, host, m)
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = g.Call(t.Context(), "run")
	if !errors.As(err, new(*virt.ExitError)) || strings.Contains(err.Error(), "Guest.Run") {
		t.Errorf("after Close: %v", err)
	}
}
