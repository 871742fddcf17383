package vfs_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// quietListener is ready only when there is a connection.
type quietListener struct{ listener }

func (l *quietListener) Poll(want poll.Events) poll.State {
	if len(l.conns) == 0 {
		return poll.State{}
	}
	return poll.State{Ready: want}
}

// TestOfferNonblock has a listener be waited for by a guest that does not ask for its flags, and
// not by one that has been told or has set them.
func TestOfferNonblock(t *testing.T) {
	get := func(c *vfs.Caller, fd uint32) { vfs.FdFdstatGet(c, fd, resultAt) }
	set := func(flags wasip1.Fdflags) func(*vfs.Caller, uint32) {
		return func(c *vfs.Caller, fd uint32) { vfs.FdFdstatSetFlags(c, fd, uint32(flags)) }
	}
	tests := []struct {
		name  string
		does  []func(c *vfs.Caller, fd uint32)
		want  wasip1.Errno
		flags wasip1.Fdflags
	}{
		{"accepts at once", nil, wasip1.ESUCCESS, wasip1.FdNonblock},
		{"asks first", []func(*vfs.Caller, uint32){get}, wasip1.EAGAIN, wasip1.FdNonblock},
		{"asks twice", []func(*vfs.Caller, uint32){get, get}, wasip1.EAGAIN, wasip1.FdNonblock},
		{"sets it", []func(*vfs.Caller, uint32){set(wasip1.FdNonblock)}, wasip1.EAGAIN, wasip1.FdNonblock},
		{"takes it back", []func(*vfs.Caller, uint32){get, set(0)}, wasip1.ESUCCESS, 0},
		{"clears all", []func(*vfs.Caller, uint32){set(0), get}, wasip1.ESUCCESS, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			l := &quietListener{}
			g := newGuest(t, newNS(t))
			g.Task = &task{steps: []func(){func() { l.conns = append(l.conns, &queueStream{}) }}}
			f := vfs.NewStream("listener", l, vfs.OpenRead)
			f.OfferNonblock()
			fd := g.insert(f)
			for _, do := range tc.does {
				do(&g.Caller, fd)
			}
			expectErrno(t, "sock_accept", vfs.SockAccept(&g.Caller, fd, 0, resultAt), tc.want)
			if f.Flags() != tc.flags {
				t.Errorf("flags %v, want %v", f.Flags(), tc.flags)
			}
		})
	}
}
