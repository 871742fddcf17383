package clock_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
)

var y2k = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestVirtualStands(t *testing.T) {
	c := clock.NewVirtual()
	if !c.Now().Equal(y2k) || c.Realtime() != y2k.UnixNano() {
		t.Errorf("starts at %v, want %v", c.Now(), y2k)
	}
	if c.Monotonic() <= 0 {
		t.Errorf("monotonic reads %d", c.Monotonic())
	}
	start := time.Date(1999, 12, 31, 23, 59, 59, 5, time.UTC)
	if c := clock.NewVirtual(clock.WithStart(start)); !c.Now().Equal(start) {
		t.Errorf("starts at %v, want %v", c.Now(), start)
	}
}

func TestAdvance(t *testing.T) {
	c := clock.NewVirtual()
	var fired []string
	at := func(name string, d time.Duration) clock.Timer {
		return c.AfterFunc(c.Monotonic()+int64(d), func() {
			fired = append(fired, fmt.Sprint(name, " ", c.Elapsed()))
		})
	}
	at("c", 3)
	at("a", 1)
	stopped := at("b", 2)
	at("a'", 1)
	at("d", 10)
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop of a pending timer must be true once")
	}
	c.Advance(-5)
	c.Advance(0)
	c.Advance(2)
	c.Advance(5)
	late := at("late", -1)
	if late.Stop() {
		t.Error("a timer for the past had not fired")
	}
	if d, ok := c.AdvanceToNext(); d != 3 || !ok {
		t.Errorf("AdvanceToNext: %v %v", d, ok)
	}
	if d, ok := c.AdvanceToNext(); d != 0 || ok {
		t.Errorf("AdvanceToNext without timers: %v %v", d, ok)
	}
	want := []string{"a 1ns", "a' 1ns", "c 3ns", "late 7ns", "d 10ns"}
	if d := cmp.Diff(want, fired); d != "" {
		t.Error(d)
	}
	c.AdvanceTo(y2k.Add(time.Minute))
	c.AdvanceTo(y2k)
	if c.Elapsed() != time.Minute {
		t.Errorf("elapsed %v", c.Elapsed())
	}
	c.Advance(math.MaxInt64)
	c.Advance(math.MaxInt64)
	if c.Monotonic() != math.MaxInt64 {
		t.Errorf("monotonic %d after the end of time", c.Monotonic())
	}
}

func TestManyTimers(t *testing.T) {
	c := clock.NewVirtual()
	var timers []clock.Timer
	var got, want []int
	for i := range 1000 {
		n := i * 7919 % 1000
		timers = append(timers, c.AfterFunc(c.Monotonic()+int64(n)+1, func() { got = append(got, n) }))
	}
	for i := range timers {
		if i%3 == 0 {
			timers[i].Stop()
		}
	}
	for n := range 1000 {
		for i := range 1000 { // 7919 and 1000 have no common divisor: there is one such i
			if i*7919%1000 == n && i%3 != 0 {
				want = append(want, n)
			}
		}
	}
	c.Advance(time.Second)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAutoAdvance(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	var fired []time.Duration
	note := func() { fired = append(fired, c.Elapsed()) }
	c.Hold()
	c.AfterFunc(c.Monotonic()+20, note)
	c.AfterFunc(c.Monotonic()+10, func() { note(); c.Hold() })
	c.AfterFunc(c.Monotonic()+10, note)
	if len(fired) != 0 {
		t.Fatal("time moved while it was held")
	}
	c.Release() // the timer that holds stops time, but those of its moment fire
	if d := cmp.Diff([]time.Duration{10, 10}, fired); d != "" {
		t.Error(d)
	}
	c.Release()
	if d := cmp.Diff([]time.Duration{10, 10, 20}, fired); d != "" {
		t.Error(d)
	}
	c.AfterFunc(c.Monotonic()+5, note) // nobody holds
	if c.Elapsed() != 25 {
		t.Errorf("elapsed %v", c.Elapsed())
	}
	c.SetAutoAdvance(false)
	c.AfterFunc(c.Monotonic()+5, note)
	if c.Elapsed() != 25 {
		t.Errorf("elapsed %v", c.Elapsed())
	}
	c.SetAutoAdvance(true)
	if c.Elapsed() != 30 {
		t.Errorf("elapsed %v", c.Elapsed())
	}
}

func TestReleaseWithoutHold(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	clock.NewVirtual().Release()
}

func TestHostSleepers(t *testing.T) {
	c := clock.NewVirtual()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { c.Sleep(time.Duration(i+1) * time.Second) })
	}
	c.BlockUntil(10)
	c.Advance(10 * time.Second)
	wg.Wait()
	c.Sleep(0)

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	wg.Go(func() {
		if err := c.SleepContext(ctx, time.Hour); !errors.Is(err, cause) {
			t.Errorf("SleepContext: %v", err)
		}
	})
	wg.Go(func() {
		if err := c.BlockUntilContext(ctx, 100); !errors.Is(err, cause) {
			t.Errorf("BlockUntilContext: %v", err)
		}
	})
	c.BlockUntil(1)
	cancel(cause)
	wg.Wait()
	if c.Pending() != 0 {
		t.Errorf("%d timers left", c.Pending())
	}
}

