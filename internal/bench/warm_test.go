package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/pool"
)

// warmGuest is a guest that has been started: it calls exports and reaches the memory.
type warmGuest struct {
	call   func(name string, params ...uint64) ([]uint64, error)
	memory func() api.Memory
}

// program is a guest that answers requests, each of which writes to 100 pages and reads a file.
type program struct {
	name string
	wasm func(b *testing.B) []byte
	// warm does what comes between _initialize and the first request, nil for nothing.
	warm func(b *testing.B, r *warmGuest)
	// request is the export, and its parameters, that make a request.
	request func(r *warmGuest) (name string, params []uint64)
	// answered checks what the request answered.
	answered func(r *warmGuest, results []uint64) error
}

func programs() []program {
	plain := func(*warmGuest) (string, []uint64) { return "request", nil }
	return []program{
		{name: "C", wasm: func(b *testing.B) []byte { return readFile(b, filepath.Join("testdata", "request.wasm")) }, request: plain, answered: same()},
		{name: "Go", wasm: func(b *testing.B) []byte {
			wasm, err := goguest.Build(b.Context(), "./testdata/gorequest", "-buildmode=c-shared")
			check(b, err)
			return wasm
		}, request: plain, answered: same()},
		{name: "Ruby", wasm: engine("ruby.wasm"), warm: warmRuby, request: func(*warmGuest) (string, []uint64) {
			return rubyEval, []uint64{scriptAt, uint64(len(rubyRequest))}
		}, answered: func(r *warmGuest, results []uint64) error {
			if state, ok := r.memory().ReadUint32Le(uint32(results[0]) + 4); !ok || state != 0 {
				return fmt.Errorf("Ruby raised an exception: state %d", state)
			}
			return nil
		}},
		{name: "Perl", wasm: engine("zeroperl.wasm"), warm: warmPerl, request: func(*warmGuest) (string, []uint64) {
			return "zeroperl_eval", []uint64{scriptAt, 1, 0, 0}
		}, answered: func(_ *warmGuest, results []uint64) error {
			if results[0] != 0 {
				return fmt.Errorf("Perl died: %d", results[0])
			}
			return nil
		}},
	}
}

// same checks that each request is answered alike: the guest is as fresh as the first was.
func same() func(*warmGuest, []uint64) error {
	var first []uint64
	return func(_ *warmGuest, results []uint64) error {
		if first == nil {
			first = results
		}
		if first[0] != results[0] {
			return fmt.Errorf("answered %d, and a fresh guest %d", results[0], first[0])
		}
		return nil
	}
}

func readFile(b *testing.B, path string) []byte {
	wasm, err := os.ReadFile(path)
	check(b, err)
	return wasm
}

// engine is an interpreter that ./engines has brought into the directory WASIVIRT_ENGINES.
func engine(file string) func(*testing.B) []byte {
	return func(b *testing.B) []byte {
		dir := os.Getenv("WASIVIRT_ENGINES")
		if dir == "" {
			b.Skip("WASIVIRT_ENGINES names no directory that ./engines has brought interpreters into: NOT RUN")
		}
		return readFile(b, filepath.Join(dir, file))
	}
}

// scriptAt is set by warmRuby and warmPerl: where in the memory the text of a request is.
var scriptAt uint64

const (
	rubyEval    = "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
	rubyRequest = `100.times { |i| $pages.setbyte(i * 8192, i) }; raise "input" if File.read("/input").bytesize != 4096`
	perlRequest = `substr($pages, $_ * 8192, 1) = "y" for 0..99; open(my $f, "<", "/input") or die $!; my $b = do { local $/; <$f> }; die "input" if length($b) != 4096;`
)

func warmRuby(b *testing.B, r *warmGuest) {
	put := func(text string) uint64 {
		at := one(b, r, "cabi_realloc", 0, 0, 1, uint64(len(text)+1))
		r.memory().WriteString(uint32(at), text+"\x00")
		return at
	}
	args := []string{"ruby.wasm", "-e_=0", "--disable-gems"}
	list := one(b, r, "cabi_realloc", 0, 0, 4, uint64(8*len(args)))
	for i, arg := range args {
		var pair [8]byte
		binary.LittleEndian.PutUint32(pair[:], uint32(put(arg)))
		binary.LittleEndian.PutUint32(pair[4:], uint32(len(arg)))
		r.memory().Write(uint32(list)+uint32(8*i), pair[:])
	}
	call := func(name string, params ...uint64) {
		_, err := r.call(name, params...)
		check(b, err)
	}
	call("ruby-init: func(args: list<string>) -> ()", list, uint64(len(args)))
	call("ruby-init-loadpath: func() -> ()")
	prelude := `$pages = "x" * 819200`
	call(rubyEval, put(prelude), uint64(len(prelude)))
	scriptAt = put(rubyRequest)
}

