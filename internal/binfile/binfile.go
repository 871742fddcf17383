// Package binfile writes and reads numbers, bytes and texts of binary files. A Reader takes nothing
// on trust: lengths are bounded by the caller, and memory is taken as the bytes arrive. Both keep
// their first error.
package binfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Writer writes to an [io.Writer].
type Writer struct {
	w   *bufio.Writer
	n   int64
	err error
}

// NewWriter returns a Writer. Flush writes what it holds back.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, 1<<16)} }

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.n += int64(n)
	w.err = err
	return n, err
}

// Uint writes a number in as few bytes as it needs.
func (w *Writer) Uint(v uint64) {
	var b [binary.MaxVarintLen64]byte
	_, _ = w.Write(b[:binary.PutUvarint(b[:], v)]) // the Writer keeps the error
}

// Int writes a signed number.
func (w *Writer) Int(v int64) { w.Uint(uint64(v)<<1 ^ uint64(v>>63)) }

// Bool writes a truth.
func (w *Writer) Bool(b bool) {
	if b {
		w.Uint(1)
	} else {
		w.Uint(0)
	}
}

// Bytes writes bytes with their number.
func (w *Writer) Bytes(b []byte) {
	w.Uint(uint64(len(b)))
	_, _ = w.Write(b) // the Writer keeps the error
}

// String writes a text.
func (w *Writer) String(s string) { w.Bytes([]byte(s)) }

// Flush writes what is held back, and returns how much was written in all, and the first error.
func (w *Writer) Flush() (int64, error) {
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.n, w.err
}

// Source is what a Reader reads from, and not a byte further than it needs.
type Source interface {
	io.Reader
	io.ByteReader
}

// Reader reads what a Writer wrote.
type Reader struct {
	r   Source
	err error
}

// NewReader returns a Reader.
func NewReader(r Source) *Reader { return &Reader{r: r} }

// Source is what the Reader reads from, for others to go on with.
func (r *Reader) Source() Source { return r.r }

// Err is the first error; [io.ErrUnexpectedEOF] where the file ends too early.
func (r *Reader) Err() error { return r.err }

// Fail makes an error the first one, unless there is one.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// Uint reads a number, at most max.
func (r *Reader) Uint(what string, max uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(r.r)
	switch {
	case err == io.EOF:
		r.err = io.ErrUnexpectedEOF
	case err != nil:
		r.err = err
	case v > max:
		r.Fail("%s: %d is more than %d", what, v, max)
	default:
		return v
	}
	return 0
}

// Int reads a signed number.
func (r *Reader) Int(what string) int64 {
	v := r.Uint(what, math.MaxUint64)
	return int64(v>>1) ^ -int64(v&1)
}

// Bool reads a truth.
func (r *Reader) Bool(what string) bool { return r.Uint(what, 1) == 1 }

// Full reads all of p.
func (r *Reader) Full(p []byte) bool {
	if r.err == nil {
		if _, r.err = io.ReadFull(r.r, p); errors.Is(r.err, io.EOF) {
			r.err = io.ErrUnexpectedEOF
		}
	}
	return r.err == nil
}

// piece is how much memory is taken before the bytes for it are there.
const piece = 1 << 16

// Bytes reads bytes, at most so many.
func (r *Reader) Bytes(what string, most int) []byte {
	n := int(r.Uint(what, uint64(most)))
	b := make([]byte, 0, min(n, piece))
	for len(b) < n && r.err == nil {
		at := len(b)
		b = append(b, make([]byte, min(n-at, max(at, piece)))...)
		r.Full(b[at:])
	}
	if r.err != nil {
		return nil
	}
	return b
}

// String reads a text of at most max bytes.
func (r *Reader) String(what string, max int) string { return string(r.Bytes(what, max)) }
