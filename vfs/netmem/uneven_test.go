package netmem

import (
	"io"
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
