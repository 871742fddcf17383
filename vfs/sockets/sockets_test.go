package sockets_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// guest is the state of a guest thread with 64 KiB of memory.
type guest struct {
	vfs.Caller
	mem []byte
	net sockets.Network
}

func newGuest(n sockets.Network) *guest {
	g := &guest{mem: make([]byte, 1<<16), net: n}
	g.View, g.Table = memory.NewView(g.mem), vfs.NewTable(8)
	return g
}

// Where things are in a guest's memory.
const (
	atResult = 0x100
	atRef    = 0x200 // the structure that says where an address is
	atAddr   = 0x300
	atPort   = 0x400
	atType   = 0x404
	atIovs   = 0x500
	atData   = 0x600
)

func (g *guest) put(ptr int, values ...uint32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(g.mem[ptr+4*i:], v)
	}
}

func (g *guest) get(ptr int) uint32 { return binary.LittleEndian.Uint32(g.mem[ptr:]) }

// address puts an address into memory, in a buffer of a size.
func (g *guest) address(a netip.Addr, size uint32) {
	clear(g.mem[atAddr : atAddr+128])
	b := g.mem[atAddr:]
	if size == 128 {
		b[0] = 2
		if a.Is4() {
			b[0] = 1
		}
		b = b[2:]
	}
	copy(b, a.AsSlice())
	g.put(atRef, atAddr, size)
}

func (g *guest) open(t *testing.T) uint32 {
	t.Helper()
	want(t, "sock_open", sockets.SockOpen(&g.Caller, g.net, 1, 2, atResult), wasip1.ESUCCESS)
	return g.get(atResult)
}

