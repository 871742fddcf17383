package virt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// countingPoller counts the calls of poll_oneoff, and the threads that are in one.
type countingPoller struct{ calls, waiting atomic.Int64 }

func (p *countingPoller) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	p.calls.Add(1)
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	return s.Poll(subs, events)
}

// running is a guest that runs on a goroutine.
type running struct {
	*virt.Guest
	stop   context.CancelFunc
	stdout bytes.Buffer
	stderr bytes.Buffer
	result chan *virt.Result
}

// start runs a guest until the test ends.
func start(t *testing.T, host *virt.Host, m *virt.Module, opts ...virt.GuestOption) *running {
	t.Helper()
	r := &running{result: make(chan *virt.Result, 1)}
	opts = append([]virt.GuestOption{virt.WithStdout(&r.stdout), virt.WithStderr(&r.stderr)}, opts...)
	g, err := host.Instantiate(t.Context(), m, opts...)
	if err != nil {
		t.Fatal(err)
	}
	r.Guest = g
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err := g.Run(ctx)
		if err != nil {
			t.Errorf("run the guest: %v", err)
		}
		r.result <- result
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := g.Close(context.Background()); err != nil {
			t.Errorf("close the guest: %v", err)
		}
		if t.Failed() {
			t.Logf("standard error: %s", r.stderr.String())
		}
	})
	return r
}

// TestHTTPServerGuest serves with Go's net/http in a guest that knows nothing of its host, on real
// and on in-memory connections.
func TestHTTPServerGuest(t *testing.T) {
	t.Parallel()
	requests := sized(200, 1000)
	if testing.Short() {
		requests = 100
	}
	type network struct {
		listener vfs.Stream
		address  string
		dial     func(ctx context.Context, network, address string) (net.Conn, error)
	}
	real := func(t *testing.T) network {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return network{hostnet.NewListener(l), l.Addr().String(), (&net.Dialer{}).DialContext}
	}
	inMemory := func(t *testing.T) network {
		n := netmem.New(nil)
		l, err := n.Listen("server:80", 128)
		if err != nil {
			t.Fatal(err)
		}
		return network{l, "server:80", n.DialContext}
	}
	wasm := goGuest(t, "web")
	for _, tc := range []struct {
		name string
		make func(*testing.T) network
	}{{"in memory", inMemory}, {"loopback", real}} {
		t.Run(tc.name, func(t *testing.T) {
			net := tc.make(t)
			k := clock.NewVirtual()
			host := newHost(t, shared, virt.WithClock(k))
			polls := &countingPoller{}
			start(t, host, compiled(t, host, wasm), virt.WithoutFiles(), virt.WithPreopened(net.listener),
				virt.WithPoller(polls), virt.WithArgs("serve", "3"))
			transport := &http.Transport{DialContext: net.dial}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			fetch := func(i int) {
				resp, err := client.Get(fmt.Sprintf("http://%s/hello?name=%d", net.address, i))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if want := fmt.Sprintf("hello, %d", i); err != nil || string(text) != want {
					t.Fatalf("got %q, %v, want %q", text, err, want)
				}
			}
			// What the guest does is counted while it waits: it may have answered and be on its way
			// to its next poll.
			idle := func() int64 {
				if err := k.BlockUntilIdle(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				return polls.calls.Load()
			}
			fetch(0)
			before, began := idle(), time.Now()
			for i := range requests {
				fetch(i)
			}
			took, calls := time.Since(began), idle()-before
			t.Logf("%d requests: %.2f polls and %v each", requests, float64(calls)/float64(requests), took/time.Duration(requests))
			// The guest's runtime looks once and then waits. Only a garbage collection of it, the
			// first of which comes after 1,700 requests, looks two times more.
			if calls > 2*int64(requests) {
				t.Errorf("%d polls for %d requests, want at most 2 each", calls, requests)
			}
			before = idle()
			k.Advance(24 * time.Hour)
			if calls := idle() - before; calls != 0 {
				t.Errorf("%d polls in a day without a request", calls)
			}
		})
	}
}

// hook is a writer that the guest's own thread calls. It calls then after each write.
type hook struct {
	bytes.Buffer
	then func(text string)
}

func (h *hook) Write(p []byte) (int, error) {
	n, err := h.Buffer.Write(p)
	h.then(h.String())
	return n, err
}

func (h *hook) stream() vfs.Stream { return stdio.NewOutput(h, stdio.WithDirect()) }

// TestTwoGuestsTalkHTTP has one guest serve another over a link of 50 ms. Then the link breaks
// while a request is on its way.
func TestTwoGuestsTalkHTTP(t *testing.T) {
	t.Parallel()
	k := clock.NewVirtual(clock.WithAutoAdvance())
	n := netmem.New(k, netmem.WithLink(netmem.Link{Latency: 50 * time.Millisecond}))
	l, err := n.Listen("server:80", 16)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := n.From("client").Connect("server:80")
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(t, shared, virt.WithClock(k))
	web := compiled(t, host, goGuest(t, "web"))
	// Time jumps while all wait, so that the client must not begin before the server runs.
	serving := make(chan struct{})
	begun := sync.OnceFunc(func() { close(serving) })
	server := start(t, host, web, virt.WithoutFiles(), virt.WithPreopened(l), virt.WithArgs("serve", "3"),
		virt.WithMiddleware("poll_oneoff", func(c *virt.Call) wasip1.Errno { begun(); return c.Next() }))
	select {
	case <-serving:
	case result := <-server.result:
		t.Fatalf("the server: %v", result)
	}
	out := &hook{then: func(text string) {
		if strings.Count(text, "\n") == 2 {
			k.AfterFunc(k.Monotonic()+int64(25*time.Millisecond), func() { n.Partition("client", "server") })
		}
	}}
	result, err := host.RunModule(t.Context(), web, virt.WithoutFiles(), virt.WithPreopened(socket), virt.WithStream(1, out.stream()),
		virt.WithArgs("get", "3", "10s", "http://server/hello?name=1", "http://server/hello?name=2", "http://server/hello?name=3"))
	if err != nil || !result.Success() {
		t.Errorf("the client: %v, %v", result, err)
	}
	want := "100ms hello, 1\n100ms hello, 2\n10s timeout\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("the client saw (-want +got):\n%s", diff)
	}
}

// TestServerGuestThatWaits has a C program accept, receive and send on a listener whose flags it
// never asks for.
func TestServerGuestThatWaits(t *testing.T) {
	wasm := toolchainGuest(t, "echo-c")
	n := netmem.New(nil)
	l, err := n.Listen("server:7", 1)
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(t)
	r := start(t, host, compiled(t, host, wasm), virt.WithoutFiles(), virt.WithPreopened(l), virt.WithArgs("3"))
	conn, err := n.Dial(t.Context(), "server:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"one", strings.Repeat("two", 1000)} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("echo of %q: %q, %v", text, got, err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if result := <-r.result; !result.Success() {
		t.Errorf("%v\n%s", result, r.stderr.String())
	}
}
