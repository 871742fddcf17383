package virt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestErrorsMatch lists the errors that an embedder may branch on, and matches each.
func TestErrorsMatch(t *testing.T) {
	ctx := t.Context()
	host := newHost(t)
	threads := compiled(t, host, threadsGuest(t))
	command := loop(abi.ModuleName, nil, nil, []call{{"sched_yield", nil}})
	ranOnce := newGuest(t, host, compiled(t, host, nothing()))
	if _, err := ranOnce.Run(ctx); err != nil {
		t.Fatal(err)
	}
	closed, err := virt.NewBuilder(virt.WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(ctx); err != nil {
		t.Fatal(err)
	}
	small := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 1 }))
	exhausted := func(b virt.Budget) error {
		return &virt.ExitError{Result: &virt.Result{Outcome: virt.Exhausted, Budget: b}}
	}
	as := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	of := func(_ any, err error) error { return err }
	tests := map[string]struct {
		err     error
		matches func(error) bool
	}{
		"a missing import":    {of(host.Compile(ctx, loop("env", nil, nil, []call{{"sched_yield", nil}}))), as(new(*virt.ImportError))},
		"a denied import":     {of(newHost(t, virt.WithAllowedImports("clock")).Compile(ctx, command)), as(new(*virt.ImportError))},
		"no module":           {of(host.Compile(ctx, []byte("no"))), as(new(*inspect.Error))},
		"not a command":       {of(newGuest(t, host, threads).Run(ctx)), is(virt.ErrNotCommand)},
		"run twice":           {of(ranOnce.Run(ctx)), is(virt.ErrAlreadyRun)},
		"no export":           {of(newGuest(t, host, threads).Call(ctx, "nosuch")), is(virt.ErrNoExport)},
		"wrong parameters":    {of(newGuest(t, host, threads).Call(ctx, "hang_in_threads")), is(virt.ErrParams)},
		"another Host":        {of(newHost(t).Instantiate(ctx, threads)), is(virt.ErrOtherHost)},
		"a closed Host":       {of(closed.Run(ctx, nothing())), is(virt.ErrClosed)},
		"a closed group":      {virt.ErrClosed, is(sched.ErrClosed)},
		"no memory left":      {of(small.Run(ctx, threadsGuest(t))), as(new(*virt.BudgetError))},
		"wall time":           {exhausted(virt.BudgetWallTime), is(context.DeadlineExceeded)},
		"fuel":                {exhausted(virt.BudgetFuel), as(new(*virt.BudgetError))},
		"too few descriptors": {of(host.Run(ctx, nothing(), virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 1 }))), as(new(*virt.BudgetError))},
	}
	for name, tc := range tests {
		if tc.err == nil || !tc.matches(tc.err) {
			t.Errorf("%s: %T %v does not match", name, tc.err, tc.err)
		}
	}
	if errors.Is(exhausted(virt.BudgetFuel), context.DeadlineExceeded) {
		t.Error("out of fuel is a deadline")
	}
}

// TestAuditSaysWhatCompileDoes: an import is provided for both or for neither.
func TestAuditSaysWhatCompileDoes(t *testing.T) {
	fn := virt.HostFunction{Name: "sched_yield", Results: []api.ValueType{api.ValueTypeI32},
		Call: func(_ *virt.HostCall, stack []uint64) { stack[0] = 0 }}
	for _, module := range []string{abi.ModuleName, "env", "wasi_unstable", "wasi:cli", "wasivirt"} {
		for name, opts := range map[string][]virt.Option{
			"plain":     nil,
			"functions": {virt.WithFunctions("env", fn)},
			"sealed":    {virt.WithFunctions("env", fn), virt.WithAllowedImports("clock")},
			"granted":   {virt.WithFunctions("env", fn), virt.WithAllowedImports("sched", "env.*")},
		} {
			host := newHost(t, opts...)
			wasm := loop(module, nil, nil, []call{{"sched_yield", nil}})
			audit, err := host.Audit(wasm)
			if err != nil {
				t.Fatal(err)
			}
			_, err = host.Compile(t.Context(), wasm)
			if (err != nil) != (len(audit.Denied) > 0) {
				t.Errorf("%s, %s: Compile says %v, Audit %v", module, name, err, audit.Denied)
			}
		}
	}
}