func want(t *testing.T, what string, got, want wasip1.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var ip = netip.MustParseAddr

// connected returns a guest with a socket that is connected to one of another.
func connected(t *testing.T) (client *guest, fd uint32, server *guest, accepted uint32) {
	t.Helper()
	n := netmem.New(nil)
	server, client = newGuest(n.At("server")), newGuest(n.At("client"))
	l := server.open(t)
	server.address(ip("0.0.0.0"), 4)
	want(t, "sock_bind", sockets.SockBind(&server.Caller, l, atRef, 80), wasip1.ESUCCESS)
	want(t, "sock_listen", sockets.SockListen(&server.Caller, l, 1000), wasip1.ESUCCESS)
	fd = client.open(t)
	client.address(n.IP("server"), 128)
	want(t, "sock_connect", sockets.SockConnect(&client.Caller, fd, atRef, 80), wasip1.ESUCCESS)
	want(t, "sock_accept", vfs.SockAccept(&server.Caller, l, 0, atResult), wasip1.ESUCCESS)
	return client, fd, server, server.get(atResult)
}

func TestConnection(t *testing.T) {
	client, fd, server, accepted := connected(t)
	copy(client.mem[atData:], "hello")
	client.put(atIovs, atData, 5)
	want(t, "sock_send_to", sockets.SockSendTo(&client.Caller, fd, atIovs, 1, atRef, 80, 0, atResult), wasip1.ESUCCESS)
	want(t, "sock_send_to somebody else", sockets.SockSendTo(&client.Caller, fd, atIovs, 1, atRef, 81, 0, atResult), wasip1.EISCONN)
	server.put(atIovs, atData, 100)
	server.put(atRef, atAddr, 128)
	want(t, "sock_recv_from", sockets.SockRecvFrom(&server.Caller, accepted, atIovs, 1, atRef, 0, atResult, atType, atPort), wasip1.ESUCCESS)
	if got := string(server.mem[atData : atData+server.get(atResult)]); got != "hello" {
		t.Errorf("received %q", got)
	}
	if got, errno := sockets.LoadAddress(server.View, atRef); errno != wasip1.ESUCCESS || got != netmem.New(nil).IP("client") || server.get(atPort) == 0 {
		t.Errorf("from %v:%d, %v", got, server.get(atPort), errno)
	}
	client.put(atRef, atAddr, 16)
	want(t, "sock_getpeeraddr, version 1", sockets.SockGetpeeraddr(&client.Caller, fd, atRef, atPort, atType), wasip1.ESUCCESS)
	if client.get(atPort) != 80 || client.get(atType) != 4 {
		t.Errorf("port %d, type %d", client.get(atPort), client.get(atType))
	}
	want(t, "sock_connect again", sockets.SockConnect(&client.Caller, fd, atRef, 80), wasip1.EAFNOSUPPORT)
	client.address(ip("127.0.0.1"), 4)
	want(t, "sock_connect of a connected socket", sockets.SockConnect(&client.Caller, fd, atRef, 80), wasip1.EISCONN)
	want(t, "sock_listen of a connected socket", sockets.SockListen(&client.Caller, fd, 1), wasip1.EINVAL)
	want(t, "sock_shutdown", vfs.SockShutdown(&client.Caller, fd, uint32(wasip1.ShutWr)), wasip1.ESUCCESS)
	want(t, "fd_close", vfs.FdClose(&client.Caller, fd), wasip1.ESUCCESS)
	want(t, "a closed descriptor", sockets.SockListen(&client.Caller, fd, 1), wasip1.EBADF)
}

func TestRefusals(t *testing.T) {
	n := netmem.New(nil)
	g := newGuest(n.At("client", "server"))
	c := &g.Caller
	want(t, "no network", sockets.SockOpen(c, nil, 1, 2, atResult), wasip1.EACCES)
	want(t, "the family of Unix", sockets.SockOpen(c, g.net, 3, 2, atResult), wasip1.EAFNOSUPPORT)
	want(t, "datagrams where there are none", sockets.SockOpen(c, struct{ sockets.Network }{g.net}, 1, 1, atResult), wasip1.EPROTONOSUPPORT)
	want(t, "a type that there is not", sockets.SockOpen(c, g.net, 1, 3, atResult), wasip1.EPROTONOSUPPORT)
	want(t, "a result beyond memory", sockets.SockOpen(c, g.net, 1, 2, 1<<16-2), wasip1.EFAULT)
	fd := g.open(t)
	want(t, "sock_listen without an address", sockets.SockListen(c, fd, 1), wasip1.EDESTADDRREQ)
	want(t, "sock_accept", vfs.SockAccept(c, fd, 0, atResult), wasip1.EINVAL)
	want(t, "sock_getpeeraddr", func() wasip1.Errno { g.put(atRef, atAddr, 16); return sockets.SockGetpeeraddr(c, fd, atRef, atPort) }(), wasip1.ENOTCONN)
	g.address(n.IP("server"), 4)
	want(t, "nobody listens", sockets.SockConnect(c, fd, atRef, 80), wasip1.ECONNREFUSED)
	want(t, "a port beyond 65535", sockets.SockConnect(c, fd, atRef, 1<<16), wasip1.EINVAL)
	g.address(ip("192.0.2.1"), 4)
	want(t, "nobody's address", sockets.SockConnect(c, fd, atRef, 80), wasip1.EHOSTUNREACH)
	want(t, "to bind it", sockets.SockBind(c, fd, atRef, 80), wasip1.ESUCCESS)
	want(t, "to listen at it", sockets.SockListen(c, fd, 1), wasip1.EADDRNOTAVAIL)
	g.put(atRef, atAddr, 5)
	want(t, "an address of 5 bytes", sockets.SockConnect(c, fd, atRef, 80), wasip1.EINVAL)
	g.put(atRef, 1<<16-2, 4)
	want(t, "an address beyond memory", sockets.SockConnect(c, fd, atRef, 80), wasip1.EFAULT)
	for g.Table.Len() < 8 {
		g.open(t)
	}
	want(t, "the ninth descriptor", sockets.SockOpen(c, g.net, 1, 2, atResult), wasip1.EMFILE)
}

func TestOptions(t *testing.T) {
	client, fd, _, _ := connected(t)
	c := &client.Caller
	for _, tc := range []struct {
		name        string
		level, opt  uint32
		value       []uint32
		set         wasip1.Errno
		get         wasip1.Errno
		want, bytes uint32
	}{
		{"SO_REUSEADDR", 0, 0, []uint32{1}, 0, 0, 1, 4},
		{"SO_TYPE", 0, 1, []uint32{1}, wasip1.ENOPROTOOPT, 0, 2, 4},
		{"SO_ERROR", 0, 2, []uint32{1}, wasip1.ENOPROTOOPT, 0, 0, 4},
		{"SO_RCVBUF", 0, 6, []uint32{4096}, 0, 0, 4096, 4},
		{"SO_RCVTIMEO", 0, 11, []uint32{1, 0, 0, 0}, wasip1.ENOTSUP, 0, 0, 16},
		{"SO_RCVTIMEO 0", 0, 11, []uint32{0, 0, 0, 0}, 0, 0, 0, 16},
		{"SO_ACCEPTCONN", 0, 13, nil, wasip1.ENOPROTOOPT, 0, 0, 4},
		{"SO_BINDTODEVICE", 0, 14, nil, wasip1.ENOPROTOOPT, wasip1.ENOPROTOOPT, 0, 0},
		{"TCP_NODELAY", 6, 1, []uint32{1}, 0, 0, 1, 4},
		{"an option of no level", 9, 1, []uint32{1}, wasip1.ENOPROTOOPT, wasip1.ENOPROTOOPT, 0, 0},
	} {
		client.put(atData, tc.value...)
		want(t, "set "+tc.name, sockets.SockSetsockopt(c, fd, tc.level, tc.opt, atData, uint32(4*len(tc.value))), tc.set)
		client.put(atType, 16)
		want(t, "get "+tc.name, sockets.SockGetsockopt(c, fd, tc.level, tc.opt, atData, atType), tc.get)
		if tc.get == wasip1.ESUCCESS && (client.get(atData) != tc.want || client.get(atType) != tc.bytes) {
			t.Errorf("%s is %d of %d bytes, want %d of %d", tc.name, client.get(atData), client.get(atType), tc.want, tc.bytes)
		}
	}
	want(t, "a length by value", sockets.SockGetsockopt(c, fd, 0, 1, atData, 4), wasip1.ESUCCESS)
	want(t, "too little room", sockets.SockGetsockopt(c, fd, 0, 11, atData, 4), wasip1.EINVAL)
	want(t, "too long a value", sockets.SockSetsockopt(c, fd, 0, 0, atData, 1<<20), wasip1.EINVAL)
}

// hints puts hints and a list of n empty addrinfo into memory.
func (g *guest) hints(family, n int) {
	const first, sockaddrs, data = 0x1000, 0x2000, 0x3000
	clear(g.mem[0x800:0x8000])
	g.mem[0x800+2] = byte(family)
	for i := range n {
		g.put(sockaddrs+12*i, 0, 26, uint32(data+26*i))
		g.put(first+28*i+12, uint32(sockaddrs+12*i))
		if i+1 < n {
			g.put(first+28*i+24, uint32(first+28*(i+1)))
		}
	}
	g.put(atResult, first)
}

func (g *guest) addrinfo(node, service string, max uint32) wasip1.Errno {
	copy(g.mem[0x900:], node)
	copy(g.mem[0xb00:], service)
	return sockets.SockGetaddrinfo(&g.Caller, g.net, 0x900, uint32(len(node)), 0xb00, uint32(len(service)), 0x800, atResult, max, atType)
}

func TestGetaddrinfo(t *testing.T) {
	n := netmem.New(nil)
	g := newGuest(n.At("client", "server"))
	for _, tc := range []struct {
		node, service string
		family, room  int
		want          []netip.AddrPort
		errno         wasip1.Errno
	}{
		{"server\x00", "http\x00", 0, 4, []netip.AddrPort{netip.AddrPortFrom(n.IP("server"), 80)}, 0},
		{"192.0.2.1", "8080", 0, 4, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8080")}, 0},
		{"2001:db8::1", "443", 0, 4, []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:443")}, 0},
		{"2001:db8::1", "443", 1, 4, nil, 0},
		{"", "80", 0, 4, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("[::1]:80")}, 0},
		{"", "80", 0, 1, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80")}, 0},
		{"", "80", 2, 4, []netip.AddrPort{netip.MustParseAddrPort("[::1]:80")}, 0},
		{"nobody", "80", 0, 4, nil, wasip1.ENOENT},
		{"server", "ftp", 0, 4, nil, wasip1.EINVAL},
		{"server", "65536", 0, 4, nil, wasip1.EINVAL},
		{"ser ver", "80", 0, 4, nil, wasip1.EINVAL},
		{"", "", 0, 4, nil, wasip1.EINVAL},
		{"server", "80", 3, 4, nil, wasip1.EAFNOSUPPORT},
	} {
		g.hints(tc.family, tc.room)
		if errno := g.addrinfo(tc.node, tc.service, uint32(tc.room)); errno != tc.errno {
			t.Errorf("%q %q: %v, want %v", tc.node, tc.service, errno, tc.errno)
			continue
		}
		var got []netip.AddrPort
		for i := range int(g.get(atType)) {
			data := g.mem[0x3000+26*i:]
			a, _ := netip.AddrFromSlice(data[2:6])
			if g.mem[0x2000+12*i] == 2 {
				a, _ = netip.AddrFromSlice(data[2:18])
			}
			got = append(got, netip.AddrPortFrom(a, binary.BigEndian.Uint16(data)))
		}
		if d := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" && tc.errno == 0 {
			t.Errorf("%q %q (-want +got):\n%s", tc.node, tc.service, d)
		}
		clear(g.mem[atType : atType+4])
	}
}

// TestNonblocking: a socket that does not wait says EINPROGRESS, and is ready when the connection
// stands or has failed.
func TestNonblocking(t *testing.T) {
	n := netmem.New(nil)
	n.Partition("client", "server")
	server, client := newGuest(n.At("server")), newGuest(n.At("client", "server"))
	l := server.open(t)
	server.address(ip("0.0.0.0"), 4)
	want(t, "sock_bind", sockets.SockBind(&server.Caller, l, atRef, 80), wasip1.ESUCCESS)
	want(t, "sock_listen", sockets.SockListen(&server.Caller, l, 1), wasip1.ESUCCESS)
	fd := client.open(t)
	f := client.Table.Get(fd)
	f.SetFlags(wasip1.FdNonblock)
	client.address(n.IP("server"), 4)
	want(t, "sock_connect", sockets.SockConnect(&client.Caller, fd, atRef, 80), wasip1.EINPROGRESS)
	want(t, "sock_connect again", sockets.SockConnect(&client.Caller, fd, atRef, 80), wasip1.EALREADY)
	if s := f.Poll(poll.Writable); s.Ready != 0 {
		t.Errorf("ready before it is connected: %+v", s)
	}
	n.Heal("client", "server")
	if s, err := poll.Block(poll.NewTask(t.Context()), f, poll.Writable, poll.Wait{}); err != nil || s.Err != nil {
		t.Errorf("when it is connected: %+v, %v", s, err)
	}
	want(t, "SO_ERROR", sockets.SockGetsockopt(&client.Caller, fd, 0, 2, atData, 4), wasip1.ESUCCESS)
	if client.get(atData) != 0 {
		t.Errorf("SO_ERROR is %d", client.get(atData))
	}
}

// FuzzFunctions calls the functions with pointers and lengths of any kind on a memory of any
// content: they answer an errno that there is, and leave at most the table's number of descriptors.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte("server\x0080"))
	f.Add([]byte{13, 0, 16, 0, 32, 0, 48, 0, 64, 0, 80, 1, 0, 4, 0, 0}, []byte{0x10, 0, 0, 0, 128, 0, 0, 0, 1, 0, 127, 0, 0, 1})
	f.Add([]byte{0, 1, 0, 1, 0, 0, 4, 9, 10, 11, 6, 8, 3, 14}, []byte{0x10, 0, 0, 0, 4, 0, 0, 0, 1, 0, 127, 0, 0, 1})
	f.Fuzz(func(t *testing.T, calls, mem []byte) {
		n := netmem.New(nil)
		g := newGuest(n.At("client", "server"))
		copy(g.mem, mem)
		c := &g.Caller
		if _, err := n.Listen("server:80", 4); err != nil {
			t.Fatal(err)
		}
		p := func(i int) uint32 {
			if 2*i+2 >= len(calls) {
				return uint32(i)
			}
			return uint32(calls[2*i+1]) | uint32(calls[2*i+2])<<8
		}
		for range 32 {
			if len(calls) == 0 {
				break
			}
			var errno wasip1.Errno
			switch calls[0] % 15 {
			case 0:
				errno = sockets.SockOpen(c, g.net, p(0)%4, p(1)%4, p(2))
			case 1:
				errno = sockets.SockBind(c, p(0)%8, p(1), p(2))
			case 2:
				errno = sockets.SockListen(c, p(0)%8, p(1))
			case 3:
				errno = sockets.SockConnect(c, p(0)%8, p(1), p(2))
			case 4:
				errno = sockets.SockGetsockopt(c, p(0)%8, p(1), p(2), p(3), p(4))
			case 5:
				errno = sockets.SockSetsockopt(c, p(0)%8, p(1), p(2), p(3), p(4))
			case 6:
				errno = sockets.SockGetlocaladdr(c, p(0)%8, p(1), p(2))
			case 7:
				errno = sockets.SockGetlocaladdr(c, p(0)%8, p(1), p(2), p(3))
			case 8:
				errno = sockets.SockGetpeeraddr(c, p(0)%8, p(1), p(2), p(3))
			case 9:
				errno = sockets.SockSendTo(c, p(0)%8, p(1), p(2), p(3), p(4), p(5), p(6))
			case 10:
				errno = sockets.SockRecvFrom(c, p(0)%8, p(1), p(2), p(3), p(4), p(5), p(6))
			case 11:
				errno = sockets.SockRecvFrom(c, p(0)%8, p(1), p(2), p(3), p(4), p(5), p(6), p(7))
			case 12:
				errno = vfs.SockAccept(c, p(0)%8, 0, p(1))
			case 13:
				errno = sockets.SockGetaddrinfo(c, g.net, p(0), p(1), p(2), p(3), p(4), p(5), p(6), p(7))
			case 14:
				errno = vfs.FdClose(c, p(0)%8)
			}
			if !errno.Valid() || g.Table.Len() > 8 {
				t.Fatalf("errno %d, %d descriptors", errno, g.Table.Len())
			}
			calls = calls[1:]
		}
		if err := g.Table.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
