package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// Module is a compiled WebAssembly module, of which any number of guests can be made.
type Module struct {
	host     *Host
	compiled wazero.CompiledModule
	memory   wazero.CompiledModule // of the shared memory that it imports, else nil
	info     *wasmbin.Module
	report   *wasmbin.Report // nil where the module was not rewritten
	name     string
	sum      [32]byte // SHA-256 of the module as it was given
	exported map[string]api.FunctionDefinition
}

// Name is the module's name from its name section, or "".
func (m *Module) Name() string { return m.name }

// Command reports whether the module is a command, which has a _start, rather than a reactor.
func (m *Module) Command() bool { return m.exportsFunc("_start") }

func (m *Module) exportsFunc(name string) bool {
	_, ok := m.exported[name]
	return ok
}

// Close frees the module's code. Guests made of it must have been closed before.
func (m *Module) Close(ctx context.Context) error {
	err := m.compiled.Close(ctx)
	if m.memory != nil {
		err = errors.Join(err, m.memory.Close(ctx))
	}
	return err
}

// Compile checks a module and compiles it for this Host.
//
// Its errors say what is wrong with the bytes, and which import nothing provides.
//
// The time and memory that wazero's compiler takes for one function grow with about the cube of what is in it, and nothing
// interrupts it: 18 KB of 2,000 loops that read 2,000 locals take it a minute, and its interpreter half a second. Who
// takes modules from anybody uses [WithInterpreter], or compiles in a process that can be ended.
func (h *Host) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	info, err := wasmbin.Inspect(wasm)
	if err != nil {
		return nil, err
	}
	if err := h.checkImports(info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(wasm)
	wasm, report, err := wasmbin.Rewrite(wasm, h.rewriting(info))
	if err != nil {
		return nil, err
	}
	compiled, err := h.compile(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("compile the module: %w", err)
	}
	m := &Module{host: h, compiled: compiled, info: info, report: report, name: compiled.Name(), sum: sum,
		exported: compiled.ExportedFunctions()}
	if mem := sharedMemory(info); mem != nil && mem.Imported {
		if m.memory, err = h.runtime.CompileModule(ctx, memoryModule(mem)); err != nil {
			return nil, errors.Join(fmt.Errorf("shared memory: %w", err), compiled.Close(ctx))
		}
	}
	return m, nil
}

// compile has the engine compile a module. That it panics over one, which it does where it finds itself at fault, is an error like
// others: a module may have been made for that.
func (h *Host) compile(ctx context.Context, wasm []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine failed on it, which is a fault of the engine: %v", p)
		}
	}()
	return h.runtime.CompileModule(ctx, wasm)
}

// maxTableElements is how many elements the tables of one instance may hold together (browsers: 10,000,000 in one table).
// wazero takes 8 bytes for each and knows no limit of its own but 1<<27 at the start and 1<<32 after growing.
const maxTableElements = 10_000_000

// rewriting says what has to be changed in a module before it is compiled.
func (h *Host) rewriting(info *wasmbin.Module) wasmbin.Options {
	return wasmbin.Options{
		ImportModule: reservedModule,
		Stop:         !h.config.noPreempt,
		Fuel:         h.counts(),
		CallDepth:    h.config.depth,
		Period:       h.config.period,
		MemoryModule: memoryModuleName,
		Grow:         sharedMemory(info) != nil,
		Waits:        sharedMemory(info) != nil,
		SharedAccess: h.config.access && h.takesTurns(),

		TableElements: maxTableElements,
	}
}

// checkImports reports every import that neither the Host nor another module of its runtime answers.
func (h *Host) checkImports(info *wasmbin.Module) error {
	var missing, denied []string
	pointers := false
	for _, im := range info.Imports {
		if im.Kind != wasmbin.KindFunc {
			continue
		}
		if im.Module != reservedModule && !h.config.control.granted(im.Module, im.Name) {
			denied = append(denied, im.Module+"."+im.Name)
		}
		switch {
		case im.Module == ModuleName:
			row := functionNamed(im.Name)
			if row == nil {
				missing = append(missing, fmt.Sprintf("%s.%s, which is no function of preview1", im.Module, im.Name))
			} else if row.pointers() {
				pointers = true
			}
		case im.Module == "wasi_unstable":
			return fmt.Errorf("the module imports wasi_unstable, the preview that came before %s and laid out its structures differently: build it with a toolchain of 2020 or later", ModuleName)
		case strings.HasPrefix(im.Module, "wasi:"):
			return fmt.Errorf("the module imports %q, which is preview 2: build it for preview 1 (wasm32-wasip1)", im.Module)
		case im.Module == reservedModule || strings.HasPrefix(im.Module, reservedModule+"."):
			return fmt.Errorf("the module imports from %q, which is reserved for the Host", reservedModule)
		case im.Module == "wasi" && im.Name == "thread-spawn":
		default:
			if h.config.hosted.find(im.Module, im.Name) != nil {
				break
			}
			if m := h.runtime.Module(im.Module); m == nil || !exports(m, im.Name) {
				missing = append(missing, im.Module+"."+im.Name)
			}
		}
	}
	if missing != nil {
		return fmt.Errorf("the module imports what nobody provides: %s: give the Host a module that has it (WithModules, or WithRuntime)", list(missing, 5))
	}
	if denied != nil {
		return fmt.Errorf("the module imports what this sealed Host does not grant: %s: grant it (Sealed), or run the module elsewhere", strings.Join(denied, "; "))
	}
	// A shared memory is the Host's own: older linkers cannot make modules that import it and export it too.
	if pointers && !exportsMemory(info) && sharedMemory(info) == nil {
		return fmt.Errorf(`the module exports no memory named "memory", which %s needs for its pointers`, ModuleName)
	}
	return nil
}

func exports(m api.Module, name string) bool {
	_, ok := m.ExportedFunctionDefinitions()[name]
	return ok
}

// functionNamed finds a function of preview1.
func functionNamed(name string) *Function {
	for i := range preview1 {
		if preview1[i].Name == name {
			return &preview1[i]
		}
	}
	return nil
}

// pointers reports whether the function reaches into guest memory.
func (f *Function) pointers() bool {
	for _, p := range f.Params {
		if p.Kind >= KindPath {
			return true
		}
	}
	return false
}

func exportsMemory(info *wasmbin.Module) bool {
	return slices.ContainsFunc(info.Exports, func(e wasmbin.Export) bool {
		return e.Name == "memory" && e.Kind == wasmbin.KindMemory
	})
}

// list joins the first few of a list.
func list(all []string, most int) string {
	if rest := len(all) - most; rest > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(all[:most], "; "), rest)
	}
	return strings.Join(all, "; ")
}
