package vfs

import (
	"github.com/wasivirt/wasivirt/wasip1"
)

// maxPiece is how many bytes are moved at once, a few milliseconds' work. Between two pieces of a
// call that asks for more, which the iovecs of a small memory can do with 2 GiB, others get the
// locks, and a thread that has to end leaves.
const maxPiece = 16 << 20

// ended reports whether the thread has to end.
func (c *Caller) ended() bool { return c.Task != nil && c.Task.Context().Err() != nil }

// endedAt is ended, asked only when a call has moved as much as look says, which is then a piece
// further.
func (c *Caller) endedAt(n int, look *int) bool {
	if n < *look {
		return false
	}
	*look = n + maxPiece
	return c.ended()
}

// inPieces calls move with bufs piece by piece, and with how much was moved before, until it moves
// less than it was given. An error after something was moved is left for the next call to meet.
//
// Errors: ECANCELED when the thread has to end and nothing was moved; else what move says.
func (c *Caller) inPieces(bufs [][]byte, move func(bufs [][]byte, before int) (int, error)) (int, error) {
	p := pieces{rest: bufs}
	n := 0
	for {
		if c.ended() {
			if n == 0 {
				return 0, wasip1.ECANCELED
			}
			return n, nil
		}
		piece := p.next()
		if len(piece) == 0 {
			return n, nil
		}
		k, err := move(piece, n)
		n += k
		if n == 0 && err != nil {
			return 0, err
		}
		if err != nil || int64(k) < total(piece) {
			return n, nil
		}
	}
}

// pieces cuts a list of buffers.
type pieces struct {
	rest [][]byte
	off  int // what of the first buffer has been given
	part [1][]byte
}

// next returns as many whole buffers as are a piece, or a part of one that is more; nothing at the
// end.
func (p *pieces) next() [][]byte {
	size, n := 0, 0
	for p.off == 0 && n < len(p.rest) && len(p.rest[n]) <= maxPiece-size {
		size += len(p.rest[n])
		n++
	}
	if n > 0 {
		piece := p.rest[:n]
		p.rest = p.rest[n:]
		return piece
	}
	if len(p.rest) == 0 {
		return nil
	}
	b := p.rest[0][p.off:]
	if len(b) > maxPiece {
		b = b[:maxPiece]
		p.off += maxPiece
	} else {
		p.rest, p.off = p.rest[1:], 0
	}
	p.part[0] = b
	return p.part[:]
}

// readFile reads at the position of f, which has a file, for FdRead. size is that of bufs.
func (c *Caller) readFile(f *OpenFile, bufs [][]byte, size uint64) (int, error) {
	if size <= maxPiece {
		n, err := f.readFile(bufs)
		for err == ErrUnfinished {
			if c.ended() {
				return 0, wasip1.ECANCELED
			}
			n, err = f.readFile(bufs)
		}
		return n, err
	}
	return c.inPieces(bufs, func(bufs [][]byte, _ int) (int, error) { return c.readFile(f, bufs, maxPiece) })
}

// readFileAt is readFile for FdPread.
func (c *Caller) readFileAt(f *OpenFile, bufs [][]byte, size uint64, off int64) (int, error) {
	if size <= maxPiece {
		if f.stays && f.alive() {
			return f.readVector(bufs, off)
		}
		n, err := f.readFileAt(bufs, off)
		for err == ErrUnfinished {
			if c.ended() {
				return 0, wasip1.ECANCELED
			}
			n, err = f.readFileAt(bufs, off)
		}
		return n, err
	}
	return c.inPieces(bufs, func(bufs [][]byte, before int) (int, error) {
		if at := off + int64(before); at >= off {
			return c.readFileAt(f, bufs, maxPiece, at)
		}
		return 0, nil // beyond 1<<63-1, where nothing can be
	})
}

// writeFile writes at the position of f, which has a file, for FdWrite, where that takes more than
// one step. size is that of bufs.
func (c *Caller) writeFile(f *OpenFile, bufs [][]byte, size uint64) (int, error) {
	if f.prepares {
		if err := c.prepare(f, KeepAll); err != nil {
			return 0, err
		}
	}
	if size <= maxPiece {
		return f.writeFile(bufs)
	}
	return c.inPieces(bufs, func(bufs [][]byte, _ int) (int, error) { return f.writeFile(bufs) })
}

// writeFileAt is writeFile for FdPwrite.
func (c *Caller) writeFileAt(f *OpenFile, bufs [][]byte, size uint64, off int64) (int, error) {
	if f.prepares {
		if err := c.prepare(f, KeepAll); err != nil {
			return 0, err
		}
	}
	if size <= maxPiece {
		return f.writeFileAt(bufs, off)
	}
	if total(bufs) > 1<<63-1-off {
		return 0, wasip1.EFBIG
	}
	return c.inPieces(bufs, func(bufs [][]byte, before int) (int, error) { return f.writeFileAt(bufs, off+int64(before)) })
}
