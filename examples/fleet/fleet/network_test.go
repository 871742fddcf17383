package fleet

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// cable is a network between clients and a server that can be cut.
type cable struct {
	net.Listener
	to   string
	mu   sync.Mutex
	cut  bool
	ends map[net.Conn]bool
}

func newCable(t *testing.T, url string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l, to: strings.TrimPrefix(url, "nats://"), ends: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); c.set(true) })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go c.join(near)
		}
	}()
	return c
}

func (c *cable) join(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	c.ends[near] = true
	c.mu.Unlock()
	go io.Copy(far, near)
	io.Copy(near, far)
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for end := range c.ends {
		end.Close()
		delete(c.ends, end)
	}
}

func TestNetworkMayBeCut(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	m := module(t, c)
	net := newCable(t, url)
	far := connect(t, "nats://"+net.Addr().String())
	began := make(chan struct{})
	var once sync.Once
	w := &Worker{Client: far, Slots: 1, Name: "far"}
	w.at = func(point string) {
		if point == "received" {
			once.Do(func() { net.set(true); close(began) })
		}
	}
	work(t, w)
	var ids []string
	for seed := range uint64(10) {
		ids = append(ids, must(c.Submit(t.Context(), printing(m, seed))))
	}
	<-began
	time.Sleep(2 * time.Second) // longer than AckWait: the job is handed out again
	work(t, &Worker{Client: c, Slots: 1, Name: "near"})
	if _, err := c.Wait(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	net.set(false)
	for _, id := range ids {
		if _, err := c.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if s := settled(t, c); s.Results != 10 || s.Doubled != 0 || len(s.Differences) != 0 {
		t.Errorf("after the cut: %+v", s)
	}
}
