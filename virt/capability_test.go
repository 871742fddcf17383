package virt_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestSchedulerThatEmbedsAParallel is none that takes turns.
func TestSchedulerThatEmbedsAParallel(t *testing.T) {
	own := struct{ *sched.Parallel }{sched.NewParallel(sched.Limits{})}
	_, err := virt.NewBuilder(virt.Deterministic(1), virt.WithScheduler(own)).Build(t.Context())
	if err == nil || !strings.Contains(err.Error(), "WithScheduler") {
		t.Errorf("Deterministic with threads in parallel: %v, want an error that names WithScheduler", err)
	}
	turns := struct{ *sched.Seeded }{sched.NewSeeded(sched.SeededConfig{})}
	host := hostOf(t, virt.Deterministic(1), virt.WithScheduler(turns))
	if r, err := host.Run(t.Context(), caller("sched_yield", "")); err != nil || !r.Success() {
		t.Errorf("a scheduler that embeds a Seeded: %v, %v", r, err)
	}
}

// TestComputingTakesTimeThroughALens: time passes while a guest computes, be it seen through a lens
// or not. A guest that spins until a deadline would else never see it come.
func TestComputingTakesTimeThroughALens(t *testing.T) {
	computing := loop(abi.ModuleName, nil, nil, []call{{"clock_time_get", []any{1, uint64(0), resultAt}}})
	var passed []time.Duration
	for _, lens := range []func(clock.Clock) clock.Clock{
		func(k clock.Clock) clock.Clock { return k },
		func(k clock.Clock) clock.Clock { return clock.Offset(k, time.Hour) },
		func(k clock.Clock) clock.Clock {
			return clock.Deny(clock.Offset(k, time.Hour), wasip1.EPERM, wasip1.ClockProcessCPUTime)
		},
	} {
		k := clock.NewVirtual(clock.WithAutoAdvance())
		host := newHost(t, virt.Deterministic(1), virt.WithClock(lens(k)))
		if _, err := newGuest(t, host, compiled(t, host, computing)).Call(t.Context(), "run", 100_000); err != nil {
			t.Fatal(err)
		}
		passed = append(passed, k.Elapsed())
	}
	if passed[0] < 100*time.Microsecond || passed[1] != passed[0] || passed[2] != passed[0] {
		t.Errorf("time that passed without a lens, with one and with two: %v", passed)
	}
}

// sleeping has a guest of passing wait for d and returns how far clock k moved.
func sleeping(t *testing.T, g *virt.Guest, k *clock.Virtual, d time.Duration) (time.Duration, error) {
	t.Helper()
	sub := make([]byte, 48)
	sub[16] = byte(wasip1.ClockMonotonic)
	binary.LittleEndian.PutUint64(sub[24:], uint64(d))
	g.Instance().Memory().Write(0x800, sub)
	before := k.Elapsed()
	_, err := g.Call(t.Context(), "poll_oneoff", 0x800, 0x900, 1, 0x100)
	return k.Elapsed() - before, err
}

// TestNoWaitCarriesTheClockToItsEnd: a guest that sleeps for ages waits, and the next one's sleep
// is as long as it says.
func TestNoWaitCarriesTheClockToItsEnd(t *testing.T) {
	k := clock.NewVirtual(clock.WithAutoAdvance())
	host := newHost(t, virt.WithClock(k))
	m := compiled(t, host, passing())
	for _, ages := range []time.Duration{1 << 61, 1<<63 - 2} {
		g := newGuest(t, host, m, virt.WithTimeout(20*time.Millisecond))
		if moved, err := sleeping(t, g, k, ages); err == nil || moved != 0 {
			t.Errorf("a sleep of %v: the clock moved by %v, %v", ages, moved, err)
		}
	}
	if moved, err := sleeping(t, newGuest(t, host, m), k, time.Second); err != nil || moved != time.Second {
		t.Errorf("the next guest slept %v, %v, want 1s", moved, err)
	}
}

// TestClockThatStands: a guest whose time runs out while it waits for a clock that nobody moves
// says so.
func TestClockThatStands(t *testing.T) {
	for _, auto := range []bool{false, true} {
		k := clock.NewVirtual()
		k.SetAutoAdvance(auto)
		host := newHost(t, virt.WithClock(k))
		// Long enough that it sleeps by then on a busy machine too.
		g := newGuest(t, host, compiled(t, host, passing()), virt.WithTimeout(200*time.Millisecond))
		if _, err := sleeping(t, g, k, 1<<61); err == nil {
			t.Fatal("a sleep that has no end ended")
		}
		if text := g.Result().String(); strings.Contains(text, "clock.WithAutoAdvance") == auto || !strings.HasPrefix(text, "out of wall time") {
			t.Errorf("auto-advance %v: %s", auto, text)
		}
	}
}
