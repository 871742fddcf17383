package wasmbin

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// host is what the embedder provides for rewritten modules, and counts.
type host struct {
	slice                      int64 // fuel given out at a time
	checks, fuels, accesses    int
	onCheck, onFuel, onDepth   func(api.Module)
	onStack                    func(api.Module)
	wait32, wait64, notifyFunc api.GoModuleFunc
	grow                       api.GoModuleFunc
}

// instantiate makes the host module for what the report lists.
func (h *host) instantiate(ctx context.Context, r wazero.Runtime, name string, report *Report) error {
	b := r.NewHostModuleBuilder(name)
	for _, i := range report.Imports {
		var f api.GoModuleFunc
		switch i.Name {
		case "check":
			f = func(_ context.Context, m api.Module, _ []uint64) {
				h.checks++
				if h.onCheck != nil {
					h.onCheck(m)
				}
			}
		case "fuel":
			f = func(_ context.Context, m api.Module, _ []uint64) {
				h.fuels++
				if h.onFuel != nil {
					h.onFuel(m)
					return
				}
				g := m.ExportedGlobal(report.FuelGlobal).(api.MutableGlobal)
				g.Set(uint64(int64(g.Get()) + h.slice))
			}
		case "depth":
			f = func(_ context.Context, m api.Module, _ []uint64) {
				if h.onDepth != nil {
					h.onDepth(m)
				}
			}
		case "stack":
			f = func(_ context.Context, m api.Module, _ []uint64) {
				if h.onStack != nil {
					h.onStack(m)
				}
			}
		case "try", "tables", "ungrown":
			f = func(context.Context, api.Module, []uint64) {}
		case "access", "note":
			f = func(context.Context, api.Module, []uint64) { h.accesses++ }
		case "wait32":
			f = h.wait32
		case "wait64":
			f = h.wait64
		case "notify":
			f = h.notifyFunc
		case "grow":
			f = h.grow
		}
		if f == nil {
			f = func(context.Context, api.Module, []uint64) { panic("not expected") }
		}
		params, results := make([]api.ValueType, len(i.Params)), make([]api.ValueType, len(i.Results))
		for j, p := range i.Params {
			params[j] = api.ValueType(p)
		}
		for j, p := range i.Results {
			results[j] = api.ValueType(p)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(f, params, results).Export(i.Name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// guest is a module ready to run.
type guest struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	report   *Report
	host     *host
}

func newGuest(t testing.TB, config wazero.RuntimeConfig, module []byte, opts *Options) *guest {
	t.Helper()
	if opts == nil {
		return newGuestWith(t, config, module, Options{}, host{})
	}
	return newGuestWith(t, config, module, *opts, host{slice: 1_000_000})
}

func newGuestWith(t testing.TB, config wazero.RuntimeConfig, module []byte, opts Options, h host) *guest {
	t.Helper()
	ctx := context.Background()
	g := &guest{runtime: wazero.NewRuntimeWithConfig(ctx, config), host: &h}
	t.Cleanup(func() { g.runtime.Close(ctx) })
	opts.ImportModule = "wasivirt"
	module, report, err := Rewrite(module, opts)
	if err != nil {
		t.Fatal(err)
	}
	g.report = report
	if err := g.host.instantiate(ctx, g.runtime, "wasivirt", report); err != nil {
		t.Fatal(err)
	}
	wasi_snapshot_preview1.MustInstantiate(ctx, g.runtime)
	if g.compiled, err = g.runtime.CompileModule(ctx, module); err != nil {
		t.Fatal(err)
	}
	return g
}

// start instantiates the guest, running its start function.
func (g *guest) start(t testing.TB, args ...string) (mod api.Module, stdout string) {
	t.Helper()
	var out bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(args...).WithStdout(&out).WithStderr(&out)
	mod, err := g.runtime.InstantiateModule(context.Background(), g.compiled, config)
	if err != nil && mod == nil && out.Len() == 0 {
		t.Fatal(err)
	}
	return mod, out.String()
}