func TestBlockUntilIdle(t *testing.T) {
	c := clock.NewVirtual()
	c.Hold()
	c.AfterFunc(c.Monotonic()+1, func() {})
	var wg sync.WaitGroup
	released := false
	wg.Go(func() {
		if err := c.BlockUntilIdle(t.Context(), 1); err != nil || !released {
			t.Errorf("%v; idle while the clock is held: %v", err, !released)
		}
	})
	c.BlockUntil(1)
	released = true
	c.Release()
	wg.Wait()
	if err := c.BlockUntilIdle(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestPause(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	c.Hold()
	other := c.After(2 * time.Second)
	c.Pause(time.Second)
	if c.Elapsed() != time.Second || len(other) != 0 {
		t.Errorf("elapsed %v after a pause of 1s", c.Elapsed())
	}
	c.Release()
	if at := <-other; !at.Equal(y2k.Add(2 * time.Second)) {
		t.Errorf("the timer fired at %v", at)
	}
}

func TestChanTimer(t *testing.T) {
	c := clock.NewVirtual()
	timer := c.NewTimer(time.Second)
	if !timer.Stop() || timer.Reset(2*time.Second) {
		t.Error("a stopped timer is not pending")
	}
	c.Advance(time.Second)
	if !timer.Reset(3 * time.Second) {
		t.Error("it was pending")
	}
	c.Advance(3 * time.Second)
	if timer.Reset(time.Second) { // takes back the unread time
		t.Error("it had fired")
	}
	c.Advance(time.Second)
	if at := <-timer.C; !at.Equal(y2k.Add(5 * time.Second)) {
		t.Errorf("fired at %v", at)
	}
}

func TestSetRealtime(t *testing.T) {
	c := clock.NewVirtual()
	mono, calls := c.Monotonic(), 0
	lens := clock.Offset(c, time.Hour).(clock.Settable)
	w := lens.AfterSet(func() { calls++ })
	to := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c.SetRealtime(to)
	if !c.Now().Equal(to) || c.Monotonic() != mono || calls != 1 {
		t.Errorf("now %v, monotonic %d, %d calls", c.Now(), c.Monotonic(), calls)
	}
	if !w.Stop() || w.Stop() {
		t.Error("Stop must be true once")
	}
	c.SetRealtime(y2k)
	if calls != 1 {
		t.Error("called after Stop")
	}
}

func TestOnSettle(t *testing.T) {
	c := clock.NewVirtual()
	var got []string
	c.OnSettle(func() { got = append(got, "settled") })
	for range 3 {
		c.AfterFunc(c.Monotonic()+1, func() {
			if !c.Firing() {
				t.Error("not firing")
			}
			got = append(got, "fired")
		})
	}
	c.Advance(1)
	c.Advance(1)
	if d := cmp.Diff([]string{"fired", "fired", "fired", "settled"}, got); d != "" {
		t.Error(d)
	}
}

// TestConcurrentUse moves a clock from many sides; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 200 {
				switch (i + k) % 4 {
				case 0:
					c.Hold()
					c.Pause(time.Duration(k))
					c.Release()
				case 1:
					c.Advance(3)
				case 2:
					c.Sleep(time.Duration(k))
				case 3:
					c.AfterFunc(c.Monotonic()+int64(k), func() {}).Stop()
				}
			}
		})
	}
	wg.Wait()
	if c.Holds() != 0 || c.Pending() != 0 {
		t.Errorf("%d holds and %d timers left", c.Holds(), c.Pending())
	}
}

func TestStepped(t *testing.T) {
	c := clock.Stepped(y2k, time.Second)
	m := c.Monotonic()
	if got := c.Monotonic() - m; got != int64(time.Second) {
		t.Errorf("a reading moved it by %v", time.Duration(got))
	}
	if got := c.Realtime(); got != y2k.Add(2*time.Second).UnixNano() {
		t.Errorf("third reading %v", time.Unix(0, got).UTC())
	}
	var fired []int64
	at := c.Monotonic() + int64(time.Hour)
	c.AfterFunc(at, func() {
		c.AfterFunc(at+5, func() { fired = append(fired, 2) })
		fired = append(fired, 1)
	})
	if d := cmp.Diff([]int64{1, 2}, fired); d != "" {
		t.Error(d)
	}
	if got := c.Monotonic(); got != at+5 {
		t.Errorf("after the wait it reads %d, want %d", got, at+5)
	}
}

