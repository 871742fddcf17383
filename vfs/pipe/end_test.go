package pipe

import (
	"testing"

	"github.com/wasivirt/wasivirt/poll"
)

// noted is a Waker that counts.
type noted int

func (n *noted) Wake() { *n++ }

func TestReach(t *testing.T) {
	one, two := new(int), new(int)
	r, w := New(0)
	var woken noted
	waiter := poll.Waiter{Waker: &woken}
	r.Subscribe(&waiter)
	defer r.Unsubscribe(&waiter)
	var other *Writer
	steps := []struct {
		name string
		do   func()
		want poll.Reach
	}{
		{"nobody has said", func() {}, poll.ByAnyone},
		{"one end is lent", func() { r.Lend(one) }, poll.ByAnyone},
		{"both are", func() { w.Lend(one) }, poll.ByThreads},
		{"another writer comes", func() { other, _ = w.Another() }, poll.ByAnyone},
		{"to another scheduler", func() { other.Lend(two) }, poll.ByAnyone},
		{"it goes", func() { other.Close() }, poll.ByThreads},
		{"the writer is given back", func() { w.Lend(nil) }, poll.ByAnyone},
	}
	for i, s := range steps {
		before := woken
		s.do()
		if got := r.Reach(); got != s.want {
			t.Errorf("%s: %v, want %v", s.name, got, s.want)
		}
		if i > 0 && woken == before {
			t.Errorf("%s: who waits was not woken", s.name)
		}
	}
	w.Lend(one)
	if got := w.Reach(); got != poll.ByThreads {
		t.Errorf("the writer: %v", got)
	}
	another, _ := r.Another()
	if got := w.Reach(); got != poll.ByAnyone {
		t.Errorf("the writer, with a reader of the host: %v", got)
	}
	another.Close()
}
