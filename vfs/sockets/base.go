package sockets

import (
	"net/netip"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// endpoint is a socket that sock_open made.
type endpoint interface {
	vfs.Socket
	Bind(netip.AddrPort) error
	Listen(backlog int) error
	Connect(netip.AddrPort) error
	Connected() error
	Local() netip.AddrPort
	Remote() (netip.AddrPort, error)
	set(o option, value []byte) wasip1.Errno
	get(o option) (value, size uint32, errno wasip1.Errno)
}

// base is what sockets have in common.
type base struct {
	poll.Queue
	family Family

	mu      sync.Mutex
	forward poll.Waiter // wakes those who wait for the socket when what it has become does
	options map[option]uint32
	closed  bool
}

func (b *base) init(f Family) {
	b.family = f
	b.forward.Waker = &b.Queue
}

// fits reports whether an address is of the socket's family.
func (b *base) fits(a netip.Addr) bool {
	return b.family == FamilyUnspecified || a.Is4() == (b.family == FamilyInet4)
}

// anywhere is the unspecified address of the socket's family, with port 0.
func (b *base) anywhere() netip.AddrPort {
	if b.family == FamilyInet6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}

// set sets an option that sockets of all types have. Errors: EINVAL for a length that the option
// does not have; ENOTSUP; ENOPROTOOPT.
func (b *base) set(o option, value []byte) wasip1.Errno {
	switch o {
	case soLinger, soRcvtimeo, soSndtimeo:
		for _, v := range value {
			if v != 0 {
				return wasip1.ENOTSUP
			}
		}
		return wasip1.ESUCCESS
	}
	if _, ok := remembered[o]; !ok {
		return wasip1.ENOPROTOOPT
	}
	if len(value) != 4 {
		return wasip1.EINVAL
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.options == nil {
		b.options = map[option]uint32{}
	}
	b.options[o] = uint32(value[0]) | uint32(value[1])<<8 | uint32(value[2])<<16 | uint32(value[3])<<24
	return wasip1.ESUCCESS
}

// get returns an option that sockets of all types have, as a number, and how many bytes it has.
// Errors: ENOPROTOOPT.
func (b *base) get(o option) (value, size uint32, errno wasip1.Errno) {
	switch o {
	case soLinger:
		return 0, 8, wasip1.ESUCCESS
	case soRcvtimeo, soSndtimeo:
		return 0, 16, wasip1.ESUCCESS
	}
	value, ok := remembered[o]
	if !ok {
		return 0, 0, wasip1.ENOPROTOOPT
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if own, ok := b.options[o]; ok {
		value = own
	}
	return value, 4, wasip1.ESUCCESS
}
