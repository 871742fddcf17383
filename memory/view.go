package memory

import (
	"encoding/binary"

	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/wasip1"
)

var le = binary.LittleEndian

// View is the memory of a guest as a host function sees it. The zero View has no
// bytes: every access is EFAULT.
//
// A View belongs to one thread of the guest; it has no lock. The methods are written
// to be inlined: what is rare (a Log, an error) is in functions of its own.
type View struct {
	b     []byte
	fast  uint64 // len(b) without a Log, 0 with one: what ends below needs no second look
	log   *Log
	given *memlink.Given
}

// NewView returns a View of b. Tests use it; host calls use Reset on a View they keep.
func NewView(b []byte) *View { return &View{b: b, fast: uint64(len(b))} }

// Reset points the View at b, the guest's memory of the moment. It keeps the Log.
func (v *View) Reset(b []byte) {
	v.b = b
	v.fast = uint64(len(b))
	if v.log != nil {
		v.fast = 0
	}
}

// Bytes returns the whole memory. Nothing is noted in the Log.
func (v *View) Bytes() []byte { return v.b }

// Len returns the size of the memory in bytes, at most 1<<32.
func (v *View) Len() uint64 { return uint64(len(v.b)) }

// Has reports whether the n bytes at ptr lie in the memory.
func (v *View) Has(ptr, n uint32) bool { return uint64(ptr)+uint64(n) <= uint64(len(v.b)) }

// Window returns the n bytes at ptr, or EFAULT. Nothing is noted: the caller says with
// DidRead and Wrote what it touched.
func (v *View) Window(ptr, n uint32) ([]byte, wasip1.Errno) {
	end := uint64(ptr) + uint64(n)
	if end > uint64(len(v.b)) {
		return nil, wasip1.EFAULT
	}
	return v.b[ptr:end:end], wasip1.ESUCCESS
}

// Read returns the n bytes at ptr, to read from, or EFAULT.
func (v *View) Read(ptr, n uint32) ([]byte, wasip1.Errno) {
	end := uint64(ptr) + uint64(n)
	if end > v.fast {
		return v.readSlow(ptr, n)
	}
	return v.b[ptr:end:end], wasip1.ESUCCESS
}

func (v *View) readSlow(ptr, n uint32) ([]byte, wasip1.Errno) {
	b, errno := v.Window(ptr, n)
	if errno == wasip1.ESUCCESS {
		v.DidRead(ptr, n)
	}
	return b, errno
}

// Write returns the n bytes at ptr, to write all of them, or EFAULT. A caller that may
// write fewer takes Window and Wrote.
func (v *View) Write(ptr, n uint32) ([]byte, wasip1.Errno) {
	end := uint64(ptr) + uint64(n)
	if end > v.fast {
		return v.writeSlow(ptr, n)
	}
	return v.b[ptr:end:end], wasip1.ESUCCESS
}

func (v *View) writeSlow(ptr, n uint32) ([]byte, wasip1.Errno) {
	b, errno := v.Window(ptr, n)
	if errno == wasip1.ESUCCESS {
		v.Wrote(ptr, n)
	}
	return b, errno
}

// Uint8 loads the byte at ptr, or says EFAULT.
func (v *View) Uint8(ptr uint32) (uint8, wasip1.Errno) {
	if uint64(ptr) >= v.fast {
		u, errno := v.loadSlow(ptr, 1)
		return uint8(u), errno
	}
	return v.b[ptr], wasip1.ESUCCESS
}

// Uint16 loads the 2 bytes at ptr, or says EFAULT.
func (v *View) Uint16(ptr uint32) (uint16, wasip1.Errno) {
	if uint64(ptr)+2 > v.fast {
		u, errno := v.loadSlow(ptr, 2)
		return uint16(u), errno
	}
	return le.Uint16(v.b[ptr:]), wasip1.ESUCCESS
}

// Uint32 loads the 4 bytes at ptr, or says EFAULT.
func (v *View) Uint32(ptr uint32) (uint32, wasip1.Errno) {
	if uint64(ptr)+4 > v.fast {
		u, errno := v.loadSlow(ptr, 4)
		return uint32(u), errno
	}
	return le.Uint32(v.b[ptr:]), wasip1.ESUCCESS
}

// Uint64 loads the 8 bytes at ptr, or says EFAULT.
func (v *View) Uint64(ptr uint32) (uint64, wasip1.Errno) {
	if uint64(ptr)+8 > v.fast {
		u, errno := v.loadSlow(ptr, 8)
		return u, errno
	}
	return le.Uint64(v.b[ptr:]), wasip1.ESUCCESS
}

func (v *View) loadSlow(ptr, n uint32) (uint64, wasip1.Errno) {
	b, errno := v.readSlow(ptr, n)
	var u uint64
	for i, c := range b {
		u |= uint64(c) << (8 * i)
	}
	return u, errno
}

// PutUint8 stores x at ptr, or says EFAULT.
func (v *View) PutUint8(ptr uint32, x uint8) (errno wasip1.Errno) {
	if uint64(ptr) >= v.fast {
		return storeSlow8(v, ptr, x)
	}
	v.b[ptr] = x
	return
}

// PutUint16 stores x in the 2 bytes at ptr, or says EFAULT and stores nothing.
func (v *View) PutUint16(ptr uint32, x uint16) (errno wasip1.Errno) {
	if uint64(ptr)+2 > v.fast {
		return storeSlow16(v, ptr, x)
	}
	le.PutUint16(v.b[ptr:], x)
	return
}

// PutUint32 stores x in the 4 bytes at ptr, or says EFAULT and stores nothing.
func (v *View) PutUint32(ptr uint32, x uint32) (errno wasip1.Errno) {
	if uint64(ptr)+4 > v.fast {
		return storeSlow32(v, ptr, x)
	}
	le.PutUint32(v.b[ptr:], x)
	return
}

// PutUint64 stores x in the 8 bytes at ptr, or says EFAULT and stores nothing.
func (v *View) PutUint64(ptr uint32, x uint64) (errno wasip1.Errno) {
	if uint64(ptr)+8 > v.fast {
		return storeSlow64(v, ptr, x)
	}
	le.PutUint64(v.b[ptr:], x)
	return
}

// The slow halves of the stores are functions with the types of their callers, which
// fit the compiler's budget for inlining by a hair, if they stay calls.

//go:noinline
func storeSlow8(v *View, ptr uint32, x uint8) wasip1.Errno { return v.storeSlow(ptr, 1, uint64(x)) }

//go:noinline
func storeSlow16(v *View, ptr uint32, x uint16) wasip1.Errno { return v.storeSlow(ptr, 2, uint64(x)) }

//go:noinline
func storeSlow32(v *View, ptr uint32, x uint32) wasip1.Errno { return v.storeSlow(ptr, 4, uint64(x)) }

//go:noinline
func storeSlow64(v *View, ptr uint32, x uint64) wasip1.Errno { return v.storeSlow(ptr, 8, x) }

func (v *View) storeSlow(ptr, n uint32, x uint64) wasip1.Errno {
	b, errno := v.writeSlow(ptr, n)
	for i := range b {
		b[i] = byte(x >> (8 * i))
	}
	return errno
}
