package srcline

import "encoding/binary"

// reader reads numbers, little endian. Behind the end, which it remembers, everything is 0.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint(size uint64) uint64 {
	var v [8]byte
	copy(v[:], r.bytes(size))
	return binary.LittleEndian.Uint64(v[:])
}

func (r *reader) u8() byte { return byte(r.uint(1)) }

func (r *reader) uleb() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) sleb() int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		b := r.u8()
		if shift < 64 {
			v |= int64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// name reads a text that ends with a zero.
func (r *reader) name() []byte {
	for i, c := range r.b {
		if c == 0 {
			b := r.b[:i+1]
			r.b = r.b[i+1:]
			return b
		}
	}
	r.b, r.bad = nil, true
	return nil
}