func warmPerl(b *testing.B, r *warmGuest) {
	put := func(text string) uint64 {
		at := one(b, r, "malloc", uint64(len(text)+1))
		r.memory().WriteString(uint32(at), text+"\x00")
		return at
	}
	if one(b, r, "zeroperl_init") != 0 || one(b, r, "zeroperl_eval", put(`our $pages = "x" x 819200;`), 1, 0, 0) != 0 {
		b.Fatal("Perl does not start")
	}
	scriptAt = put(perlRequest)
}

func one(b *testing.B, r *warmGuest, name string, params ...uint64) uint64 {
	b.Helper()
	results, err := r.call(name, params...)
	check(b, err)
	return results[0]
}

// BenchmarkRequest is a request from its arrival to its answer, and the end of the guest that
// answered it.
func BenchmarkRequest(b *testing.B) {
	for _, p := range programs() {
		b.Run(p.name, func(b *testing.B) {
			wasm := p.wasm(b)
			for _, way := range []struct {
				name string
				f    func(*testing.B, *program, []byte) (request func() error)
			}{{"fresh", freshGuests}, {"fork", forks}, {"reset", resets}, {"pool", pooled}, {"wazero", wazeroInstances}} {
				b.Run(way.name, func(b *testing.B) {
					request := way.f(b, &p, wasm)
					for range 3 {
						check(b, request())
					}
					runtime.GC()
					b.ReportAllocs()
					each(b, request)
				})
			}
			wasmtime(b, wasm, p.warm == nil)
		})
	}
}

// each makes requests one by one, and reports under which time a tenth and half of them stay: on a
// busy machine, where most are interrupted, the tenth is what a request takes.
func each(b *testing.B, request func() error) {
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		check(b, request())
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/10])/1e3, "p10-us/op")
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-us/op")
}

// wasmtime adds the rows of another engine, where the tests are built with the tag wasmtime.
var wasmtime = func(*testing.B, []byte, bool) {}

// files are those that guests have. Perl opens /dev/null when it starts.
func files() map[string]string {
	return map[string]string{"input": strings.Repeat("input bytes 1234", 256), "dev/null": ""}
}

// filesDir is a directory with the files.
func filesDir(b *testing.B) string {
	dir := b.TempDir()
	for name, text := range files() {
		at := filepath.Join(dir, name)
		check(b, os.MkdirAll(filepath.Dir(at), 0o755))
		check(b, os.WriteFile(at, []byte(text), 0o644))
	}
	return dir
}

// newWarmHost is a Host whose guests have a file, and the functions that the module imports beside
// WASI's.
func newWarmHost(b *testing.B, wasm []byte) (*virt.Host, *virt.Module) {
	ctx := b.Context()
	h, err := virt.NewBuilder(foreign(b, wasm)...).With(virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) {
		return memfs.FromMap(files())
	})).Build(ctx)
	check(b, err)
	b.Cleanup(func() { check(b, h.Close(context.Background())) })
	m, err := h.Compile(ctx, wasm)
	check(b, err)
	return h, m
}

// foreign are functions that answer their first parameter, or 0, for what the module imports beside
// WASI's.
func foreign(b *testing.B, wasm []byte) (opts []virt.Option) {
	byModule := map[string][]virt.HostFunction{}
	for _, f := range foreignImports(b, wasm) {
		module, name, _ := f.Import()
		byModule[module] = append(byModule[module], virt.HostFunction{Name: name, Params: f.ParamTypes(), Results: f.ResultTypes(),
			Call: func(_ *virt.HostCall, stack []uint64) { answerFirst(f, stack) }})
	}
	for module, functions := range byModule {
		opts = append(opts, virt.WithFunctions(module, functions...))
	}
	return opts
}

