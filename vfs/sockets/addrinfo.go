package sockets

import (
	"encoding/binary"
	"net/netip"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// addrinfo is what a guest says in one. Its layout, of 28 bytes:
//
//	flags u16, family u8, type u8, protocol u8 and 3 bytes, addrlen u32, addr u32, canonname u32, canonnamelen u32, next u32
//
// addr points to: family u8 and 3 bytes, length u32, data u32. data points to the port, 2 bytes in
// network order, and the address.
type addrinfo struct {
	flags    uint16
	family   Family
	kind     uint8
	protocol uint8
}

const (
	sizeAddrinfo = 28
	sizeSockaddr = 12

	flagPassive     = 1 << 0
	flagNumericHost = 1 << 2

	protocolTCP = 1
	protocolUDP = 2
)

func loadAddrinfo(v *memory.View, ptr uint32) (a addrinfo, errno wasip1.Errno) {
	b, errno := v.Read(ptr, sizeAddrinfo)
	if errno != wasip1.ESUCCESS {
		return a, errno
	}
	return addrinfo{binary.LittleEndian.Uint16(b), Family(b[2]), b[3], b[4]}, wasip1.ESUCCESS
}

// storeAddrinfo fills an addrinfo and returns where the next one is. It is for a socket of the
// hint's type, or of a connection if that is any. Errors: EFAULT, also if the address does not fit.
func storeAddrinfo(v *memory.View, ptr uint32, a netip.AddrPort, hint addrinfo) (next uint32, errno wasip1.Errno) {
	b, errno := v.Read(ptr, sizeAddrinfo)
	if errno != wasip1.ESUCCESS {
		return 0, errno
	}
	addr, next := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[24:])
	s, errno := v.Read(addr, sizeSockaddr)
	if errno != wasip1.ESUCCESS {
		return 0, errno
	}
	size, data := binary.LittleEndian.Uint32(s[4:]), binary.LittleEndian.Uint32(s[8:])
	if size == 14 {
		size = 26 // wasmedge_wasi_socket says 14, and has room for 26
	}
	raw := a.Addr().AsSlice()
	family := FamilyInet4
	if len(raw) == 16 {
		family = FamilyInet6
	}
	if size < uint32(2+len(raw)) {
		return 0, wasip1.EFAULT
	}
	d, errno := v.Write(data, uint32(2+len(raw)))
	if errno != wasip1.ESUCCESS {
		return 0, errno
	}
	binary.BigEndian.PutUint16(d, a.Port())
	copy(d[2:], raw)
	if errno := v.PutUint8(addr, uint8(family)); errno != wasip1.ESUCCESS {
		return 0, errno
	}
	if b, errno = v.Write(ptr, 12); errno != wasip1.ESUCCESS {
		return 0, errno
	}
	b[2], b[3], b[4] = uint8(family), typeStream, protocolTCP
	if hint.kind == typeDatagram || hint.kind == typeAny && hint.protocol == protocolUDP {
		b[3], b[4] = typeDatagram, protocolUDP
	}
	binary.LittleEndian.PutUint32(b[8:], 16)
	return next, v.PutUint32(ptr+20, 0) // there is no canonical name
}