func TestFrozen(t *testing.T) {
	c := clock.Frozen(y2k)
	fired := false
	timer := c.AfterFunc(c.Monotonic()+1, func() { fired = true })
	c.AfterFunc(c.Monotonic(), func() {})
	if c.Realtime() != y2k.UnixNano() || fired || !timer.Stop() {
		t.Error("frozen time moved")
	}
}

func TestOffset(t *testing.T) {
	v := clock.NewVirtual()
	c := clock.Offset(v, -time.Hour)
	if c.Realtime() != y2k.Add(-time.Hour).UnixNano() || c.Monotonic() != v.Monotonic() {
		t.Errorf("realtime %d, monotonic %d", c.Realtime(), c.Monotonic())
	}
	c.(clock.Holder).Hold()
	if v.Holds() != 1 {
		t.Error("Hold does not reach the clock below")
	}
	c.(clock.Holder).Release()
	if got, ok := clock.As[*clock.Virtual](clock.Scaled(c, 2)); !ok || got != v {
		t.Error("As does not find the clock below")
	}
}

func TestScaled(t *testing.T) {
	for _, factor := range []float64{60, 1, 0.001, 1.0 / 3, 1e9, 1e-9, math.Pi} {
		v := clock.NewVirtual()
		c := clock.Scaled(v, factor)
		for _, d := range []int64{-5, 0, 1, 2, 999, 1e9, 1e18} {
			at := c.Monotonic() + d
			fired := false
			timer := c.AfterFunc(at, func() {
				fired = true
				if c.Monotonic() < at {
					t.Errorf("factor %v, %d: fired at %d, before %d", factor, d, c.Monotonic(), at)
				}
			})
			v.AdvanceToNext()
			if fired == timer.Stop() {
				t.Errorf("factor %v, %d: fired and stopped, or neither", factor, d)
			}
			if never := float64(d)/factor >= math.MaxInt64; fired == never {
				t.Errorf("factor %v, %d: fired %v", factor, d, fired)
			}
		}
	}
	v := clock.NewVirtual()
	c := clock.Scaled(v, 60)
	before := c.Realtime()
	v.Advance(time.Second)
	if got := time.Duration(c.Realtime() - before); got != time.Minute {
		t.Errorf("%v passed in a second", got)
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Scaled by %v does not panic", bad)
				}
			}()
			clock.Scaled(v, bad)
		}()
	}
}

func TestReal(t *testing.T) {
	c := clock.Real()
	if d := time.Since(time.Unix(0, c.Realtime())).Abs(); d > time.Minute {
		t.Errorf("realtime is %v off", d)
	}
	last := c.Monotonic()
	for range 1000 {
		now := c.Monotonic()
		if now < last || now <= 0 {
			t.Fatalf("monotonic went from %d to %d", last, now)
		}
		last = now
	}
}

// TestRealTimers runs the real clock in a bubble, where its time is exact.
func TestRealTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Real()
		m, r := c.Monotonic(), c.Realtime()
		var mu sync.Mutex
		var fired []string
		at := func(name string, d time.Duration) clock.Timer {
			return c.AfterFunc(m+int64(d), func() {
				mu.Lock()
				defer mu.Unlock()
				fired = append(fired, fmt.Sprint(name, " ", time.Duration(c.Monotonic()-m), " ", time.Duration(c.Realtime()-r)))
			})
		}
		at("c", 3*time.Hour)
		at("a", time.Hour)
		stopped := at("b", time.Hour)
		at("a'", time.Hour)
		at("d", 30*time.Minute).Stop()
		stopped.Stop()
		at("past", -time.Hour)
		time.Sleep(4 * time.Hour)
		at("e", 5*time.Hour)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		want := []string{"past 0s 0s", "a 1h0m0s 1h0m0s", "a' 1h0m0s 1h0m0s", "c 3h0m0s 3h0m0s", "e 5h0m0s 5h0m0s"}
		if d := cmp.Diff(want, fired); d != "" {
			t.Error(d)
		}
	})
}

func TestRealTimersStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Real()
		for range 3 {
			if !c.AfterFunc(c.Monotonic()+int64(time.Hour), func() { t.Error("a stopped timer fired") }).Stop() {
				t.Error("it was not pending")
			}
		}
		done := make(chan struct{})
		c.AfterFunc(c.Monotonic()+1, func() { close(done) })
		<-done
		time.Sleep(2 * time.Hour)
	})
}

// TestVirtualInBubble has synctest see through what host code waits in.
func TestVirtualInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewVirtual()
		woke := false
		go func() {
			c.Sleep(time.Hour)
			woke = true
		}()
		synctest.Wait()
		if woke || c.Pending() != 1 {
			t.Error("it does not sleep")
		}
		c.Advance(time.Hour)
		synctest.Wait()
		if !woke {
			t.Error("it still sleeps")
		}
	})
}
