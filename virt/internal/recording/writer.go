package recording

import (
	"encoding/binary"
	"hash"
	"io"

	"github.com/wasivirt/wasivirt/memory"
)

// Writer writes events to a recording, a hash or both. It is used by one goroutine at a time.
type Writer struct {
	table  Table
	buf    []byte
	place  uint32 // the end of the last range
	size   uint64
	hash   hash.Hash
	frames *frameWriter
}

// NewWriter returns a Writer. w gets the recording and h the events without what the guest printed;
// each may be nil. now is the realtime in nanoseconds.
func NewWriter(w io.Writer, h hash.Hash, header Header, table Table, now func() int64) *Writer {
	e := &Writer{table: table, hash: h}
	if w != nil {
		e.frames = newFrameWriter(w, now)
		e.frames.header(header.encode())
	}
	return e
}

// Records reports whether there is a recording, besides a hash.
func (e *Writer) Records() bool { return e.frames != nil }

// Size is how many bytes of events were written.
func (e *Writer) Size() uint64 { return e.size }

// Begin writes the beginning of a call.
func (e *Writer) Begin(row int, args []uint64) {
	e.call(Begin+Op(row), args)
	e.emit()
}

// Call writes a whole call: its arguments and what it answered. mem is the guest's memory.
func (e *Writer) Call(row int, args []uint64, a *Answer, mem []byte) {
	e.call(Op(row), args)
	e.answer(row, a, mem)
}

func (e *Writer) call(o Op, args []uint64) {
	e.op(o)
	for _, a := range args {
		e.uvarint(a)
	}
}

// End writes what a call answered that has begun.
func (e *Writer) End(row int, a *Answer, mem []byte) {
	e.op(End)
	e.answer(row, a, mem)
}

func (e *Writer) answer(row int, a *Answer, mem []byte) {
	e.uvarint(uint64(len(a.Reads)))
	sum := uint32(0)
	for _, r := range a.Reads {
		e.ranged(r)
		sum = Digest(sum, mem, r)
	}
	if len(a.Reads) > 0 {
		e.buf = binary.LittleEndian.AppendUint32(e.buf, sum)
	}
	if row == HostedRow {
		e.values(a.Values)
	} else {
		e.uvarint(uint64(a.Result))
	}
	if row == e.table.Spawn {
		e.uvarint(uint64(a.Spawned))
	}
	e.uvarint(uint64(len(a.Writes)))
	for _, r := range a.Writes {
		e.ranged(r)
		e.bytes(mem[r.Ptr : uint64(r.Ptr)+uint64(r.Len)])
	}
	e.emit()
}

// Switch writes that the turn goes to thread to, and the position of the thread that stopped.
func (e *Writer) Switch(to uint32, entries, fuel uint64) {
	e.op(Switch)
	e.uvarint(uint64(to))
	e.uvarint(entries)
	e.uvarint(fuel)
	e.emit()
}

// Export writes the call of an export.
func (e *Writer) Export(name string, params []uint64) {
	e.op(Export)
	e.text(name)
	e.values(params)
	e.emit()
}

// Returned writes what an export returned.
func (e *Writer) Returned(results []uint64) {
	e.op(Returned)
	e.values(results)
	e.emit()
}

// Wrote writes what host code stored in the guest's memory.
func (e *Writer) Wrote(ptr uint32, p []byte) {
	e.op(Wrote)
	e.ranged(memory.Range{Ptr: ptr, Len: uint32(len(p))})
	e.bytes(p)
	e.emit()
}

// Refused writes the size that memory was not allowed to have.
func (e *Writer) Refused(size uint64) { e.number(Refused, size) }

// Fuel writes the fuel that a thread gets.
func (e *Writer) Fuel(slice uint64) { e.number(Fuel, slice) }

func (e *Writer) number(o Op, v uint64) {
	e.op(o)
	e.uvarint(v)
	e.emit()
}

// Function names the next function of the embedder's.
func (e *Writer) Function(module, name string) {
	e.op(Function)
	e.text(module)
	e.text(name)
}

// Hosted writes the beginning of a call of the embedder's function with that number.
func (e *Writer) Hosted(id uint64, params []uint64) {
	e.op(Hosted)
	e.uvarint(id)
	e.values(params)
	e.emit()
}

// Output writes what the guest printed. The hash does not see it: the calls that print are in it.
func (e *Writer) Output(stream int, p []byte) {
	if e.frames == nil {
		return
	}
	for len(p) > 0 {
		n := min(len(p), maxOutput)
		b := binary.AppendUvarint([]byte{byte(Output), byte(stream)}, uint64(n))
		e.frames.write(b)
		e.frames.write(p[:n])
		e.size += uint64(len(b) + n)
		p = p[n:]
	}
}

// Finish writes the end, and the position of the thread that ran last.
func (e *Writer) Finish(end Ending, entries, fuel uint64) {
	e.op(Finish)
	e.buf = append(e.buf, end.Outcome)
	e.uvarint(uint64(end.ExitCode))
	e.uvarint(uint64(end.Signal))
	e.uvarint(uint64(end.Trap))
	e.uvarint(uint64(end.Thread))
	e.text(end.Budget)
	e.uvarint(entries)
	e.uvarint(fuel)
	e.emit()
	if e.frames != nil {
		// An error's text may name what differs where the run does not, so that it is not part of
		// the hash.
		e.frames.write(append(binary.AppendUvarint(nil, uint64(len(end.Text))), end.Text...))
	}
}

// Close writes the rest of the recording and its end. The error is the first of the writer's.
func (e *Writer) Close() error {
	if e.frames == nil {
		return nil
	}
	return e.frames.close()
}

func (e *Writer) op(o Op) { e.buf = append(e.buf, byte(o)) }

func (e *Writer) uvarint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

// text writes s and its length.
func (e *Writer) text(s string) {
	e.uvarint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *Writer) ranged(r memory.Range) {
	d := int64(r.Ptr) - int64(e.place)
	e.uvarint(uint64(d<<1) ^ uint64(d>>63))
	e.uvarint(uint64(r.Len))
	e.place = r.Ptr + r.Len
}

func (e *Writer) values(v []uint64) {
	e.uvarint(uint64(len(v)))
	for _, x := range v {
		e.uvarint(x)
	}
}

// bytes writes p; a long one is not copied.
func (e *Writer) bytes(p []byte) {
	if len(p) <= 1024 {
		e.buf = append(e.buf, p...)
		return
	}
	e.emit()
	e.put(p)
}

// emit hands on what was put together.
func (e *Writer) emit() {
	e.put(e.buf)
	e.buf = e.buf[:0]
}

func (e *Writer) put(p []byte) {
	e.size += uint64(len(p))
	if e.hash != nil {
		e.hash.Write(p) // never answers an error
	}
	if e.frames != nil {
		e.frames.write(p)
	}
}
