package poll_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
)

func TestBlock(t *testing.T) {
	p := &thing{}
	task := poll.NewTask(t.Context())
	go p.set(poll.State{Ready: poll.Readable, Bytes: 5})
	s, err := poll.Block(task, p, poll.Readable, poll.Wait{Op: "fd_read", Deadline: poll.NoDeadline})
	if err != nil || s.Bytes != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	c := clock.NewVirtual(clock.WithAutoAdvance())
	p.set(poll.State{})
	if _, err := poll.Block(task, p, poll.Readable, poll.Wait{Clock: c, Deadline: c.Monotonic() + 5}); !errors.Is(err, os.ErrDeadlineExceeded) || c.Elapsed() != 5 {
		t.Errorf("%v after %v, want the deadline", err, c.Elapsed())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	p.set(poll.State{})
	go cancel(cause)
	if _, err := poll.Block(poll.NewTask(ctx), p, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause of the end", err)
	}
}

func TestQueueOrder(t *testing.T) {
	var q poll.Queue
	var got []int
	var waiters []*poll.Waiter
	for i := range 5 {
		w := &poll.Waiter{Waker: waker(func() { got = append(got, i) })}
		waiters = append(waiters, w)
		q.Subscribe(w)
		q.Subscribe(w)
	}
	q.Unsubscribe(waiters[0])
	q.Unsubscribe(waiters[4])
	q.Unsubscribe(waiters[2])
	q.Unsubscribe(waiters[2])
	q.Subscribe(waiters[0])
	q.Wake()
	if d := cmp.Diff([]int{1, 3, 0}, got); d != "" {
		t.Error(d)
	}
}

type waker func()

func (w waker) Wake() { w() }

// A Pollable embeds a Queue and wakes it after each change.
func ExampleBlock() {
	mailbox := &thing{}
	go mailbox.set(poll.State{Ready: poll.Readable, Bytes: 42})

	task := poll.NewTask(context.Background())
	state, err := poll.Block(task, mailbox, poll.Readable, poll.Wait{Op: "receive", Deadline: poll.NoDeadline})
	fmt.Println(state.Bytes, err)
	// Output:
	// 42 <nil>
}
