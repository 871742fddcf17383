//go:build !race

package clock_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
)

// TestRealTimersThatAreLate: where the processor was busy while several became due, what the
// earliest woke runs first. (With the race detector the runtime draws who runs.)
func TestRealTimersThatAreLate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := clock.Real()
	for range 20 {
		var mu sync.Mutex
		var woken []int
		var all sync.WaitGroup
		now := c.Monotonic()
		for i := range 5 {
			wake := make(chan struct{}, 1)
			all.Go(func() {
				<-wake
				mu.Lock()
				woken = append(woken, i)
				mu.Unlock()
			})
			c.AfterFunc(now+int64(i+1)*int64(20*time.Microsecond), func() { wake <- struct{}{} })
		}
		runtime.Gosched() // all wait
		for c.Monotonic() < now+int64(time.Millisecond) {
		}
		all.Wait()
		if want := []int{0, 1, 2, 3, 4}; !cmp.Equal(woken, want) {
			t.Fatalf("woken in the order %v, want %v", woken, want)
		}
	}
}
