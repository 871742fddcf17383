package vfs_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// parking is a Task that tells when it waits.
type parking struct {
	poll.Task
	parked chan struct{}
}

func (p *parking) Park(w poll.Wait) error {
	select {
	case p.parked <- struct{}{}:
	default:
	}
	return p.Task.Park(w)
}

// polls is what a guest's thread has of its table.
type polls struct{ *vfs.Table }

func (p polls) LookupPoll(fd uint32, want poll.Events) (poll.Pollable, wasip1.Errno) {
	return p.Pollable(fd, want)
}

// waitingStreams are streams on which there is nothing to be had.
func waitingStreams(t *testing.T) map[string]func() vfs.Stream {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]func() vfs.Stream{
		"pipe": func() vfs.Stream {
			r, w := pipe.New(0)
			t.Cleanup(func() { w.Close() })
			return r
		},
		"io.Reader": func() vfs.Stream {
			r, w := io.Pipe()
			t.Cleanup(func() { w.Close() })
			return stdio.NewInput(r)
		},
		"pipe of the system": func() vfs.Stream {
			r, w, err := os.Pipe()
			must(err)
			t.Cleanup(func() { r.Close(); w.Close() })
			return stdio.NewInput(r)
		},
		"socket in memory": func() vfs.Stream {
			n := netmem.New(nil)
			l, err := n.Listen("server:1", 1)
			must(err)
			s, err := n.From("client").Connect("server:1")
			must(err)
			t.Cleanup(func() { l.Close() })
			return s
		},
		"listener in memory": func() vfs.Stream {
			l, err := netmem.New(nil).Listen("server:1", 1)
			must(err)
			return l
		},
		"TCP connection": func() vfs.Stream {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(err)
			c, err := net.Dial("tcp", l.Addr().String())
			must(err)
			t.Cleanup(func() { l.Close() })
			return hostnet.NewConn(c)
		},
		"TCP listener": func() vfs.Stream {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(err)
			return hostnet.NewListener(l)
		},
	}
}

// TestClosedWhileWaiting has one thread of a guest close or replace a descriptor for which another
// waits: the wait ends and tells that the descriptor is none.
func TestClosedWhileWaiting(t *testing.T) {
	ends := map[string]func(t *testing.T, g *guest, fd uint32){
		"closed": func(t *testing.T, g *guest, fd uint32) {
			if err := g.Table.Remove(fd); err != nil {
				t.Error(err)
			}
		},
		"renumbered onto": func(t *testing.T, g *guest, fd uint32) {
			other := g.insert(vfs.NewStream("other", stdio.Discard{}, vfs.OpenRead|vfs.OpenWrite))
			if err := g.Table.Renumber(other, fd); err != nil {
				t.Error(err)
			}
		},
	}
	waits := map[string]func(g *guest, fd uint32) wasip1.Errno{
		"poll_oneoff": func(g *guest, fd uint32) wasip1.Errno {
			s := &poll.Set{Task: g.Task, Clock: testClock, Lookup: polls{g.Table}}
			subs := []wasip1.Subscription{
				{Userdata: 1, Tag: wasip1.EventtypeClock, Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 1 << 40}},
				{Userdata: 2, Tag: wasip1.EventtypeFdRead, Fd: fd},
				{Userdata: 3, Tag: wasip1.EventtypeFdRead, Fd: fd},
			}
			for i, sub := range subs {
				sub.Encode(g.mem[bufAt+i*wasip1.SizeSubscription:])
			}
			if e := poll.Oneoff(s, g.View, bufAt, pathAt, 3, resultAt); e != wasip1.ESUCCESS {
				return e
			}
			if g.u32() != 2 {
				return wasip1.EDOM
			}
			for i := range 2 {
				e := wasip1.DecodeEvent(g.mem[pathAt+i*wasip1.SizeEvent:])
				if e.Userdata != uint64(2+i) || e.Errno != wasip1.EBADF {
					return wasip1.EDOM
				}
			}
			return wasip1.EBADF
		},
		"the call": func(g *guest, fd uint32) wasip1.Errno {
			if _, ok := g.Table.Get(fd).Stream().(vfs.Listener); ok {
				return vfs.SockAccept(&g.Caller, fd, 0, resultAt)
			}
			_, e := g.read(fd, 10)
			return e
		},
	}
	for stream, open := range waitingStreams(t) {
		for end, act := range ends {
			for wait, call := range waits {
				t.Run(stream+", "+wait+", "+end, func(t *testing.T) {
					g := newGuest(t, newNS(t))
					task := &parking{poll.NewTask(context.Background()), make(chan struct{}, 1)}
					g.Task = task
					fd := g.insert(vfs.NewStream("s", open(), vfs.OpenRead|vfs.OpenWrite))
					got := make(chan wasip1.Errno, 1)
					go func() { got <- call(g, fd) }()
					<-task.parked
					act(t, g, fd)
					expectErrno(t, "the wait", <-got, wasip1.EBADF)
				})
			}
		}
	}
}
