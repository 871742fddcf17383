package clock_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasivirt/wasivirt/clock"
)

// Time that host code moves by hand.
func ExampleVirtual() {
	c := clock.NewVirtual(clock.WithStart(time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)))
	c.AfterFunc(c.Monotonic()+int64(time.Minute), func() { fmt.Println("timer at", c.Now().Format(time.TimeOnly)) })
	c.Advance(24 * time.Hour)
	fmt.Println(c.Now().Format(time.DateTime))
	// Output:
	// timer at 12:01:00
	// 2024-03-01 12:00:00
}

// Time that jumps while nobody holds it.
func ExampleWithAutoAdvance() {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	c.Sleep(time.Hour) // at once
	fmt.Println(c.Elapsed())
	// Output:
	// 1h0m0s
}

// Host code that must not be outrun holds time while it works, and pauses where it would sleep.
func ExampleVirtual_Hold() {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	c.Hold()
	defer c.Release()
	timeout := c.After(10 * time.Second) // of somebody else, perhaps

	for range 3 {
		c.Pause(time.Second) // time moves here, and nowhere else
		select {
		case <-timeout:
			fmt.Println("timed out")
		default:
			fmt.Println("in time:", c.Elapsed())
		}
	}
	// Output:
	// in time: 1s
	// in time: 2s
	// in time: 3s
}

// BlockUntil waits for the others to be asleep before time is moved.
func ExampleVirtual_BlockUntil() {
	c := clock.NewVirtual()
	done := make(chan struct{})
	go func() {
		c.Sleep(time.Hour)
		close(done)
	}()
	c.BlockUntil(1)
	c.Advance(time.Hour)
	<-done
	fmt.Println(c.Elapsed())
	// Output:
	// 1h0m0s
}

// In a testing/synctest bubble the real clock tells the bubble's time.
func ExampleReal_bubble() {
	var t *testing.T // of the test
	synctest.Test(t, func(t *testing.T) {
		c := clock.Real()
		before := c.Monotonic()
		time.Sleep(time.Hour) // at once
		if c.Monotonic()-before != int64(time.Hour) {
			t.Error("not an hour")
		}
	})
}
