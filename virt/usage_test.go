package virt_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestUsageIsExactAfterARun(t *testing.T) {
	data := texts("a.txt", "0123456789", "missing")
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: uint64(time.Hour)}}
	s.Encode(data[subAt:])
	wasm := command(data, openText(0, 5, int(wasip1.OCreat), resultAt), writeText(from(resultAt), 1), writeText(from(resultAt), 1),
		call{"fd_pread", []any{from(resultAt), iovecAt(15), 1, uint64(5), resultAt + 4}}, openText(2, 7, 0, resultAt+8),
		call{"poll_oneoff", []any{subAt, eventAt, 1, resultAt + 4}}, call{"thread-spawn", []any{0}}, call{"proc_exit", []any{0}})
	host := newHost(t, virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())), virt.WithUsage())
	for runs := uint64(1); runs <= 2; runs++ {
		r := runCommand(t, host, wasm, 0)
		want := virt.Usage{
			Functions: []virt.FunctionUsage{{Name: "fd_pread", Calls: 1}, {Name: "fd_write", Calls: 2}, {Name: "path_open", Calls: 2, Errors: 1},
				{Name: "poll_oneoff", Calls: 1}, {Name: "proc_exit", Calls: 1}, {Name: "thread-spawn", Calls: 1, Errors: 1}},
			Calls: 8, Errors: 2, BytesIn: 15, BytesOut: 20, PeakMemory: 4 << 16, Descriptors: 5, Virtual: time.Hour,
		}
		ignore := []cmp.Option{cmpopts.IgnoreFields(virt.Usage{}, "Real", "Waited"), cmpopts.IgnoreFields(virt.FunctionUsage{}, "Waited")}
		if diff := cmp.Diff(want, r.usage, ignore...); diff != "" {
			t.Errorf("usage (-want +got):\n%s", diff)
		}
		if r.usage.Waited <= 0 || r.usage.Functions[3].Waited != r.usage.Waited || r.usage.Real <= 0 {
			t.Errorf("waited %v in %v", r.usage.Waited, r.usage.Real)
		}
		if h := host.Usage(); h.Calls != 8*runs || h.BytesOut != 20*runs || h.Descriptors != 0 || len(h.Functions) != 6 {
			t.Errorf("the Host's usage after %d runs: %+v", runs, h)
		}
	}
}

// TestGuestsByOutcome: a Host tells how many guests ended how, closed ones included.
func TestGuestsByOutcome(t *testing.T) {
	host := newHost(t)
	for _, code := range []int{0, 3} {
		runCommand(t, host, command(nil, call{"proc_exit", []any{code}}), code)
	}
	m := compiled(t, host, bareGuest(t, "traps"))
	newGuest(t, host, m) // it stays
	trapped := newGuest(t, host, m)
	if _, err := trapped.Call(t.Context(), "unreachable"); err == nil {
		t.Fatal("the guest goes on")
	}
	idle := newGuest(t, host, m)
	want := map[virt.Outcome]uint64{virt.Exited: 2, virt.Trapped: 1, virt.Running: 2}
	if d := cmp.Diff(want, host.Usage().Guests); d != "" {
		t.Errorf("before the guests are closed (-want +got):\n%s", d)
	}
	if err := errors.Join(trapped.Close(t.Context()), idle.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	want[virt.Running], want[virt.Canceled] = 1, 1
	if d := cmp.Diff(want, host.Usage().Guests); d != "" {
		t.Errorf("afterwards (-want +got):\n%s", d)
	}
	text, err := json.Marshal(host.Usage().Guests)
	if err != nil || string(text) != `{"canceled":1,"exited":2,"running":1,"trapped":1}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestUsageWhileAGuestRuns(t *testing.T) {
	host := newHost(t, virt.WithUsage(), virt.WithFuel(1<<40))
	g := newGuest(t, host, compiled(t, host, loop(abi.ModuleName, nil, nil, []call{{"sched_yield", nil}})))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		// It ends with the context.
		_, _ = g.Call(ctx, "run", 1<<30)
	})
	// Each look is no less than the one before, and sees more after a while.
	var last virt.Usage
	for last.Calls < 10_000 {
		u := g.Usage()
		if u.Calls < last.Calls || u.Calls > 0 && u.Functions[0].Calls != u.Calls {
			t.Fatalf("%+v after %+v", u, last)
		}
		last = u
	}
	cancel()
	done.Wait()
	u := g.Usage()
	if u.Calls < last.Calls || u.Fuel < u.Calls || u.Threads != 0 {
		t.Errorf("at the end: %+v", u)
	}
}

func TestFuelUsedIsExact(t *testing.T) {
	host := newHost(t, virt.WithFuel(10_000_000))
	g := newGuest(t, host, compiled(t, host, loop(abi.ModuleName, nil, nil, []call{{"sched_yield", nil}})))
	var used []uint64
	for _, n := range []uint64{1000, 2000, 3000} {
		before := g.Usage().Fuel
		if _, err := g.Call(t.Context(), "run", n); err != nil {
			t.Fatal(err)
		}
		used = append(used, g.Usage().Fuel-before)
	}
	if used[0] == 0 || used[2]-used[1] != used[1]-used[0] {
		t.Errorf("1000, 2000 and 3000 rounds used %v", used)
	}
}

// BenchmarkSurroundings is what a call costs with what can surround it; "plain" is the call without
// any.
func BenchmarkSurroundings(b *testing.B) {
	next := func(c *virt.Call) wasip1.Errno { return c.Next() }
	text := trace.Text(io.Discard)
	for _, row := range []struct {
		name string
		opts []virt.GuestOption
	}{
		{"plain", nil},
		{"usage", []virt.GuestOption{virt.WithUsage()}},
		{"host calls counted", []virt.GuestOption{virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1 << 60 })}},
		{"middleware of others", []virt.GuestOption{virt.WithMiddleware("random_get", next)}},
		{"one middleware", []virt.GuestOption{virt.WithMiddleware("*", next)}},
		{"three middlewares", []virt.GuestOption{virt.WithMiddleware("*", next), virt.WithMiddleware("*", next), virt.WithMiddleware("*", next)}},
		{"policy by name", []virt.GuestOption{virt.WithPolicy(virt.Allow("clock_*"), virt.Deny("*"))}},
		{"trace", []virt.GuestOption{virt.WithTrace(text)}},
	} {
		for name, c := range map[string][]call{
			"clock_time_get": {{"clock_time_get", []any{1, uint64(0), resultAt}}},
			"fd_write":       {writeText(1, 0)},
		} {
			b.Run(name+"/"+row.name, func(b *testing.B) {
				if row.name == "policy by name" && name == "fd_write" {
					b.Skip("it denies that")
				}
				ctx := b.Context()
				host := newHost(b, virt.WithClock(clock.NewVirtual()), virt.WithSeed(1))
				guest, err := host.Instantiate(ctx, compiled(b, host, loop(abi.ModuleName, texts("x"), nil, c)), row.opts...)
				if err != nil {
					b.Fatal(err)
				}
				defer guest.Close(ctx)
				b.ReportAllocs()
				b.ResetTimer()
				if results, err := guest.Call(ctx, "run", uint64(b.N)); err != nil || results[0] != 0 {
					b.Fatal(results, err)
				}
			})
		}
	}
}
