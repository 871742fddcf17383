package virt_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/internal/cputime"
	"github.com/wasivirt/wasivirt/virt"
)

// form is a way to run a module: bare on wazero, or by a Host with options.
type form struct {
	name   string
	config wazero.RuntimeConfig
	opts   []virt.Option
}

// overheadForms are the columns of the table: what of ours costs what, beside what wazero has for
// the same purpose.
var overheadForms = []form{
	{name: "wazero", config: wazero.NewRuntimeConfigCompiler()},
	{name: "wazero-close", config: wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(true)},
	{name: "unchecked", opts: []virt.Option{virt.WithoutPreemption()}},
	{name: "stop", opts: nil},
	{name: "fuel", opts: []virt.Option{virt.WithFuel(1 << 60)}},
	{name: "stack", opts: []virt.Option{virt.WithLimits(func(l *virt.Limits) { l.Stack = 1 << 40 })}},
	{name: "depth", opts: []virt.Option{virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 10_000 })}},
}

// prepare returns what runs an export, or where it is "" the module's _start.
func (f *form) prepare(tb testing.TB, wasm []byte, export string, n uint64, args ...string) func() uint64 {
	tb.Helper()
	ctx := context.Background()
	if f.config == nil {
		host := newHost(tb, append([]virt.Option{virt.WithRuntimeConfig(wazero.NewRuntimeConfigCompiler()), virt.WithArgs(args...)}, f.opts...)...)
		m := compiled(tb, host, wasm)
		if export == "" {
			return func() uint64 {
				if r, err := host.RunModule(ctx, m); err != nil || !r.Success() {
					tb.Fatalf("%v, %v", r, err)
				}
				return 0
			}
		}
		g := newGuest(tb, host, m)
		return func() uint64 {
			r, err := g.Call(ctx, export, n)
			if err != nil {
				tb.Fatal(err)
			}
			return r[0]
		}
	}
	r := wazero.NewRuntimeWithConfig(ctx, f.config)
	tb.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		tb.Fatal(err)
	}
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{"guest"}, args...)...)
	if export == "" {
		return func() uint64 {
			mod, err := r.InstantiateModule(ctx, m, config)
			if mod == nil { // wazero closes a Go program's module when it exits
				tb.Fatal(err)
			}
			mod.Close(ctx)
			return 0
		}
	}
	mod, err := r.InstantiateModule(ctx, m, config)
	if err != nil {
		tb.Fatal(err)
	}
	fn := mod.ExportedFunction(export)
	return func() uint64 {
		r, err := fn.Call(ctx, n)
		if err != nil {
			tb.Fatal(err)
		}
		return r[0]
	}
}

// overheadRows are exports of a module without imports: small loops, where a check costs most, a
// recursion, and programs.
var overheadRows = []struct {
	name, export string
	n            uint64
}{
	{"tight loop", "empty", 1_000_000},
	{"multiply-add", "muladd", 1_000_000},
	{"sieve", "sieve", 300_000},
	{"fib", "fib", 25},
	{"C, sorts and counts", "work", 10_000},
	{"C, calls", "calls", 20},
}

// overheadCommands are whole runs of commands, which each prepare returns or says why not.
var overheadCommands = []struct {
	name  string
	guest func(testing.TB) []byte
	args  []string
}{
	{"C, strings and formats", func(tb testing.TB) []byte { return toolchainGuest(tb, "words-c") }, []string{"10"}},
	{"Rust, parser", func(tb testing.TB) []byte { return toolchainGuest(tb, "parser-rust") }, []string{"30"}},
	{"Go, JSON and hashes", func(tb testing.TB) []byte { return goGuest(tb, "../../../internal/wasmbin/testdata/work") }, []string{"1", "3000"}},
}

// TestOverheadFormsAgree runs what is measured in every form: the results are the same.
func TestOverheadFormsAgree(t *testing.T) {
	wasm := bareGuest(t, "kernels")
	for _, row := range overheadRows {
		results := map[string]uint64{}
		want := map[string]uint64{}
		for i := range overheadForms {
			f := &overheadForms[i]
			results[f.name] = f.prepare(t, wasm, row.export, min(row.n, 1000))()
			want[f.name] = results[overheadForms[0].name]
		}
		if diff := cmp.Diff(want, results); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// BenchmarkOverhead runs each program in every form in turn and reports the least processor time of
// each relative to wazero alone, so that a busy machine disturbs the ratios little.
func BenchmarkOverhead(b *testing.B) {
	for _, row := range overheadRows {
		b.Run(row.name, func(b *testing.B) {
			wasm := bareGuest(b, "kernels")
			compareForms(b, func(f *form) func() uint64 { return f.prepare(b, wasm, row.export, row.n) })
		})
	}
	for _, row := range overheadCommands {
		b.Run(row.name, func(b *testing.B) {
			wasm := row.guest(b)
			compareForms(b, func(f *form) func() uint64 { return f.prepare(b, wasm, "", 0, row.args...) })
		})
	}
}

func compareForms(b *testing.B, prepare func(*form) func() uint64) {
	runs := make([]func() uint64, len(overheadForms))
	for i := range overheadForms {
		runs[i] = prepare(&overheadForms[i])
	}
	// The guest runs in the goroutine that calls it, so this thread's time is its time: what other
	// goroutines do beside it, such as collecting garbage, is left out.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := make([]time.Duration, len(runs))
	for b.Loop() {
		for i, run := range runs {
			start := cputime.Now()
			run()
			if d, _ := cputime.Since(start); best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	for i, f := range overheadForms {
		b.ReportMetric(float64(best[i])/float64(best[0]), f.name+"/wazero")
	}
}
