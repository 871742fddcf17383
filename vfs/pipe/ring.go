package pipe

// Ring is a bounded queue of bytes, the store below a pipe and below other streams in memory. It
// takes memory when it is needed, in steps that double, and keeps it. It has no lock.
type Ring struct {
	buf   []byte
	start int // of the first byte
	n     int
	limit int
}

// NewRing returns a ring for limit bytes.
func NewRing(limit int) Ring { return Ring{limit: limit} }

// SetLimit changes for how many bytes the ring is. What is in it beyond that stays.
func (r *Ring) SetLimit(limit int) { r.limit = max(limit, r.n) }

// Len returns how many bytes are in the ring.
func (r *Ring) Len() int { return r.n }

// Free returns how many more bytes fit.
func (r *Ring) Free() int { return r.limit - r.n }

// Write puts in what fits of p and returns how much that was.
func (r *Ring) Write(p []byte) int {
	p = p[:min(len(p), r.Free())]
	if r.n+len(p) > len(r.buf) {
		r.grow(r.n + len(p))
	}
	end := r.start + r.n
	if end >= len(r.buf) {
		end -= len(r.buf)
	}
	n := copy(r.buf[end:], p)
	copy(r.buf, p[n:])
	r.n += len(p)
	return len(p)
}

// Read takes out at most len(p) bytes and returns how many it took.
func (r *Ring) Read(p []byte) int {
	n := r.Peek(p)
	r.n -= n
	r.start += n
	if r.n == 0 {
		r.start = 0 // whole slices are copied faster
	} else if r.start >= len(r.buf) {
		r.start -= len(r.buf)
	}
	return n
}

// Peek copies the first bytes into p and leaves them in the ring.
func (r *Ring) Peek(p []byte) int {
	p = p[:min(len(p), r.n)]
	n := copy(p, r.buf[r.start:])
	copy(p[n:], r.buf)
	return len(p)
}

// Drop empties the ring and lets its memory go.
func (r *Ring) Drop() { r.buf, r.start, r.n = nil, 0, 0 }

func (r *Ring) grow(need int) {
	size := max(len(r.buf), 512)
	for size < need {
		size *= 2
	}
	buf := make([]byte, min(size, r.limit))
	r.Peek(buf)
	r.buf, r.start = buf, 0
}
