package netmem

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestPartitionOneWay(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	w.PartitionOneWay("client", "server")
	w.want("write", write(c, "a"), error(nil))
	w.want("parted", read(s), result{"", wasip1.EAGAIN})
	w.want("the other way", write(s, "b"), error(nil))
	w.want("the other way", read(c), result{"b", nil})
	w.HealOneWay("client", "server")
	w.want("healed", read(s), result{"a", nil})
	_, _ = c.Close(), s.Close()
}

// With jitter and losses all bytes of a connection arrive, in order; connections overtake each
// other; the seed decides.
func TestUneven(t *testing.T) {
	order := func(seed uint64) (order string) {
		w := newWorld(t, WithSeed(seed))
		l := w.listen("server:80", 10)
		var clients, servers []*Socket
		for range 5 {
			clients = append(clients, w.connect("client", "server:80"))
			servers = append(servers, w.accept(l))
		}
		link := Link{Latency: time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.2}
		w.SetLink("client", "server", link)
		w.want("link", w.LinkOf("client", "server"), link)
		const text = "abcdefghij"
		for i := range text {
			for _, c := range clients {
				w.want("write", write(c, text[i:i+1]), error(nil))
			}
			w.clock.Advance(5 * time.Millisecond)
		}
		for range clients {
			_ = clients[0].Close()
		}
		got := make([]string, len(servers))
		for range 2000 {
			for i, s := range servers {
				for s.Poll(poll.Readable).Bytes > 0 {
					r := read(s)
					got[i] += r.Text
					order += string(rune('0' + i))
				}
			}
			w.clock.Advance(time.Millisecond * 20)
		}
		for i, s := range servers {
			if got[i] != text {
				t.Errorf("seed %d: connection %d got %q, want %q", seed, i, got[i], text)
			}
			_ = s.Close()
		}
		if r := read(clients[1]); r.Err != io.EOF && r.Err != wasip1.EAGAIN {
			t.Errorf("seed %d: %v", seed, r.Err)
		}
		for _, c := range clients {
			_ = c.Close()
		}
		_ = l.Close()
		return order
	}
	first := order(1)
	if diff := cmp.Diff(first, order(1)); diff != "" {
		t.Errorf("the same seed has another order:\n%s", diff)
	}
	if first == order(2) {
		t.Error("two seeds have one order")
	}
}

// Packets of one byte take many times the byte. A writer waits for them before the buffer is full,
// and is woken when they arrive, or are put together after a partition.
func TestSmallPacketsAreBounded(t *testing.T) {
	for _, link := range []Link{{Latency: time.Second, Bandwidth: 1 << 20}, {Latency: time.Second, Jitter: time.Second}} {
		w := newWorld(t)
		c, s := w.pair()
		fill := func() (n int) {
			for write(c, "x") == nil {
				n++
			}
			return n
		}
		woken := func(what string, by func()) {
			t.Helper()
			var waker wakes
			waiter := poll.Waiter{Waker: &waker}
			c.Subscribe(&waiter)
			defer c.Unsubscribe(&waiter)
			if by(); waker == 0 {
				t.Errorf("%+v: %s: the writer is not woken", link, what)
			}
			if st := c.Poll(poll.Writable); st.Ready == 0 {
				t.Errorf("%+v: %s: not ready for writing", link, what)
			}
		}
		w.SetLink("client", "server", link)
		if n := fill(); n != 256 {
			t.Errorf("%+v: %d packets are on their way, want 256", link, n)
		}
		woken("arrived", func() { w.clock.Advance(3 * time.Second) })
		w.want("arrived", s.Poll(poll.Readable).Bytes, uint64(256))
		fill()
		w.Partition("client", "server")
		w.SetLink("client", "server", Link{})
		woken("healed", func() { w.Heal("client", "server") })
		_, _ = c.Close(), s.Close()
	}
}

// The largest jitter that can be said is drawn.
func TestLargestJitter(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	w.SetLink("client", "server", Link{Jitter: math.MaxInt64})
	w.want("write", write(c, "x"), error(nil))
	_, _ = c.Close(), s.Close()
}

// Nobody is dialed with a context that has ended.
func TestDialAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	l := w.listen("server:80", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Dial(ctx, "server:80"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.want("the listener", l.Poll(poll.Readable).Ready, poll.Events(0))
	_ = l.Close()
}

// wakes counts how often it is woken.
type wakes int

func (w *wakes) Wake() { *w++ }
