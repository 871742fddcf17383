package wasmbin

import (
	"fmt"
	"unicode/utf8"
)

// cursor reads a range of a module. Its error sticks: after the first every
// read answers zero and moves nothing, so that a decoder looks at err once, at
// its end, and in the loops that a guest's counts drive.
type cursor struct {
	data    []byte // the whole module, so that offsets are the module's
	pos     int
	end     int
	section string
	err     *FormatError

	heapTypes  int // one more than the highest type that a reference type names
	heapTypeAt int
}

// heapType reads what a reference type refers to: an abstract type, which is
// negative, or the index of a type, which checkHeapTypes looks at when the types
// are known.
func (c *cursor) heapType() {
	at := c.pos
	if t := c.signed(5); t >= int64(c.heapTypes) {
		c.heapTypes, c.heapTypeAt = int(t)+1, at
	}
}

// checkHeapTypes errs if a type was named that is not among n.
func (c *cursor) checkHeapTypes(n int) {
	if c.err == nil && c.heapTypes > n {
		c.fail(c.heapTypeAt, "type %d of %d", c.heapTypes-1, n)
	}
}

func (c *cursor) fail(at int, format string, args ...any) {
	if c.err == nil {
		c.err = &FormatError{Offset: at, Section: c.section, Msg: fmt.Sprintf(format, args...)}
		c.pos = c.end
	}
}

func (c *cursor) byte() byte {
	if c.pos >= c.end {
		c.fail(c.pos, "truncated")
		return 0
	}
	b := c.data[c.pos]
	c.pos++
	return b
}

// zero reads a byte that the format reserves.
func (c *cursor) zero(what string) {
	at := c.pos
	if b := c.byte(); b != 0 {
		c.fail(at, "%s must be zero and is %#x", what, b)
	}
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > c.end-c.pos {
		c.fail(c.pos, "truncated: %d bytes wanted, %d left", n, c.end-c.pos)
		return nil
	}
	b := c.data[c.pos : c.pos+n]
	c.pos += n
	return b
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (c *cursor) u32() uint32 {
	if c.pos < c.end && c.data[c.pos] < 0x80 {
		c.pos++
		return uint32(c.data[c.pos-1])
	}
	at := c.pos
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		if c.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.fail(at, "an unsigned LEB128 integer does not fit 32 bits")
	return 0
}

// signed reads a signed LEB128 of at most size bytes. Bits beyond the width
// are left to the engine to judge: they change no length.
func (c *cursor) signed(size int) int64 {
	at := c.pos
	var v int64
	for i := range size {
		b := c.byte()
		if c.err != nil {
			return 0
		}
		if shift := 7 * i; shift < 64 {
			v |= int64(b&0x7f) << shift
			if b < 0x80 {
				if shift+7 < 64 && b&0x40 != 0 {
					v |= -1 << (shift + 7)
				}
				return v
			}
		}
	}
	c.fail(at, "a signed LEB128 integer is longer than %d bytes", size)
	return 0
}

// count reads the length of a vector whose elements take at least minSize
// bytes each. A count that the rest of the section cannot hold is an error
// before anything is allocated for it.
func (c *cursor) count(what string, minSize int) int {
	at := c.pos
	n := c.u32()
	if left := c.end - c.pos; uint64(n)*uint64(minSize) > uint64(left) {
		c.fail(at, "%d %s in %d bytes", n, what, left)
		return 0
	}
	return int(n)
}

// name reads a UTF-8 string.
func (c *cursor) name(what string) string {
	n := c.count("bytes of "+what, 1)
	at := c.pos
	b := c.bytes(n)
	if !utf8.Valid(b) {
		c.fail(at, "%s is not UTF-8", what)
		return ""
	}
	return string(b)
}

// appendU32 appends v as LEB128 in at least width bytes: a linker pads the
// indices it patches to five, and a padded one stays as long as it was.
func appendU32(dst []byte, v uint32, width int) []byte {
	for width--; v >= 0x80 || width > 0; width-- {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func appendS32(dst []byte, v int32) []byte { return appendS64(dst, int64(v)) }

func appendS64(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

func appendName(dst []byte, name string) []byte {
	dst = appendU32(dst, uint32(len(name)), 1)
	return append(dst, name...)
}

// patcher writes a range of a module again with some of its bytes replaced and
// others put in between.
type patcher struct {
	data []byte
	last int // everything before it is in out
	out  []byte

	trace *tracing // is told what is copied, unless nil
}

// copyTo copies what stands before at.
func (p *patcher) copyTo(at int) {
	if p.trace != nil {
		p.trace.move(len(p.out), p.last, at-p.last)
	}
	p.out = append(p.out, p.data[p.last:at]...)
	p.last = at
}

// u32 replaces the LEB128 integer in [at, end) by v.
func (p *patcher) u32(at, end int, v uint32) {
	p.copyTo(at)
	p.out = appendU32(p.out, v, end-at)
	p.last = end
}

// skip leaves out what stands in [at, end).
func (p *patcher) skip(at, end int) {
	p.copyTo(at)
	p.last = end
}
