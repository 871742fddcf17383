// Command goroutines has bugs that depend on the order of goroutines. It exits with 1 where one
// shows, or in a deadlock of Go's with 2. A name that ends in "-fixed" is the corrected twin.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

var bugs = map[string]func(fixed bool) (ok bool){
	"counter":   counter,
	"yields":    yields,
	"wakeup":    wakeup,
	"select":    bias,
	"waitgroup": waitgroup,
	"order":     order,
	"deadlock":  deadlock,
	"close":     closing,
	"check":     check,
	"none":      none,
}

func main() {
	name, fixed := strings.CutSuffix(os.Args[1], "-fixed")
	if !bugs[name](fixed) {
		fmt.Println(name, "shows")
		os.Exit(1)
	}
}

// work is what programs do between two steps: it calls and allocates.
func work() { _ = fmt.Sprintf("working on %v", os.Args) }

// counter adds without a lock: an update is lost if another goroutine runs between reading and
// writing.
func counter(fixed bool) bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	n := 0
	for range 4 {
		wg.Go(func() {
			if fixed {
				mu.Lock()
				defer mu.Unlock()
			}
			v := n
			work()
			n = v + 1
		})
	}
	wg.Wait()
	return n == 4
}

// yields adds in an order that only one goroutine's early yield breaks.
func yields(fixed bool) bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	log := ""
	for _, name := range []string{"a", "b", "c"} {
		wg.Go(func() {
			if fixed {
				mu.Lock()
				defer mu.Unlock()
			}
			for range 2 {
				log += name
				if !fixed {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	return !strings.Contains(log, "abba")
}

// wakeup notifies a goroutine that has looked at the flag and does not wait yet.
func wakeup(fixed bool) bool {
	size := 0
	if fixed {
		size = 1
	}
	wake := make(chan struct{}, size)
	var ready atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if !ready.Load() {
			work()
			<-wake
		}
	})
	wg.Go(func() {
		ready.Store(true)
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	wg.Wait() // a deadlock if the wakeup was lost
	return true
}

// bias loses what was queued before the stop if select takes the other case.
func bias(fixed bool) bool {
	queue, stop, done := make(chan int, 4), make(chan struct{}), make(chan int)
	for i := range 4 {
		queue <- i
	}
	close(stop)
	go func() {
		n := 0
		for {
			select {
			case <-queue:
				n++
			case <-stop:
				for fixed && len(queue) > 0 {
					<-queue
					n++
				}
				done <- n
				return
			}
		}
	}()
	return <-done == 4
}

// waitgroup counts a goroutine in that goroutine, which may be after Wait.
func waitgroup(fixed bool) bool {
	var wg sync.WaitGroup
	var n atomic.Int32
	started := make(chan struct{})
	go func() {
		for range 3 {
			if fixed {
				wg.Add(1)
			}
			go func() {
				if !fixed {
					wg.Add(1)
				}
				defer wg.Done()
				work()
				n.Add(1)
			}()
		}
		close(started)
	}()
	<-started
	runtime.Gosched()
	wg.Wait()
	return n.Load() == 3
}

// order uses what another goroutine makes, which was started before.
func order(fixed bool) bool {
	var config *int
	var wg sync.WaitGroup
	made := make(chan struct{})
	ok := true
	wg.Go(func() {
		work()
		config = new(int)
		close(made)
	})
	wg.Go(func() {
		if fixed {
			<-made
		}
		ok = config != nil
	})
	wg.Wait()
	return ok
}

// deadlock takes two locks in both orders.
func deadlock(fixed bool) bool {
	var a, b sync.Mutex
	var wg sync.WaitGroup
	take := func(x, y *sync.Mutex) {
		x.Lock()
		defer x.Unlock()
		work()
		y.Lock()
		defer y.Unlock()
	}
	wg.Go(func() { take(&a, &b) })
	wg.Go(func() {
		if fixed {
			take(&a, &b)
		} else {
			take(&b, &a)
		}
	})
	wg.Wait()
	return true
}

// closing sends on a channel that another goroutine may have closed: a panic, exit 2.
func closing(fixed bool) bool {
	c := make(chan int, 2)
	var mu sync.Mutex
	var closed bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if fixed {
			mu.Lock()
			defer mu.Unlock()
		}
		if !closed {
			work()
			c <- 1
		}
	})
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		closed = true
		close(c)
	})
	wg.Wait()
	return true
}

// check looks and acts in two steps, each of which is locked.
func check(fixed bool) bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	balance := 10
	for range 2 {
		wg.Go(func() {
			mu.Lock()
			enough := balance >= 10
			if fixed {
				if enough {
					balance -= 10
				}
				mu.Unlock()
				return
			}
			mu.Unlock()
			if work(); enough {
				mu.Lock()
				balance -= 10
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return balance >= 0
}

// none has many goroutines, channels, maps and collections, and no bug.
func none(bool) bool {
	c := make(chan int)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			m := map[int][]byte{}
			for j := range 50 {
				m[j] = make([]byte, 1000)
			}
			c <- i + len(m)
		})
	}
	go func() { wg.Wait(); close(c) }()
	sum := 0
	for v := range c {
		sum += v
		if sum%7 == 0 {
			runtime.GC()
		}
		fmt.Print(v, " ")
	}
	fmt.Println()
	return sum == 20*19/2+20*50
}
