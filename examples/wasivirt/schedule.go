package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// schedule says who runs the guest's threads.
func (w *world) schedule() ([]virt.Option, error) {
	strategy, err := parseStrategy(w.strategy)
	if err != nil {
		return nil, err
	}
	if w.deterministic.set {
		if strategy == nil {
			strategy = explore.DefaultStrategy()
		}
		model, err := parseModel(w.model)
		if err != nil {
			return nil, err
		}
		opts := []virt.Option{virt.WithDeterminism(virt.Determinism{Seed: w.deterministic.value, Strategy: strategy,
			MemoryModel: model, LateTimers: w.lateTimers, CanonicalNaNs: w.canonicalNaNs, MachineAccess: true})}
		if w.switches != "calls" {
			opts = append(opts, virt.WithAccessSwitches())
		}
		return opts, nil
	}
	if !w.turns.set {
		if strategy != nil {
			return nil, fmt.Errorf("-strategy %s: the threads run in parallel: give -sched seeded[:N] or -deterministic N", w.strategy)
		}
		return []virt.Option{virt.WithScheduler(sched.NewParallel(sched.Limits{}).DetectDeadlock())}, nil
	}
	return []virt.Option{virt.WithScheduler(sched.NewSeeded(sched.SeededConfig{Seed: w.turns.value, Strategy: strategy}))}, nil
}

// parseModel reads the value of -memory-model.
func parseModel(s string) (sched.MemoryModel, error) {
	switch s {
	case "sc":
		return sched.SequentialConsistency, nil
	case "tso":
		return sched.TotalStoreOrder, nil
	case "wasm":
		return sched.Relaxed, nil
	}
	return 0, fmt.Errorf("-memory-model %q: want sc, tso or wasm", s)
}

// parseStrategy reads the value of -strategy; "" is nil.
func parseStrategy(s string) (sched.Strategy, error) {
	kind, arg, _ := strings.Cut(s, ":")
	switch kind {
	case "":
		return nil, nil
	case "portfolio":
		return explore.Portfolio(), nil
	case "pos":
		return sched.POS(), nil
	case "delayed":
		if steps, err := strconv.ParseUint(arg, 10, 64); err == nil {
			return sched.Delayed(sched.RunToBlock(1.0/8), steps), nil
		}
	case "uniform":
		return sched.Uniform(), nil
	case "plan":
		return sched.ParsePlan(arg)
	case "round-robin":
		return sched.RoundRobin(), nil
	case "block":
		if p, err := strconv.ParseFloat(arg, 64); err == nil && p >= 0 && p <= 1 {
			return sched.RunToBlock(p), nil
		}
	case "pct":
		first, second, _ := strings.Cut(arg, ",")
		depth, err := strconv.ParseUint(first, 10, 16)
		if steps, e := strconv.ParseUint(second, 10, 64); err == nil && e == nil && depth > 0 && steps > 0 {
			return sched.PCT(int(depth), steps), nil
		}
	}
	return nil, fmt.Errorf("-strategy %q: want portfolio, uniform, block:0.25, pct:3,1000, pos, delayed:1000, plan:1@5>2 or round-robin", s)
}

// parseClock reads the value of -clock.
func parseClock(s string) (clock.Clock, error) {
	if s == "real" {
		return clock.Real(), nil
	}
	kind, start, given := strings.Cut(s, ":")
	if kind != "virtual" {
		return nil, fmt.Errorf("-clock %q: want real, virtual or virtual:2000-01-01T00:00:00Z", s)
	}
	opts := []clock.Option{clock.WithAutoAdvance()}
	if given {
		at, err := time.Parse(time.RFC3339, start)
		if err != nil || at.Before(time.Unix(0, 0)) || at.After(time.Unix(0, math.MaxInt64)) {
			return nil, fmt.Errorf("-clock %q: want a time from 1970-01-01T00:00:00Z to 2262-04-11T00:00:00Z, written so", s)
		}
		opts = append(opts, clock.WithStart(at))
	}
	return clock.NewVirtual(opts...), nil
}
