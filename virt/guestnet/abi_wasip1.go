package guestnet

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"syscall"
	"unsafe"
)

// The calls, in version 2. Package vfs/sockets describes them.

//go:wasmimport wasi_snapshot_preview1 sock_open
//go:noescape
func sockOpen(family, typ int32, fd unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_bind
//go:noescape
func sockBind(fd int32, addr unsafe.Pointer, port uint32) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_listen
//go:noescape
func sockListen(fd, backlog int32) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_connect
//go:noescape
func sockConnect(fd int32, addr unsafe.Pointer, port uint32) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_getsockopt
//go:noescape
func sockGetsockopt(fd, level, name int32, value, size unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_getlocaladdr
//go:noescape
func sockGetlocaladdr(fd int32, addr, port unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_getpeeraddr
//go:noescape
func sockGetpeeraddr(fd int32, addr, port unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_getaddrinfo
//go:noescape
func sockGetaddrinfo(node unsafe.Pointer, nodeLen uint32, service unsafe.Pointer, serviceLen uint32, hints, res unsafe.Pointer, maxLen uint32, resLen unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_send_to
//go:noescape
func sockSendTo(fd int32, iovs unsafe.Pointer, iovsLen uint32, addr unsafe.Pointer, port, flags uint32, nwritten unsafe.Pointer) syscall.Errno

//go:wasmimport wasi_snapshot_preview1 sock_recv_from
//go:noescape
func sockRecvFrom(fd int32, iovs unsafe.Pointer, iovsLen uint32, addr unsafe.Pointer, flags uint32, port, nread, oflags unsafe.Pointer) syscall.Errno

const (
	inet4, inet6     = 1, 2
	dgram, stream    = 1, 2
	solSocket        = 0
	soError          = 2
	protocolTCP      = 1
	protocolUDP      = 2
	maxAddresses     = 16
	listenBacklog    = 128
	addrinfoSize     = 28
	sockaddrSize     = 12
	sockaddrDataSize = 26
)

// onHeap returns a T that stays where it is, as what a stack holds does not: the host is given
// addresses as numbers.
//
//go:noinline
func onHeap[T any]() *T { return new(T) }

// wide is an address with its family, and wideRef where it is.
type wide [128]byte

type wideRef struct{ ptr, size uint32 }

func (w *wide) ref() wideRef {
	return wideRef{uint32(uintptr(unsafe.Pointer(w))), uint32(len(w))}
}

func newWide(a netip.Addr) *wide {
	w := onHeap[wide]()
	w[0] = inet6
	if a.Is4() {
		w[0] = inet4
	}
	copy(w[2:], a.AsSlice())
	return w
}

func (w *wide) addr() netip.Addr {
	if w[0] == inet4 {
		return netip.AddrFrom4([4]byte(w[2:6]))
	}
	return netip.AddrFrom16([16]byte(w[2:18]))
}

// socket makes a socket of a type, that does not wait.
func socket(a netip.Addr, typ int32) (int32, error) {
	family := int32(inet6)
	if a.Is4() {
		family = inet4
	}
	fd := int32(-1)
	if errno := sockOpen(family, typ, unsafe.Pointer(&fd)); errno != 0 {
		return -1, errno
	}
	if err := syscall.SetNonblock(int(fd), true); err != nil {
		syscall.Close(int(fd))
		return -1, err
	}
	return fd, nil
}

// give calls a function with an address.
func give(call func(fd int32, addr unsafe.Pointer, port uint32) syscall.Errno, fd int32, to netip.AddrPort) error {
	w := newWide(to.Addr())
	ref := w.ref()
	errno := call(fd, unsafe.Pointer(&ref), uint32(to.Port()))
	runtime.KeepAlive(w)
	if errno != 0 {
		return errno
	}
	return nil
}

// take calls a function that stores an address.
func take(call func(fd int32, addr, port unsafe.Pointer) syscall.Errno, fd int32) (netip.AddrPort, error) {
	w, port := onHeap[wide](), uint32(0)
	ref := w.ref()
	errno := call(fd, unsafe.Pointer(&ref), unsafe.Pointer(&port))
	runtime.KeepAlive(w)
	if errno != 0 {
		return netip.AddrPort{}, errno
	}
	return netip.AddrPortFrom(w.addr(), uint16(port)), nil
}

// iovec is a buffer.
type iovec struct{ ptr, size uint32 }

func buffer(p []byte) iovec {
	return iovec{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), uint32(len(p))}
}

// sendTo sends a datagram.
func sendTo(fd int32, p []byte, to netip.AddrPort) (int, syscall.Errno) {
	w, n := newWide(to.Addr()), uint32(0)
	ref, b := w.ref(), buffer(p)
	errno := sockSendTo(fd, unsafe.Pointer(&b), 1, unsafe.Pointer(&ref), uint32(to.Port()), 0, unsafe.Pointer(&n))
	runtime.KeepAlive(w)
	runtime.KeepAlive(p)
	return int(n), errno
}

// recvFrom receives a datagram.
func recvFrom(fd int32, p []byte) (int, netip.AddrPort, syscall.Errno) {
	w, port, n, flags := onHeap[wide](), uint32(0), uint32(0), uint16(0)
	ref, b := w.ref(), buffer(p)
	errno := sockRecvFrom(fd, unsafe.Pointer(&b), 1, unsafe.Pointer(&ref), 0, unsafe.Pointer(&port), unsafe.Pointer(&n), unsafe.Pointer(&flags))
	runtime.KeepAlive(w)
	runtime.KeepAlive(p)
	return int(n), netip.AddrPortFrom(w.addr(), uint16(port)), errno
}

// failure is why a socket could not be connected.
func failure(fd int32) error {
	value, size := uint32(0), uint32(4)
	if errno := sockGetsockopt(fd, solSocket, soError, unsafe.Pointer(&value), unsafe.Pointer(&size)); errno != 0 {
		return errno
	}
	if value != 0 {
		return syscall.Errno(value)
	}
	return nil
}

// lookup returns the addresses of a host for sockets of a type, with the port of a service.
func lookup(family, typ byte, node, service string) ([]netip.AddrPort, error) {
	n, s := append([]byte(node), 0), append([]byte(service), 0)
	hints := [addrinfoSize]byte{2: family, 3: typ, 4: protocolTCP}
	if typ == dgram {
		hints[4] = protocolUDP
	}
	infos := onHeap[[maxAddresses][addrinfoSize]byte]()
	addrs := onHeap[[maxAddresses][sockaddrSize]byte]()
	data := onHeap[[maxAddresses][sockaddrDataSize]byte]()
	at := func(p *byte) uint32 { return uint32(uintptr(unsafe.Pointer(p))) }
	for i := range infos {
		binary.LittleEndian.PutUint32(addrs[i][4:], sockaddrDataSize)
		binary.LittleEndian.PutUint32(addrs[i][8:], at(&data[i][0]))
		binary.LittleEndian.PutUint32(infos[i][12:], at(&addrs[i][0]))
		if i > 0 {
			binary.LittleEndian.PutUint32(infos[i-1][24:], at(&infos[i][0]))
		}
	}
	first, count := at(&infos[0][0]), uint32(0)
	errno := sockGetaddrinfo(unsafe.Pointer(&n[0]), uint32(len(n)), unsafe.Pointer(&s[0]), uint32(len(s)),
		unsafe.Pointer(&hints), unsafe.Pointer(&first), maxAddresses, unsafe.Pointer(&count))
	runtime.KeepAlive(infos)
	runtime.KeepAlive(addrs)
	runtime.KeepAlive(data)
	if errno != 0 {
		return nil, errno
	}
	var all []netip.AddrPort
	for i := range min(int(count), maxAddresses) {
		port := binary.BigEndian.Uint16(data[i][:])
		a := netip.AddrFrom16([16]byte(data[i][2:18]))
		if addrs[i][0] == inet4 {
			a = netip.AddrFrom4([4]byte(data[i][2:6]))
		}
		all = append(all, netip.AddrPortFrom(a, port))
	}
	return all, nil
}
