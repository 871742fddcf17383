package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// flushAfter is how old a frame becomes at most before it is written.
const flushAfter = time.Second

// errNoReturn is the error of a writer that did not return, but ended its goroutine.
var errNoReturn = errors.New("the writer ended its goroutine instead of returning")

// frameWriter cuts a stream into frames.
type frameWriter struct {
	w   io.Writer
	now func() int64

	mu     sync.Mutex
	buf    []byte // a head's room and a payload
	began  int64
	total  uint64
	closed bool
	timer  *time.Timer // writes a frame that is not filled, while there is one
	err    error       // the first of w, after which nothing is written
}

func newFrameWriter(w io.Writer, now func() int64) *frameWriter {
	return &frameWriter{w: w, now: now, buf: make([]byte, frameHead, frameHead+frameSize)}
}

// header writes the header.
func (f *frameWriter) header(h []byte) {
	b := append([]byte(magic), version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(h, castagnoli))
	f.put(append(b, h...))
}

// put gives b to the writer. Whatever the writer does, the recording goes on without it.
func (f *frameWriter) put(b []byte) {
	if f.err != nil {
		return
	}
	f.err = errNoReturn
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("the writer panicked: %v\n%s", p, debug.Stack())
		}
	}()
	_, f.err = f.w.Write(b)
}

func (f *frameWriter) write(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(p) > 0 {
		if len(f.buf) == frameHead {
			f.began = f.now()
			f.arm()
		}
		n := min(len(p), cap(f.buf)-len(f.buf))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		if len(f.buf) == cap(f.buf) {
			f.flush()
		}
	}
}

// arm has what is in the buffer written soon, also if nothing follows.
func (f *frameWriter) arm() {
	if f.timer == nil {
		f.timer = time.AfterFunc(flushAfter, f.overdue)
	} else {
		f.timer.Reset(flushAfter)
	}
}

// overdue writes a frame that has waited long enough.
func (f *frameWriter) overdue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && len(f.buf) > frameHead {
		f.flush()
	}
}

// flush writes a frame.
func (f *frameWriter) flush() {
	payload := f.buf[frameHead:]
	f.total += uint64(len(payload))
	binary.LittleEndian.PutUint32(f.buf, uint32(len(payload)))
	binary.LittleEndian.PutUint64(f.buf[8:], uint64(f.began))
	binary.LittleEndian.PutUint32(f.buf[4:], frameSum(f.buf[8:]))
	f.put(f.buf)
	f.buf = f.buf[:frameHead]
}

// frameSum is the checksum of a frame's time and payload.
func frameSum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// close writes the rest and the end. Afterwards nothing touches the writer.
func (f *frameWriter) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.closed {
		return f.err
	}
	f.closed = true
	if len(f.buf) > frameHead {
		f.flush()
	}
	var end [frameHead]byte
	binary.LittleEndian.PutUint64(end[8:], f.total)
	binary.LittleEndian.PutUint32(end[4:], frameSum(end[8:]))
	f.put(end[:])
	return f.err
}

// frameReader reads the stream out of frames.
type frameReader struct {
	r     io.Reader
	buf   []byte
	pos   int
	total uint64
	ended bool
}

// header reads the header.
func (f *frameReader) header() (h Header, err error) {
	var b [len(magic) + 1 + 8]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil || string(b[:len(magic)]) != magic {
		return h, &Error{Reason: "it does not begin as one"}
	}
	at := len(magic)
	if v := b[at]; v != version {
		return h, &Error{Reason: fmt.Sprintf("it has version %d, this library knows %d: record it again", v, version)}
	}
	n := binary.LittleEndian.Uint32(b[at+1:])
	if n != headerSize {
		return h, &Error{Reason: "its header has another length"}
	}
	var raw [headerSize]byte
	if _, err := io.ReadFull(f.r, raw[:]); err != nil {
		return h, ErrCut
	}
	if crc32.Checksum(raw[:], castagnoli) != binary.LittleEndian.Uint32(b[at+5:]) {
		return h, &Error{Reason: "the checksum of its header is another"}
	}
	return decodeHeader(raw[:]), nil
}

// fill reads the next frame. At the end it answers io.EOF.
func (f *frameReader) fill() error {
	if f.ended {
		return io.EOF
	}
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return ErrCut
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameSize {
		return &Error{Reason: "a frame is too long"}
	}
	if f.buf == nil {
		f.buf = make([]byte, 8+frameSize)
	}
	f.buf = f.buf[:8+n]
	copy(f.buf, head[8:])
	if _, err := io.ReadFull(f.r, f.buf[8:]); err != nil {
		f.pos = len(f.buf)
		return ErrCut
	}
	if frameSum(f.buf) != binary.LittleEndian.Uint32(head[4:]) {
		f.pos = len(f.buf)
		return &Error{Reason: "the checksum of a frame is another"}
	}
	f.pos = 8
	f.total += uint64(n)
	if n == 0 {
		f.ended = true
		if binary.LittleEndian.Uint64(f.buf) != f.total {
			return &Error{Reason: "frames are missing"}
		}
		return io.EOF
	}
	return nil
}

// ReadByte implements [io.ByteReader].
func (f *frameReader) ReadByte() (byte, error) {
	for f.pos >= len(f.buf) {
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
	b := f.buf[f.pos]
	f.pos++
	return b, nil
}

// window returns some of the next n bytes, at least one, or an error. They are good until the next
// call.
func (f *frameReader) window(n int) ([]byte, error) {
	for f.pos >= len(f.buf) {
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
	b := f.buf[f.pos:min(len(f.buf), f.pos+n)]
	f.pos += len(b)
	return b, nil
}
