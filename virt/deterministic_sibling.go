package virt

import (
	"context"
	"errors"
	"fmt"
)

// Sibling returns a Host with a world of its own that runs modules which h, or a sibling of h, has
// compiled. Use it to run one module in many worlds, for example with other seeds. opts describe
// the new world as in [NewBuilder]. Options that change the code of modules stay as in h: the
// engine, host modules, [Limits].CallDepth, [WithoutPreemption], [WithAccessSwitches],
// Determinism.CanonicalNaNs, and whether instructions are counted.
//
// A sibling costs some microseconds. Closing h closes it.
func (h *Host) Sibling(opts ...Option) (*Host, error) {
	c, err := NewBuilder(opts...).config()
	if err != nil {
		return nil, err
	}
	if c.runtime != nil || c.runtimeConfig != nil || c.modules != nil || c.hosted != nil {
		return nil, errors.New("build a sibling: WithRuntime, WithRuntimeConfig, WithInterpreter, WithModules and WithFunctions are for the first Host")
	}
	first := h.first()
	c.runtime, c.noPreempt, c.period = first.runtime, first.config.noPreempt, first.config.period
	c.limits.CallDepth, c.access, c.hosted = first.config.limits.CallDepth, first.config.access, first.config.hosted
	c.nans = first.config.nans
	s := prepareHost(context.Background(), c)
	s.elder, s.modules = first, first.modules
	if !first.counts() && s.counts() {
		return nil, errors.New("build a sibling: it counts instructions, for WithFuel or because threads take turns, and the modules of the first Host do not")
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if first.closed {
		return nil, fmt.Errorf("build a sibling: the first Host is %w", ErrClosed)
	}
	if first.siblings == nil {
		first.siblings = map[*Host]struct{}{}
	}
	first.siblings[s] = struct{}{}
	return s, nil
}

// counts reports whether instructions are counted in the Host's modules.
func (h *Host) counts() bool {
	if h.replay != nil {
		return h.replay.header.Counts
	}
	return h.config.limits.Fuel != 0 || h.config.shared.Fuel != 0 || h.takesTurns()
}

// turned reports whether the Host's modules have their checks where threads that take turns need
// them.
func (h *Host) turned() bool {
	if h.replay != nil {
		return h.replay.header.Turns
	}
	return h.takesTurns()
}

// first is the Host that made the runtime's host modules: h itself if it is no sibling.
func (h *Host) first() *Host {
	if h.elder != nil {
		return h.elder
	}
	return h
}
