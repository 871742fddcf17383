package netmem_test

import (
	"context"
	"fmt"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/netmem"
)

// Virtual time does not run away from host code that connects and writes: a guest that would
// wait an hour for a connection gets it in the same instant.
func Example() {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	n := netmem.New(c)
	l, _ := n.Listen("server:80", 16)

	ctx := context.Background()
	c.Hold() // in the name of the guest, as a scheduler does when it starts a thread
	c.Hold() // until this code has dialed: taken before there is a guest that may wait
	start := c.Now()
	done := make(chan struct{})
	go func() { // the guest: accept or give up after an hour
		defer close(done)
		defer c.Release()
		task := poll.NewHoldingTask(ctx, c)
		waiter := poll.Waiter{Waker: task}
		l.Subscribe(&waiter)
		defer l.Unsubscribe(&waiter)
		deadline := c.Monotonic() + int64(time.Hour)
		for l.Poll(poll.Readable).Ready == 0 && c.Monotonic() < deadline {
			_ = task.Park(poll.Wait{Clock: c, Deadline: deadline})
		}
		s, err := l.Accept()
		fmt.Println(s != nil, err, c.Now().Sub(start))
	}()

	conn, err := n.Dial(ctx, "server:80")
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(conn.RemoteAddr())
	c.Release()
	<-done
	// Unordered output:
	// server:80
	// true <nil> 0s
}