func answerFirst(f api.FunctionDefinition, stack []uint64) {
	if len(f.ResultTypes()) > 0 && len(f.ParamTypes()) == 0 {
		stack[0] = 0
	}
}

func foreignImports(b *testing.B, wasm []byte) (all []api.FunctionDefinition) {
	r := wazero.NewRuntimeWithConfig(b.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(b.Context())
	m, err := r.CompileModule(b.Context(), wasm)
	check(b, err)
	for _, f := range m.ImportedFunctions() {
		if module, _, _ := f.Import(); module != wasi_snapshot_preview1.ModuleName {
			all = append(all, f)
		}
	}
	return all
}

func guestReactor(b *testing.B, g *virt.Guest) *warmGuest {
	return &warmGuest{func(name string, params ...uint64) ([]uint64, error) { return g.Call(b.Context(), name, params...) }, g.Instance().Memory}
}

// ask makes one request.
func ask(p *program, r *warmGuest) error {
	name, params := p.request(r)
	results, err := r.call(name, params...)
	if err != nil {
		return err
	}
	return p.answered(r, results)
}

func freshGuests(b *testing.B, p *program, wasm []byte) func() error {
	h, m := newWarmHost(b, wasm)
	return func() error {
		g, err := h.Instantiate(b.Context(), m)
		if err != nil {
			return err
		}
		r := guestReactor(b, g)
		if p.warm != nil {
			p.warm(b, r)
		}
		return errors.Join(ask(p, r), g.Close(b.Context()))
	}
}

// warmed is a snapshot of a guest that waits for its first request.
func warmed(b *testing.B, p *program, wasm []byte) *virt.Snapshot {
	h, m := newWarmHost(b, wasm)
	g, err := h.Instantiate(b.Context(), m)
	check(b, err)
	if p.warm != nil {
		p.warm(b, guestReactor(b, g))
	}
	s, err := g.Snapshot(b.Context())
	check(b, err)
	check(b, g.Close(b.Context()))
	b.Cleanup(func() { check(b, s.Close()) })
	return s
}

func forks(b *testing.B, p *program, wasm []byte) func() error {
	s := warmed(b, p, wasm)
	return func() error {
		g, err := s.Start(b.Context())
		if err != nil {
			return err
		}
		return errors.Join(ask(p, guestReactor(b, g)), g.Close(b.Context()))
	}
}

func resets(b *testing.B, p *program, wasm []byte) func() error {
	g, err := warmed(b, p, wasm).Start(b.Context())
	check(b, err)
	b.Cleanup(func() { check(b, g.Close(context.Background())) })
	r := guestReactor(b, g)
	return func() error { return errors.Join(ask(p, r), g.Reset(b.Context())) }
}

func pooled(b *testing.B, p *program, wasm []byte) func() error {
	guests, err := pool.New(warmed(b, p, wasm), pool.Config{Ready: 2, Max: 4})
	check(b, err)
	b.Cleanup(func() { check(b, guests.Close(context.Background())) })
	return func() error {
		return guests.Do(b.Context(), func(g *virt.Guest) error { return ask(p, guestReactor(b, g)) })
	}
}

// wazeroInstances is wazero's own WASI, which has no snapshots: each request gets an instance that
// starts.
func wazeroInstances(b *testing.B, p *program, wasm []byte) func() error {
	ctx := b.Context()
	r := newRuntime(b)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range foreignImports(b, wasm) {
		module, name, _ := f.Import()
		if builders[module] == nil {
			builders[module] = r.NewHostModuleBuilder(module)
		}
		builders[module].NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { answerFirst(f, stack) }),
			f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, builder := range builders {
		_, err := builder.Instantiate(ctx)
		check(b, err)
	}
	compiled, err := r.CompileModule(ctx, wasm)
	check(b, err)
	dir := filesDir(b)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").WithSysWalltime().WithSysNanotime().
		WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/"))
	return func() error {
		mod, err := r.InstantiateModule(ctx, compiled, config)
		if err != nil {
			return err
		}
		running := &warmGuest{func(name string, params ...uint64) ([]uint64, error) {
			return mod.ExportedFunction(name).Call(ctx, params...)
		}, mod.Memory}
		if p.warm != nil {
			p.warm(b, running)
		}
		return errors.Join(ask(p, running), mod.Close(ctx))
	}
}
