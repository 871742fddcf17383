package virt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// Module is a compiled WebAssembly module, of which any number of guests can be made.
type Module struct {
	*compilation
	host    *Host
	adopted bool // wazero instantiates it
	linked  bool // it imports from libraries
	plug    bool // CompilePlug made it
	// preview1 is the Host's module, if the module imports other signatures than the first; else
	// nil.
	preview1 api.Module
	uses     gate // by guests
	closed   sync.Once
	freed    func() // called when neither the caller nor guests use the module; nil for none
}

// Name is the module's name from its name section, or "".
func (m *Module) Name() string { return m.name }

// Command reports whether the module is a command, which has a _start, rather than a reactor.
func (m *Module) Command() bool { return m.exportsFunc("_start") }

func (m *Module) exportsFunc(name string) bool {
	_, ok := m.exported[name]
	return ok
}

// Close closes the module: no more guests can be made from it. Its code is freed when the last
// guest made from it, and the last other Module of the same bytes, has been closed.
func (m *Module) Close(ctx context.Context) (err error) {
	m.closed.Do(func() {
		ctx := context.WithoutCancel(ctx)
		freed := make(chan error, 1)
		m.uses.shut(func() {
			freed <- m.release(ctx)
			if m.freed != nil {
				m.freed()
			}
		})
		select {
		case err = <-freed:
		default: // the last guest does it
		}
	})
	return err
}

// inspect.MaxTableElements is how many elements the tables of one instance may hold together
// (browsers: 10,000,000 in one table). maxFunctionName is how many bytes of a function's name are
// kept. A trap's stack holds it up to thirty times.
const maxFunctionName = 1 << 10

// rewriting says what has to be changed in a module before it is compiled.
func (h *Host) rewriting(info *wasmbin.Module) wasmbin.Options {
	return wasmbin.Options{
		ImportModule: reservedModule,
		Stop:         !h.config.noPreempt,
		Fuel:         h.counts(),
		CallDepth:    h.config.limits.CallDepth,
		Stack:        h.stackCounted(info),
		Period:       h.config.period,
		MemoryModule: memoryModuleName,
		Grow:         sharedMemory(info) != nil,
		Waits:        sharedMemory(info) != nil,
		SharedAccess: h.config.access && h.takesTurns(),
		Turns:        h.turned(),

		CanonicalNaNs: h.config.nans,

		Capture:    !h.config.noPreempt,
		Checkpoint: checkpointName,

		TableElements: inspect.MaxTableElements,
		NameBytes:     maxFunctionName,
		Offsets:       offsetFile(info),
	}
}

// importText is "module.name", as it is shown.
func importText(im inspect.Import) string {
	return safetext.Name(im.Module) + "." + safetext.Name(im.Name)
}

func exports(m api.Module, name string) bool {
	_, ok := m.ExportedFunctionDefinitions()[name]
	return ok
}

// functionNamed finds a function of preview1 or its extension, the first one of the name.
func functionNamed(name string) *function {
	for i := range preview1 {
		if preview1[i].Name == name {
			return &preview1[i]
		}
	}
	for i := range extension {
		if extension[i].Name == name {
			return &extension[i]
		}
	}
	return nil
}

// pointers reports whether the function reaches into guest memory.
func (f *function) pointers() bool {
	for _, p := range f.Params {
		if p.Kind >= abi.KindPath {
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
