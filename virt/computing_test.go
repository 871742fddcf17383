package virt_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

const cpuLimit = 20 * time.Millisecond

// TestCPUTimeEndsWhatComputes: guests that compute on one thread and on several, with code and with
// calls, end by the budget.
func TestCPUTimeEndsWhatComputes(t *testing.T) {
	long := texts()
	calls := loop(abi.ModuleName, long, nil, []call{{"random_get", []any{bufferAt, 1 << 14}}})
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for name, budget := range map[string]virt.Option{
			"its own": virt.WithLimits(func(l *virt.Limits) { l.CPUTime = cpuLimit }), "shared": virt.WithSharedLimits(func(l *virt.Limits) { l.CPUTime = cpuLimit }),
		} {
			for fuel, counted := range map[string]virt.Option{"": virt.Options(), ", with fuel": virt.WithFuel(1 << 62)} {
				t.Run(name+fuel, func(t *testing.T) {
					for _, tc := range []struct {
						export string
						params []uint64
						wasm   []byte
					}{
						{"hang", []uint64{hangSpin, 0}, threadsGuest(t)},
						{"hang_in_threads", []uint64{hangSpin, 3, 0}, threadsGuest(t)},
						{"run", []uint64{1 << 31}, calls},
					} {
						host := newHost(t, engine, budget, counted, virt.WithMaxThreads(8))
						g := newGuest(t, host, compiled(t, host, tc.wasm))
						endsBy(t, g, virt.BudgetCPUTime, tc.export, tc.params...)
						if used := g.Usage().CPUTime; used < cpuLimit {
							t.Errorf("%s: ended after %v, allowed are %v", tc.export, used, cpuLimit)
						}
					}
				})
			}
		}
	})
}

// TestCPUTimeOfWaiting: waits for a time, for a stream and for another thread are not computing.
// The sleep is ten times the budget, on the real clock, because that is what must not be counted.
func TestCPUTimeOfWaiting(t *testing.T) {
	data := texts()
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: uint64(10 * cpuLimit)}}
	s.Encode(data[subAt:])
	wasm := command(data, call{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}})
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithLimits(func(l *virt.Limits) { l.CPUTime = cpuLimit }))
		m := compiled(t, host, wasm)
		r, err := host.RunModule(t.Context(), m)
		if err != nil || r.Outcome != virt.Exited {
			t.Errorf("%v, %v, want an exit: it sleeps and computes nothing", r, err)
		}
	})
}

// TestCPUTimeOfHostCode: between calls of the guest, and in calls of its instance's functions, only
// the guest is counted.
func TestCPUTimeOfHostCode(t *testing.T) {
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.CPUTime = cpuLimit }))
	g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
	time.Sleep(2 * cpuLimit) // what must not be counted
	if _, err := g.Call(t.Context(), "hang", hangNot, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Instance().ExportedFunction("hang").Call(context.Background(), hangSpin, 0); err == nil {
		t.Fatal("it returned")
	}
	if r := g.Result(); r.Outcome != virt.Exhausted || r.Budget != virt.BudgetCPUTime {
		t.Errorf("%v, want the end of %s", r, virt.BudgetCPUTime)
	}
}

// TestReplayOfTheEndOfCPUTime: a recording tells where the budget ended the guest, and its replay
// ends there.
func TestReplayOfTheEndOfCPUTime(t *testing.T) {
	spins := handModule{memory: 1, funcs: []handFunc{{name: "_start", body: []byte{opLoop, opEmpty, opBr, 0, opEnd}}}}
	for name, tc := range map[string]struct {
		wasm  []byte
		limit time.Duration
	}{
		"code":  {spins.encode(), cpuLimit},
		"calls": {command(texts(), call{"random_get", []any{bufferAt, 1 << 15}}, call{"random_get", []any{bufferAt, 1 << 15}}), 1},
	} {
		wasm, limit := tc.wasm, tc.limit
		var tape bytes.Buffer
		r, err := newHost(t, virt.Deterministic(1)).Run(t.Context(), wasm, virt.WithRecording(&tape), virt.WithLimits(func(l *virt.Limits) { l.CPUTime = limit }))
		if err != nil || r.Budget != virt.BudgetCPUTime {
			t.Fatalf("%s: %v, %v", name, r, err)
		}
		again, err := replay.Run(t.Context(), wasm, &tape)
		if err != nil || again.Outcome != virt.Exhausted || again.Budget != virt.BudgetCPUTime {
			t.Errorf("%s: replayed to %v, %v", name, again, err)
		}
	}
}
