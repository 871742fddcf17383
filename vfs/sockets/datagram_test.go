package sockets_test

import (
	"net/netip"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// datagrams opens a socket for datagrams.
func (g *guest) datagrams(t *testing.T) uint32 {
	t.Helper()
	want(t, "sock_open", sockets.SockOpen(&g.Caller, g.net, 1, 1, atResult), wasip1.ESUCCESS)
	return g.get(atResult)
}

// send sends a text from buffers of two bytes each.
func (g *guest) send(fd uint32, text string, to netip.AddrPort) wasip1.Errno {
	copy(g.mem[atData:], text)
	g.address(to.Addr(), 128)
	n := uint32(0)
	for at := 0; at < len(text); at += 2 {
		g.put(atIovs+8*int(n), uint32(atData+at), uint32(min(2, len(text)-at)))
		n++
	}
	return sockets.SockSendTo(&g.Caller, fd, atIovs, n, atRef, uint32(to.Port()), 0, atResult)
}

// received is what a call of sock_recv_from stores.
type received struct {
	text  string
	flags uint32
	from  netip.AddrPort
}

func (g *guest) recv(t *testing.T, fd, flags uint32, sizes ...uint32) (received, wasip1.Errno) {
	t.Helper()
	g.put(atRef, atAddr, 128)
	at := uint32(atData)
	for i, size := range sizes {
		g.put(atIovs+8*i, at, size)
		at += size
	}
	clear(g.mem[atType : atType+4])
	errno := sockets.SockRecvFrom(&g.Caller, fd, atIovs, uint32(len(sizes)), atRef, flags, atResult, atType, atPort)
	if errno != wasip1.ESUCCESS {
		return received{}, errno
	}
	a, errno := sockets.LoadAddress(g.View, atRef)
	return received{string(g.mem[atData : atData+g.get(atResult)]), g.get(atType), netip.AddrPortFrom(a, uint16(g.get(atPort)))}, errno
}

func TestDatagrams(t *testing.T) {
	n := netmem.New(nil)
	server, client := newGuest(n.At("server")), newGuest(n.At("client"))
	in := server.datagrams(t)
	if got := server.Table.Get(in).Type(); got != wasip1.FiletypeSocketDgram {
		t.Errorf("its type is %v", got)
	}
	_, errno := server.recv(t, in, 0, 100)
	want(t, "sock_recv_from without an address", errno, wasip1.EINVAL)
	server.address(ip("0.0.0.0"), 4)
	want(t, "sock_bind", sockets.SockBind(&server.Caller, in, atRef, 53), wasip1.ESUCCESS)
	want(t, "sock_bind again", sockets.SockBind(&server.Caller, in, atRef, 54), wasip1.EINVAL)
	want(t, "sock_bind of another", sockets.SockBind(&server.Caller, server.datagrams(t), atRef, 53), wasip1.EADDRINUSE)
	want(t, "sock_listen", sockets.SockListen(&server.Caller, in, 1), wasip1.ENOTSUP)
	want(t, "sock_accept", vfs.SockAccept(&server.Caller, in, 0, atResult), wasip1.EINVAL)
	_, errno = server.recv(t, in, 0, 100)
	want(t, "sock_recv_from of nothing", errno, wasip1.EAGAIN)

	to := netip.AddrPortFrom(n.IP("server"), 53)
	fd := client.datagrams(t)
	for _, text := range []string{"one", "", "three", "four"} {
		want(t, "sock_send_to", client.send(fd, text, to), wasip1.ESUCCESS)
		if got := client.get(atResult); got != uint32(len(text)) {
			t.Errorf("sent %d bytes of %q", got, text)
		}
	}
	want(t, "sock_getlocaladdr", func() wasip1.Errno {
		client.put(atRef, atAddr, 16)
		return sockets.SockGetlocaladdr(&client.Caller, fd, atRef, atPort)
	}(), wasip1.ESUCCESS)
	from := netip.AddrPortFrom(n.IP("client"), uint16(client.get(atPort)))
	for _, tc := range []struct {
		flags uint32
		sizes []uint32
		want  received
	}{
		{0, []uint32{100}, received{"one", 0, from}},
		{uint32(wasip1.RecvWaitall), []uint32{100}, received{"", 0, from}},
		{uint32(wasip1.RecvPeek), []uint32{1, 1}, received{"th", 1, from}},
		{0, []uint32{2, 2}, received{"thre", 1, from}},
		{0, []uint32{2, 2, 100}, received{"four", 0, from}},
	} {
		if got, errno := server.recv(t, in, tc.flags, tc.sizes...); got != tc.want || errno != wasip1.ESUCCESS {
			t.Errorf("received %v, %v, want %v", got, errno, tc.want)
		}
	}

	client.put(atIovs, atData, 2)
	want(t, "fd_write without an address to send to", vfs.FdWrite(&client.Caller, fd, atIovs, 1, atResult), wasip1.EDESTADDRREQ)
	want(t, "sock_shutdown", vfs.SockShutdown(&client.Caller, fd, uint32(wasip1.ShutWr)), wasip1.ENOTCONN)
	client.address(n.IP("server"), 4)
	want(t, "sock_connect", sockets.SockConnect(&client.Caller, fd, atRef, 53), wasip1.ESUCCESS)
	want(t, "fd_write", vfs.FdWrite(&client.Caller, fd, atIovs, 1, atResult), wasip1.ESUCCESS)
	want(t, "an answer", server.send(in, "yes", from), wasip1.ESUCCESS)
	other := server.datagrams(t)
	want(t, "an answer from another port", server.send(other, "no", from), wasip1.ESUCCESS)
	if s := client.Table.Get(fd).Poll(poll.Readable); s.Ready == 0 || s.Bytes != 3 {
		t.Errorf("an answer is there: %+v", s)
	}
	client.put(atIovs, atData, 100)
	want(t, "fd_read", vfs.FdRead(&client.Caller, fd, atIovs, 1, atResult), wasip1.ESUCCESS)
	if got := string(client.mem[atData : atData+client.get(atResult)]); got != "yes" {
		t.Errorf("read %q", got)
	}
	want(t, "fd_read of what is not from the peer", vfs.FdRead(&client.Caller, fd, atIovs, 1, atResult), wasip1.EAGAIN)
	want(t, "sock_shutdown", vfs.SockShutdown(&client.Caller, fd, uint32(wasip1.SdflagsAll)), wasip1.ESUCCESS)
	want(t, "fd_read after it", vfs.FdRead(&client.Caller, fd, atIovs, 1, atResult), wasip1.ESUCCESS)
	want(t, "fd_write after it", vfs.FdWrite(&client.Caller, fd, atIovs, 1, atResult), wasip1.EPIPE)

	client.put(atIovs, 0, 40000, 0, 40000)
	client.address(n.IP("server"), 4)
	want(t, "a datagram that is too long", sockets.SockSendTo(&client.Caller, client.datagrams(t), atIovs, 2, atRef, 53, 0, atResult), wasip1.EMSGSIZE)
	want(t, "SO_TYPE", sockets.SockGetsockopt(&client.Caller, fd, 0, 1, atData, 4), wasip1.ESUCCESS)
	if got := client.get(atData); got != 1 {
		t.Errorf("SO_TYPE is %d", got)
	}
	want(t, "TCP_NODELAY", sockets.SockGetsockopt(&client.Caller, fd, 6, 1, atData, 4), wasip1.ENOPROTOOPT)
}

// TestDatagramsOfLoopback: who sends to a loopback address is seen at one, and is answered there.
func TestDatagramsOfLoopback(t *testing.T) {
	g := newGuest(netmem.New(nil).At("here"))
	server, client := g.datagrams(t), g.datagrams(t)
	g.address(ip("0.0.0.0"), 4)
	want(t, "sock_bind", sockets.SockBind(&g.Caller, server, atRef, 53), wasip1.ESUCCESS)
	at := netip.MustParseAddrPort("127.0.0.1:53")
	want(t, "sock_send_to", g.send(client, "hello", at), wasip1.ESUCCESS)
	got, _ := g.recv(t, server, 0, 100)
	if got.text != "hello" || got.from.Addr() != at.Addr() {
		t.Errorf("received %v", got)
	}
	want(t, "sock_send_to", g.send(server, "answer", got.from), wasip1.ESUCCESS)
	if got, _ := g.recv(t, client, 0, 100); got.text != "answer" || got.from != at {
		t.Errorf("received %v", got)
	}
}