func TestMistakesAreToldAtBuild(t *testing.T) {
	for name, opts := range map[string][]virt.Option{
		"a variable's name with =": {virt.WithEnv("a=b", "c")},
		"a variable without name":  {virt.WithEnv("", "c")},
		"a value with NUL":         {virt.WithEnv("a", "\x00")},
		"an argument with NUL":     {virt.WithArgs("a\x00b")},
		"two mounts at one path":   {virt.WithMount("/a", memfs.New()), virt.WithMount("/a/", memfs.New())},
		"a negative limit":         {virt.WithLimits(func(l *virt.Limits) { l.Threads = virt.NoThreads - 1 })},
		"too much fuel":            {virt.WithLimits(func(l *virt.Limits) { l.Fuel = 1 << 63 })},
	} {
		if _, err := virt.NewBuilder(opts...).Build(t.Context()); err == nil {
			t.Errorf("%s: Build says nothing", name)
		}
	}
}

func TestGuestsMountReplacesTheBuilders(t *testing.T) {
	host := newHost(t, virt.WithMount("/", memfs.New()))
	m := compiled(t, host, nothing())
	own := memfs.New()
	if err := own.WriteFile("own", nil); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, host, m, virt.WithMount("/", own))
	if _, err := g.Namespace().Root().Stat("/own"); err != nil {
		t.Error(err)
	}
	_, err := host.Instantiate(t.Context(), m, virt.WithMount("/", own), virt.WithMount("/", own))
	if err == nil || !strings.Contains(err.Error(), "already mounted") {
		t.Errorf("two mounts of one guest: %v", err)
	}
}

func TestMaxGuestsQueues(t *testing.T) {
	host := newHost(t, virt.WithMaxGuests(1))
	m := compiled(t, host, nothing())
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := host.Instantiate(ctx, m); !errors.Is(err, stop) {
		t.Errorf("a second guest: %v", err)
	}
	next := make(chan error)
	go func() { _, err := host.RunModule(t.Context(), m); next <- err }()
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	if _, err := host.RunModule(t.Context(), m, virt.WithArgs("\x00")); err == nil {
		t.Error("an argument with NUL")
	}
	if _, err := host.RunModule(t.Context(), m); err != nil {
		t.Errorf("after a guest that could not be made: %v", err)
	}
}

func TestUntrusted(t *testing.T) {
	result, err := virt.Run(t.Context(), nothing(), virt.Untrusted(), virt.WithTimeout(time.Minute))
	if err != nil || !result.Success() {
		t.Error(result, err)
	}
}

func TestResultIsLoggedInWords(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("end", "result", &virt.Result{Outcome: virt.Exhausted, Budget: virt.BudgetFuel})
	want := []string{"result.outcome=exhausted", "result.budget=fuel"}
	for _, w := range want {
		if !slices.Contains(strings.Fields(out.String()), w) {
			t.Errorf("%s lacks %s", out.String(), w)
		}
	}
}

