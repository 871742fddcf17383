package netmem_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/wasip1"
)

func bound(t *testing.T, n *netmem.Network, address string) *netmem.DatagramSocket {
	t.Helper()
	s, err := n.ListenDatagrams(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// lying returns what lies in a socket.
func lying(t *testing.T, s *netmem.DatagramSocket) (texts []string) {
	t.Helper()
	p := make([]byte, 100)
	for {
		n, _, err := s.RecvFrom(p, false)
		if err == wasip1.EAGAIN {
			return texts
		} else if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(p[:min(n, len(p))]))
	}
}

// Datagrams take the time of the link, and are lost in a partition and where nobody has the
// address.
func TestDatagramsOnALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netmem.New(nil, netmem.WithLink(netmem.Link{Latency: time.Second}))
		a, b := bound(t, n, "a:1"), bound(t, n, "b:1")
		send := func(text string, to netmem.Addr) {
			t.Helper()
			if err := a.SendTo([]byte(text), to); err != nil {
				t.Fatal(err)
			}
		}
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := lying(t, b); !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
		}
		send("arrives", "b:1")
		send("to nobody", "b:2")
		after(999 * time.Millisecond)
		after(time.Millisecond, "arrives")
		send("is lost on its way", "b:1")
		n.Partition("a", "b")
		send("is lost", "b:1")
		n.Heal("a", "b")
		send("arrives again", "b:1")
		after(time.Second, "arrives again")
		after(time.Hour)
		send("arrives for nobody", "b:1")
		_ = b.Close()
		b = bound(t, n, "b:1")
		after(time.Hour)
	})
}

// A link loses and reorders datagrams as its seed says, and the same ones again.
func TestDatagramsOnAnUnevenLink(t *testing.T) {
	run := func(seed uint64) (got []string) {
		synctest.Test(t, func(t *testing.T) {
			n := netmem.New(nil, netmem.WithSeed(seed), netmem.WithLink(netmem.Link{Jitter: time.Second, Loss: 0.25}))
			a, b := bound(t, n, "a:1"), bound(t, n, "b:1")
			for i := range 100 {
				if err := a.SendTo(fmt.Append(nil, i), "b:1"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			got = lying(t, b)
		})
		return got
	}
	first := run(1)
	if len(first) < 60 || len(first) > 90 {
		t.Errorf("%d of 100 have arrived", len(first))
	}
	if slices.IsSortedFunc(first, func(a, b string) int { return len(a)*1000 - len(b)*1000 }) {
		t.Error("they have arrived in order")
	}
	if !slices.Equal(first, run(1)) {
		t.Error("the same seed gives another run")
	}
	if slices.Equal(first, run(2)) {
		t.Error("another seed gives the same run")
	}
}

// What lies in a socket, and what is on its way to it, is bounded.
func TestDatagramsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netmem.New(nil, netmem.WithLink(netmem.Link{Latency: time.Second}))
		a, b := bound(t, n, "a:1"), bound(t, n, "b:1")
		flood := func() int {
			for range 1000 {
				if err := a.SendTo(make([]byte, 744), "b:1"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			return len(lying(t, b))
		}
		for range 2 {
			if got := flood(); got != 66 { // 64 KiB of 744 bytes and 256 more, and the last goes beyond
				t.Errorf("%d datagrams lie there", got)
			}
		}
		if err := a.SendTo(make([]byte, 65508), "b:1"); err != wasip1.EMSGSIZE {
			t.Errorf("a datagram that is too long: %v", err)
		}
	})
}

// Host code sends and receives too, and waits until its deadline.
func TestDatagramsOfHostCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netmem.New(nil, netmem.WithLink(netmem.Link{Latency: time.Second}))
		server, client := bound(t, n, "server:53").Net(), bound(t, n, "client:0").Net()
		go func() {
			p := make([]byte, 100)
			k, from, err := server.ReadFrom(p)
			if err == nil {
				_, err = server.WriteTo(p[:k], from)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		if _, err := client.WriteTo([]byte("hello"), netmem.Addr("server:53")); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		k, from, err := client.ReadFrom(p)
		if err != nil || string(p[:k]) != "hello" || from.String() != "server:53" || time.Since(began) != 2*time.Second {
			t.Errorf("%q from %v after %v, %v", p[:k], from, time.Since(began), err)
		}
		_ = client.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := client.ReadFrom(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// Ports are given out again when all have been, but none that is taken.
func TestPortsOfANetworkComeAgain(t *testing.T) {
	n := netmem.New(nil)
	first := bound(t, n, "a:0")
	for range 65536 - 49152 - 1 {
		s, err := n.ListenDatagrams("a:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	second := bound(t, n, "a:0")
	if first.Addr() != "a:49152" || second.Addr() != "a:49153" {
		t.Errorf("the ports are %v and %v", first.Addr(), second.Addr())
	}
}
