package sockets

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// wideAddress is the size of a buffer that holds a family and an address.
const wideAddress = 128

// buffer reads where an address is: a pointer and a size.
func buffer(v *memory.View, addr uint32) (ptr, size uint32, errno wasip1.Errno) {
	b, errno := v.Read(addr, 8)
	if errno != wasip1.ESUCCESS {
		return 0, 0, errno
	}
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), wasip1.ESUCCESS
}

// LoadAddress reads the address in the buffer that the structure at addr describes. Errors: EFAULT;
// EINVAL for a size that no address has; EAFNOSUPPORT.
func LoadAddress(v *memory.View, addr uint32) (netip.Addr, wasip1.Errno) {
	ptr, size, errno := buffer(v, addr)
	if errno != wasip1.ESUCCESS {
		return netip.Addr{}, errno
	}
	if size != 4 && size != 16 && size != wideAddress {
		return netip.Addr{}, wasip1.EINVAL
	}
	b, errno := v.Read(ptr, size)
	if errno != wasip1.ESUCCESS {
		return netip.Addr{}, errno
	}
	if size == wideAddress {
		switch Family(binary.LittleEndian.Uint16(b)) {
		case FamilyInet4:
			b = b[2:6]
		case FamilyInet6:
			b = b[2:18]
		default:
			return netip.Addr{}, wasip1.EAFNOSUPPORT
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a, wasip1.ESUCCESS
}

// loadAddress reads an address and its port. Errors: EINVAL for a port beyond 65535; those of
// LoadAddress.
func loadAddress(v *memory.View, addr, port uint32) (netip.AddrPort, wasip1.Errno) {
	a, errno := LoadAddress(v, addr)
	if errno == wasip1.ESUCCESS && port > math.MaxUint16 {
		errno = wasip1.EINVAL
	}
	return netip.AddrPortFrom(a, uint16(port)), errno
}

// storage is where an address that a function answers goes.
type storage struct {
	ptr, size        uint32
	kind, port       uint32 // pointers to 4 bytes: 4 or 6, and the port
	hasKind, hasPort bool
}

// load reads where the address goes, before the function does anything. Errors: EFAULT; EINVAL for
// a size that no address has.
func (s *storage) load(v *memory.View, addr uint32) (errno wasip1.Errno) {
	s.ptr, s.size, errno = buffer(v, addr)
	switch {
	case errno != wasip1.ESUCCESS:
		return errno
	case s.size != 4 && s.size != 16 && s.size != wideAddress:
		return wasip1.EINVAL
	case !v.Has(s.ptr, s.size), s.hasKind && !v.Has(s.kind, 4), s.hasPort && !v.Has(s.port, 4):
		return wasip1.EFAULT
	}
	return wasip1.ESUCCESS
}

// store stores an address. Errors: EINVAL if it does not fit.
func (s *storage) store(v *memory.View, a netip.AddrPort) wasip1.Errno {
	raw := a.Addr().AsSlice()
	kind, family := uint32(4), FamilyInet4
	if len(raw) == 16 {
		kind, family = 6, FamilyInet6
	}
	if uint32(len(raw)) > s.size {
		return wasip1.EINVAL
	}
	b, errno := v.Write(s.ptr, s.size)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	if s.size == wideAddress {
		binary.LittleEndian.PutUint16(b, uint16(family))
		b = b[2:]
	}
	clear(b[copy(b, raw):])
	if s.hasKind {
		if errno := v.PutUint32(s.kind, kind); errno != wasip1.ESUCCESS {
			return errno
		}
	}
	if s.hasPort {
		return v.PutUint32(s.port, uint32(a.Port()))
	}
	return wasip1.ESUCCESS
}