// TestErrorsOfCallsMatch is TestErrorsMatch for what goes wrong while a guest runs.
func TestErrorsOfCallsMatch(t *testing.T) {
	cause := errors.New("the embedder's own")
	i32 := []api.ValueType{api.ValueTypeI32}
	// during returns what a call of nest answers that has f as the function that it calls.
	during := func(f func(c *virt.HostCall), opts ...virt.GuestOption) error {
		t.Helper()
		host := newHost(t, virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: i32, Results: i32,
			Call: func(c *virt.HostCall, _ []uint64) { f(c) }}))
		_, err := newGuest(t, host, compiled(t, host, hostedGuest()), opts...).Call(t.Context(), "nest", 1)
		return err
	}
	var busy, inside error
	elsewhere := func(c *virt.HostCall) {
		done := make(chan struct{})
		go func() {
			_, busy = c.Guest().Call(context.Background(), "nest", 1)
			close(done)
		}()
		<-done
	}
	if err := during(elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := during(func(c *virt.HostCall) { inside = c.Guest().Close(c.Context()) }); err != nil {
		t.Fatal(err)
	}
	reenter := virt.WithMiddleware("env.callback", func(c *virt.Call) wasip1.Errno {
		_, err := c.Guest().Call(c.Context(), "nest", 1)
		if err == nil {
			t.Error("a Handler re-enters its function")
		}
		return wasip1.ESUCCESS
	})
	nothing := func(*virt.HostCall) {}
	var left *virt.Guest // of which a function ends the goroutine
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = during(func(c *virt.HostCall) { left = c.Guest(); runtime.Goexit() })
	}()
	<-ended
	_, g, release := heldUp(t)
	expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	stuck := g.Close(expired)
	release()
	var tape bytes.Buffer
	host := newHost(t)
	if _, err := host.Run(t.Context(), bareGuest(t, "do"), virt.WithRecording(&tape)); err != nil {
		t.Fatal(err)
	}
	again := func(b []byte) error {
		_, err := replay.Run(t.Context(), bareGuest(t, "do"), bytes.NewReader(b))
		return err
	}
	_, mismatch := virt.ReadSnapshot(compiled(t, host, bareGuest(t, "do")), strings.NewReader("no snapshot"))
	for name, tc := range map[string]struct {
		err     error
		matches func(error) bool
	}{
		"a call beside another":      {busy, func(err error) bool { return errors.Is(err, virt.ErrBusy) }},
		"Close from inside":          {inside, func(err error) bool { return errors.Is(err, virt.ErrInside) }},
		"a trap":                     {during(func(c *virt.HostCall) { c.Trap(cause) }), func(err error) bool { return errors.As(err, new(*virt.Trap)) }},
		"the cause of a trap":        {during(func(c *virt.HostCall) { c.Trap(cause) }), func(err error) bool { return errors.Is(err, cause) }},
		"the cause of a stop":        {during(func(c *virt.HostCall) { c.Guest().Stop(cause) }), func(err error) bool { return errors.Is(err, cause) }},
		"the end of the guest":       {during(func(c *virt.HostCall) { c.Trap(cause) }), func(err error) bool { return errors.As(err, new(*virt.ExitError)) }},
		"a refused call":             {during(nothing, virt.WithPolicy(virt.Deny("env.callback"))), func(err error) bool { return errors.Is(err, wasip1.ENOTCAPABLE) }},
		"re-entry":                   {during(nothing, reenter), func(err error) bool { return errors.As(err, new(*virt.ReentryError)) }},
		"a panic":                    {during(func(*virt.HostCall) { panic(cause) }), func(err error) bool { return errors.Is(err, cause) }},
		"an ended goroutine":         {left.Result().Err, func(err error) bool { return errors.As(err, new(*virt.GoexitError)) }},
		"code that does not return":  {stuck, func(err error) bool { return errors.As(err, new(*virt.StuckError)) }},
		"and the context's cause":    {stuck, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"lost output":                {tryToWriteA(newGuest(t, host, compiled(t, host, passing()), virt.WithStdout(failing{cause}))), func(err error) bool { return errors.As(err, new(*virt.OutputError)) && errors.Is(err, cause) }},
		"a recording that is cut":    {again(tape.Bytes()[:tape.Len()-1]), func(err error) bool { return errors.Is(err, replay.ErrCut) }},
		"no recording":               {again([]byte("nothing that anybody recorded")), func(err error) bool { return errors.As(err, new(*replay.Error)) }},
		"another run":                {fmt.Errorf("replay: %w", &replay.DivergenceError{}), func(err error) bool { return errors.As(err, new(*replay.DivergenceError)) }},
		"a snapshot that is no file": {mismatch, func(err error) bool { return err != nil }},
		"a snapshot of another kind": {fmt.Errorf("read: %w", virt.ErrSnapshotMismatch), func(err error) bool { return errors.Is(err, virt.ErrSnapshotMismatch) }},
	} {
		if tc.err == nil || !tc.matches(tc.err) {
			t.Errorf("%s: %T %v does not match", name, tc.err, tc.err)
		}
	}
}

// TestAllErrorsAreMatched: the two tests above name each exported error of the package.
func TestAllErrorsAreMatched(t *testing.T) {
	tests, err := os.ReadFile("errors_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				var names []*ast.Ident
				switch s := s.(type) {
				case *ast.TypeSpec:
					if strings.HasSuffix(s.Name.Name, "Error") {
						names = append(names, s.Name)
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if strings.HasPrefix(n.Name, "Err") {
							names = append(names, n)
						}
					}
				}
				for _, n := range names {
					if n.IsExported() && !bytes.Contains(tests, []byte("virt."+n.Name)) {
						t.Errorf("%s is matched by no test", n.Name)
					}
				}
			}
		}
	}
}
