package virt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// importClass says what becomes of an import. Compile, Audit and Inspect ask [Host.classify] and
// nothing else.
type importClass int

const (
	importProvided importClass = iota
	importMissing
	importDenied
	importForeign
)

// newImport describes an imported function.
func newImport(im wasmbin.Import) inspect.Import {
	return inspect.Import{
		Module: im.Module, Name: im.Name,
		Params: valueTypes(im.Func.Params), Results: valueTypes(im.Func.Results),
		Subsystem: abi.SubsystemOf(im.Module, im.Name),
	}
}

// classify decides what becomes of an imported function under the Host.
func (h *Host) classify(im inspect.Import) importClass {
	switch {
	case im.Module == reservedModule && im.Name == checkpointName && !h.config.noPreempt:
		return importProvided
	case im.Module == "wasi_unstable", strings.HasPrefix(im.Module, "wasi:"),
		im.Module == reservedModule, strings.HasPrefix(im.Module, reservedModule+"."):
		return importForeign
	case !h.provides(im):
		return importMissing
	case !h.config.control.granted(im.Module, im.Name):
		return importDenied
	}
	return importProvided
}

// provides reports whether the Host, the embedder's functions, or a module of the runtime answer an
// import.
func (h *Host) provides(im inspect.Import) bool {
	if im.Subsystem != "" || h.config.hosted.find(im.Module, im.Name) != nil {
		return true
	}
	if im.Module == abi.ModuleName {
		return false
	}
	m := h.runtime.Module(im.Module)
	return m != nil && exports(m, im.Name)
}

// checkImports reports every import that the Host does not answer, as an [*ImportError].
func (h *Host) checkImports(info *wasmbin.Module, libraries []string) error {
	var e ImportError
	pointers := false
	for _, each := range info.Imports {
		if each.Kind != wasmbin.KindFunc {
			continue
		}
		im := newImport(each)
		if slices.Contains(libraries, im.Module) {
			continue
		}
		switch h.classify(im) {
		case importForeign:
			e.Foreign = append(e.Foreign, im)
		case importMissing:
			e.Missing = append(e.Missing, im)
		case importDenied:
			e.Denied = append(e.Denied, im)
		}
		if f := functionNamed(im.Name); im.Module == abi.ModuleName && f != nil && f.pointers() {
			pointers = true
		}
	}
	if e.Missing != nil || e.Denied != nil || e.Foreign != nil {
		return &e
	}
	// A shared memory is the Host's own: older linkers cannot make modules that import it and
	// export it too.
	if pointers && !exportsMemory(info) && sharedMemory(info) == nil && !importsMemory(info, libraries) {
		return &inspect.Error{Offset: -1, Reason: fmt.Sprintf(
			`the module exports no memory named "memory", which %s needs for its pointers`, abi.ModuleName)}
	}
	return nil
}

// importsMemory reports whether the module's memory is that of a library.
func importsMemory(info *wasmbin.Module, libraries []string) bool {
	return slices.ContainsFunc(info.Imports, func(im wasmbin.Import) bool {
		return im.Kind == wasmbin.KindMemory && slices.Contains(libraries, im.Module)
	})
}

// denies says why a guest cannot have, or cannot use, an import, or "".
func (h *Host) denies(im inspect.Import) string {
	switch h.classify(im) {
	case importForeign:
		return foreignText(im)
	case importMissing:
		return "nobody provides it"
	case importDenied:
		return "the sealed Host does not grant it"
	}
	if im.Subsystem == abi.SubsystemSockets && h.config.network == nil {
		return "no network is granted: give the Host or the guest one with WithNetwork"
	}
	for i := range rows {
		if f := row(i); im.Subsystem != "" && f.Name == im.Name {
			rules := rulesFor(h.config.control.policy, i, f)
			if len(rules) == 1 && rules[0].deny && len(rules[0].paths) == 0 {
				return fmt.Sprintf("policy answers %v: %v", rules[0].errno, rules[0])
			}
		}
	}
	return ""
}
