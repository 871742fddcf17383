package virt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// fallback hands functions to a host module that is not this library's.
type fallback struct {
	match     selection
	module    func(wazero.Runtime) (api.Module, error)
	functions *[rows]api.GoModuleFunction // once the Host is built
}

// WithFallback makes a host module, such as wazero's own WASI, answer the functions that match
// selects (see [WithMiddleware]) and that no [WithReplacement] answers. module is called once with
// the runtime, when the Host is built. Errors of the Builder: the host module has no such function,
// one of another type, or one that is not written in Go.
//
// Such a function gets the guest's instance and raw parameters: it knows nothing of the Host's
// descriptors. A path or content that middleware changed cannot reach it: the call is then ENOTSUP.
func WithFallback(match string, module func(wazero.Runtime) (api.Module, error)) HostOption {
	return hostOption("WithFallback", func(c *config) error {
		if module == nil {
			return errors.New("the function that makes the module is nil")
		}
		s, err := selects(match)
		c.control.fallbacks = append(c.control.fallbacks[:len(c.control.fallbacks):len(c.control.fallbacks)], fallback{match: s, module: module})
		return err
	})
}

// Foreign returns a Handler, for [WithReplacement], that passes calls to a host function of
// wazero's. See [WithFallback] for what such a function gets.
func Foreign(fn api.GoModuleFunction) Handler {
	return func(c *Call) wasip1.Errno {
		if c.changed {
			return wasip1.ENOTSUP
		}
		if g := c.t.guest; g.observer != nil {
			g.decide(&Result{Outcome: Failed, Thread: c.t.id(),
				Err: fmt.Errorf("WithRecording, WithHash: %s is answered by Foreign, whose functions nobody records", c.Name())})
			return wasip1.ECANCELED
		}
		return c.t.callForeign(fn, c.f, c.p)
	}
}

// callForeign calls a function of another host, which finds its parameters and leaves its result in
// p.
func (t *thread) callForeign(fn api.GoModuleFunction, f *function, p []uint64) wasip1.Errno {
	var stack [16]uint64
	copy(stack[:], p[:f.Width()])
	fn.Call(context.Context(t), t.mod, stack[:])
	t.attach()
	if f == &threadSpawn {
		if id := int32(stack[0]); id < 0 {
			return wasip1.Errno(-id)
		}
		t.spawned = uint32(stack[0])
		return wasip1.ESUCCESS
	}
	return wasip1.Errno(stack[0])
}

// foreign is the layer of functions that another host answers.
func foreign(g *Guest, i int, f *function, _ callFunc) callFunc {
	if f.hosted != nil {
		return nil
	}
	for _, fb := range g.config.control.fallbacks {
		if fb.functions == nil || fb.functions[i] == nil {
			continue
		}
		fn := fb.functions[i]
		return func(t *thread, f *function, p []uint64) wasip1.Errno {
			if t.active != nil && t.active.f == f && t.active.changed {
				return wasip1.ENOTSUP
			}
			return t.callForeign(fn, f, p)
		}
	}
	return nil
}

// resolveFallbacks makes the modules of WithFallback and finds their functions.
func (h *Host) resolveFallbacks() error {
	for n := range h.config.control.fallbacks {
		fb := &h.config.control.fallbacks[n]
		m, err := fb.module(h.runtime)
		if err != nil {
			return fmt.Errorf("WithFallback: %w", err)
		}
		fb.functions = new([rows]api.GoModuleFunction)
		definitions := m.ExportedFunctionDefinitions()
		for i, meant := range fb.match.rows {
			if !meant {
				continue
			}
			f := row(i)
			d := definitions[f.Name]
			if d == nil && f.Subsystem == abi.SubsystemSockets {
				continue // an extension, which the Host goes on to answer
			}
			if d == nil {
				return fmt.Errorf("WithFallback: module %q has no function %s", m.Name(), f.Name)
			}
			fn, ok := d.GoFunction().(api.GoModuleFunction)
			if types, _, _ := f.signature(); !ok || string(types) != string(d.ParamTypes()) {
				return fmt.Errorf("WithFallback: %s of module %q is no host function of that type", f.Name, m.Name())
			}
			fb.functions[i] = fn
		}
	}
	return nil
}
