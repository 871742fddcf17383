package virt

import (
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"

	"github.com/wasivirt/wasivirt/memory"
)

// A recording is a header and frames. The header is the magic, the version, a length and a checksum, and what has to be the
// same where it is replayed. A frame is a head, of its length, checksum and the realtime of its beginning, and up to 64 KiB of
// the stream of events, which takes no notice of frames. A frame of length 0 ends the recording; its checksum is
// of the number of the bytes of all others.
const (
	recordingMagic   = "wasivrec"
	recordingVersion = 2
	frameSize        = 64 << 10
	frameHead        = 4 + 4 + 8
)

// op is the first byte of an event: the row of a call, alone or with opBegin, or one of the others.
//
//	0..rows-1     call of a function of preview1 or of thread-spawn: arguments, answer
//	rows..        call of a function of the kernel: the same
//	opBegin|row   its arguments alone, where something came before its answer
//	opEnd         its answer
//	opSwitch      thread to, position of the thread that stopped
//	opExport      name, parameters           opReturned   results
//	opWrote       range, bytes               opRefused    bytes that memory was not to have
//	opFinish      how it ended, position
//	opFuel        fuel that a thread gets, where it is not what they mostly get
//	opFunction    module, name: what the next number of opHosted stands for
//	opHosted      call of a function of the embedder's: number, parameters; its answer follows opEnd, with results
//	              in the place of the result
//
// Numbers are unsigned LEB128. An answer is the number of ranges read and the ranges; their CRC-32C if there are any; the
// result; of thread-spawn the thread; the number of ranges written, and each with its bytes. The pointer of a range is the
// zig-zag difference to the end of the last one. A position is the number of calls since the thread's last
// position, and its fuel.
type op uint8

const (
	opBegin    op = 0x40
	opEnd      op = 0x80
	opSwitch   op = 0x81
	opExport   op = 0x82
	opReturned op = 0x83
	opWrote    op = 0x84
	opRefused  op = 0x85
	opFinish   op = 0x86
	opFunction op = 0x87
	opHosted   op = 0x88
	opFuel     op = 0x89
)

// encoder writes events to a recording, a hash or both.
type encoder struct {
	buf    []byte
	place  uint32 // the end of the last range
	hash   hash.Hash
	frames *frameWriter
}

func (e *encoder) op(o op) { e.buf = append(e.buf, byte(o)) }

func (e *encoder) uvarint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

func (e *encoder) sum(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }

// name puts s and its length on the tape.
func (e *encoder) name(s string) {
	e.uvarint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) ranged(r memory.Range) {
	d := int64(r.Ptr) - int64(e.place)
	e.uvarint(uint64(d<<1) ^ uint64(d>>63))
	e.uvarint(uint64(r.Len))
	e.place = r.Ptr + r.Len
}

func (e *encoder) values(v []uint64) {
	e.uvarint(uint64(len(v)))
	for _, x := range v {
		e.uvarint(x)
	}
}

// bytes puts p on the tape; a long one is not copied.
func (e *encoder) bytes(p []byte) {
	if len(p) <= 1024 {
		e.buf = append(e.buf, p...)
		return
	}
	e.emit()
	e.put(p)
}

func (e *encoder) outcome(r *Result) {
	e.buf = append(e.buf, byte(r.Outcome))
	kind := TrapUnknown
	if r.Trap != nil {
		kind = r.Trap.Kind
	}
	e.uvarint(uint64(r.ExitCode))
	e.uvarint(uint64(r.Signal))
	e.uvarint(uint64(kind))
	e.uvarint(uint64(r.Thread))
	e.name(string(r.Budget))
}

// emit hands on what was put together.
func (e *encoder) emit() {
	e.put(e.buf)
	e.buf = e.buf[:0]
}

func (e *encoder) put(p []byte) {
	if e.hash != nil {
		e.hash.Write(p) // never answers an error
	}
	if e.frames != nil {
		e.frames.write(p)
	}
}

// frameWriter cuts a stream into frames.
type frameWriter struct {
	w     io.Writer
	now   func() int64
	buf   []byte // a head's room and a payload
	began int64
	total uint64
	err   error // the first of w, after which nothing is written
}

func newFrameWriter(w io.Writer, now func() int64) *frameWriter {
	return &frameWriter{w: w, now: now, buf: make([]byte, frameHead, frameHead+frameSize)}
}

// header writes the header.
func (f *frameWriter) header(h []byte) {
	b := append([]byte(recordingMagic), recordingVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(h, castagnoli))
	f.flushTo(append(b, h...))
}

func (f *frameWriter) flushTo(b []byte) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
}

func (f *frameWriter) write(p []byte) {
	for len(p) > 0 {
		if len(f.buf) == frameHead {
			f.began = f.now()
		}
		n := min(len(p), cap(f.buf)-len(f.buf))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		if len(f.buf) == cap(f.buf) {
			f.flush()
		}
	}
}

// flush writes a frame.
func (f *frameWriter) flush() {
	payload := f.buf[frameHead:]
	f.total += uint64(len(payload))
	binary.LittleEndian.PutUint32(f.buf, uint32(len(payload)))
	binary.LittleEndian.PutUint64(f.buf[8:], uint64(f.began))
	binary.LittleEndian.PutUint32(f.buf[4:], frameSum(f.buf[8:]))
	f.flushTo(f.buf)
	f.buf = f.buf[:frameHead]
}

// frameSum is the checksum of a frame's time and payload.
func frameSum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// close writes what is left, and the end.
func (f *frameWriter) close() error {
	if len(f.buf) > frameHead {
		f.flush()
	}
	var end [frameHead]byte
	binary.LittleEndian.PutUint64(end[8:], f.total)
	binary.LittleEndian.PutUint32(end[4:], frameSum(end[8:]))
	f.flushTo(end[:])
	return f.err
}
