package sockets

import (
	"github.com/wasivirt/wasivirt/wasip1"
)

// option is a socket option: its level and its name, with the numbers of WasmEdge.
type option struct{ level, name uint32 }

const (
	levelSocket = 0
	levelTCP    = 6
)

var (
	soReuseaddr  = option{levelSocket, 0}
	soType       = option{levelSocket, 1}
	soError      = option{levelSocket, 2}
	soDontroute  = option{levelSocket, 3}
	soBroadcast  = option{levelSocket, 4}
	soSndbuf     = option{levelSocket, 5}
	soRcvbuf     = option{levelSocket, 6}
	soKeepalive  = option{levelSocket, 7}
	soOobinline  = option{levelSocket, 8}
	soLinger     = option{levelSocket, 9}
	soRcvlowat   = option{levelSocket, 10}
	soRcvtimeo   = option{levelSocket, 11}
	soSndtimeo   = option{levelSocket, 12}
	soAcceptconn = option{levelSocket, 13}
	tcpNodelay   = option{levelTCP, 1}
)

// remembered are the options that a program may set, with their values before.
var remembered = map[option]uint32{
	soReuseaddr: 0, soDontroute: 0, soBroadcast: 0, soKeepalive: 0, soOobinline: 0, tcpNodelay: 0,
	soSndbuf: 64 << 10, soRcvbuf: 64 << 10, soRcvlowat: 1,
}

// maxOption is the length of the longest value in bytes, a timeval.
const maxOption = 16

// get returns an option as a number, and how many bytes it has.
func (s *Socket) get(o option) (value, size uint32, errno wasip1.Errno) {
	switch o {
	case soType:
		return typeStream, 4, wasip1.ESUCCESS
	case soError:
		return uint32(s.failure()), 4, wasip1.ESUCCESS
	case soAcceptconn:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.listener != nil {
			value = 1
		}
		return value, 4, wasip1.ESUCCESS
	}
	return s.base.get(o)
}

// failure is why the socket could not be connected, or ESUCCESS.
func (s *Socket) failure() wasip1.Errno {
	switch err := s.Connected(); err {
	case nil, wasip1.EAGAIN, wasip1.ENOTCONN:
		return wasip1.ESUCCESS
	default:
		return wasip1.FromError(err)
	}
}
