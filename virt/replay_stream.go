package virt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ErrRecordingCut says that a recording has no end: it was cut, or the process that wrote it died. All events before
// that are good.
var ErrRecordingCut = errors.New("the recording has no end: it was cut, or the process that wrote it died")

// RecordingError says that a recording is none, is of another version, or was damaged.
type RecordingError struct {
	// Event is how many events were read before.
	Event  uint64
	Reason string
}

func (e *RecordingError) Error() string {
	return fmt.Sprintf("the recording is damaged or none, after %d events: %s", e.Event, e.Reason)
}

// The largest things in an event, which bound what reading one allocates.
const (
	maxRanges = 1 << 16
	maxText   = 1 << 20
	maxValues = 1 << 10
	maxNamed  = 1 << 16
)

// frameReader reads the stream out of frames.
type frameReader struct {
	r     io.Reader
	buf   []byte
	pos   int
	total uint64
	ended bool
}

// header reads the header.
func (f *frameReader) header() (h header, err error) {
	var b [len(recordingMagic) + 1 + 8]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil || string(b[:len(recordingMagic)]) != recordingMagic {
		return h, &RecordingError{Reason: "it does not begin as one"}
	}
	at := len(recordingMagic)
	if v := b[at]; v != recordingVersion {
		return h, &RecordingError{Reason: fmt.Sprintf("it has version %d, this library knows %d", v, recordingVersion)}
	}
	n := binary.LittleEndian.Uint32(b[at+1:])
	if n != headerSize {
		return h, &RecordingError{Reason: "its header has another length"}
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(f.r, raw); err != nil {
		return h, ErrRecordingCut
	}
	if crc32.Checksum(raw, castagnoli) != binary.LittleEndian.Uint32(b[at+5:]) {
		return h, &RecordingError{Reason: "the checksum of its header is another"}
	}
	return parseHeader(raw), nil
}

// fill reads the next frame. At the end it answers io.EOF.
func (f *frameReader) fill() error {
	if f.ended {
		return io.EOF
	}
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return ErrRecordingCut
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameSize {
		return &RecordingError{Reason: "a frame is too long"}
	}
	if f.buf == nil {
		f.buf = make([]byte, 8+frameSize)
	}
	f.buf = f.buf[:8+n]
	copy(f.buf, head[8:])
	if _, err := io.ReadFull(f.r, f.buf[8:]); err != nil {
		return ErrRecordingCut
	}
	if frameSum(f.buf) != binary.LittleEndian.Uint32(head[4:]) {
		return &RecordingError{Reason: "the checksum of a frame is another"}
	}
	f.pos = 8
	f.total += uint64(n)
	if n == 0 {
		f.ended = true
		if binary.LittleEndian.Uint64(f.buf) != f.total {
			return &RecordingError{Reason: "frames are missing"}
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

// window returns some of the next n bytes, at least one, or an error. They are good until the next call.
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

// script reads events. Of a call it reads the beginning; what follows is read by answer.
type script struct {
	frameReader
	place  uint32
	count  uint64 // events read
	ahead  bool   // event is the next, not taken yet
	event  event
	failed error
	ranges []memory.Range
	values []uint64
	// functions are those of the embedder's, by their number.
	functions []string
}

// event is the beginning of an event. Which fields are meant depends on op.
type event struct {
	op      op
	row     int
	args    [12]uint64
	width   int
	to      uint32
	entries uint64
	fuel    uint64
	name    string
	values  []uint64
	at      memory.Range
	size    uint64
	result  Result
}

// call reports whether the event is a call or the beginning of one.
func (e *event) call() bool { return e.op < opEnd }

// peek returns the next event without taking it.
func (d *script) peek() (*event, error) {
	if !d.ahead && d.failed == nil {
		d.failed = d.read(&d.event)
		d.ahead = d.failed == nil
	}
	return &d.event, d.failed
}

// take takes the event that was peeked.
func (d *script) take() {
	d.ahead = false
	d.count++
}

// damage makes an error of reading one of the recording.
func (d *script) damage(err error) error {
	if errors.Is(err, io.EOF) {
		err = &RecordingError{Reason: "it ends in the middle of an event"}
	}
	if r, ok := errors.AsType[*RecordingError](err); ok {
		r.Event = d.count
	}
	return err
}

func (d *script) bad(reason string) error { return &RecordingError{Event: d.count, Reason: reason} }

func (d *script) read(e *event) error {
	first, err := d.ReadByte()
	for ; err == nil && op(first) == opFunction; first, err = d.ReadByte() {
		if err := d.function(); err != nil {
			return err
		}
	}
	if err != nil {
		return d.damage(err)
	}
	*e = event{op: op(first), values: e.values[:0]}
	if e.call() {
		return d.begin(e)
	}
	switch e.op {
	case opEnd:
		return nil
	case opSwitch:
		var to uint64
		err = d.numbers(&to, &e.entries, &e.fuel)
		e.to = uint32(to)
	case opExport:
		if e.name, err = d.text(); err == nil {
			e.values, err = d.numbersOf(e.values)
		}
	case opReturned:
		e.values, err = d.numbersOf(e.values)
	case opHosted:
		err = d.hosted(e)
	case opWrote:
		e.at, err = d.ranged()
	case opRefused, opFuel:
		e.size, err = d.uvarint()
	case opFinish:
		err = d.finish(e)
	default:
		err = d.bad(fmt.Sprintf("there is no event %#x", first))
	}
	return err
}

func (d *script) begin(e *event) (err error) {
	e.row = int(e.op &^ opBegin)
	switch {
	case e.row < rows:
		e.width = row(e.row).width()
	case e.row < rows+len(kernel) && kernel[e.row-rows].results != nil:
		e.width = len(kernel[e.row-rows].params)
	default:
		return d.bad(fmt.Sprintf("there is no function %d", e.row))
	}
	for i := range e.width {
		if e.args[i], err = d.uvarint(); err != nil {
			return err
		}
	}
	return nil
}

func (d *script) finish(e *event) error {
	outcome, err := d.ReadByte()
	if err != nil {
		return d.damage(err)
	}
	var code, signal, kind, thread uint64
	if err := d.numbers(&code, &signal, &kind, &thread); err != nil {
		return err
	}
	budget, err := d.text()
	if err != nil {
		return err
	}
	e.result = Result{Outcome: Outcome(outcome), ExitCode: uint32(code), Signal: wasip1.Signal(signal), Budget: Budget(budget), Thread: uint32(thread)}
	if e.result.Outcome == Trapped {
		e.result.Trap = &Trap{Kind: TrapKind(kind), Message: TrapKind(kind).String()}
	}
	return d.numbers(&e.entries, &e.fuel)
}

// numbers reads numbers in order.
func (d *script) numbers(to ...*uint64) error {
	for _, v := range to {
		n, err := d.uvarint()
		if err != nil {
			return err
		}
		*v = n
	}
	return nil
}

func (d *script) uvarint() (uint64, error) {
	v, err := binary.ReadUvarint(&d.frameReader)
	if err != nil {
		return 0, d.damage(err)
	}
	return v, nil
}

func (d *script) text() (string, error) {
	n, err := d.uvarint()
	if err != nil {
		return "", err
	}
	if n > maxText {
		return "", d.bad("a name is too long")
	}
	b := make([]byte, n)
	return string(b), d.bytes(b)
}

// bytes reads all of b.
func (d *script) bytes(b []byte) error {
	for len(b) > 0 {
		w, err := d.window(len(b))
		if err != nil {
			return d.damage(err)
		}
		b = b[copy(b, w):]
	}
	return nil
}

// numbersOf reads numbers, of which there are as many as the first says, and appends them to to.
func (d *script) numbersOf(to []uint64) ([]uint64, error) {
	n, err := d.uvarint()
	if err != nil {
		return to, err
	}
	if n > maxValues {
		return to, d.bad("there are too many values")
	}
	for range n {
		v, err := d.uvarint()
		if err != nil {
			return to, err
		}
		to = append(to, v)
	}
	return to, nil
}

// function reads the name of a function of the embedder's.
func (d *script) function() error {
	module, err := d.text()
	if err != nil {
		return err
	}
	name, err := d.text()
	if err != nil {
		return err
	}
	if len(d.functions) == maxNamed {
		return d.bad("there are too many functions")
	}
	d.functions = append(d.functions, module+"."+name)
	return nil
}

// hosted reads the beginning of a call of one.
func (d *script) hosted(e *event) error {
	id, err := d.uvarint()
	if err != nil {
		return err
	}
	if id >= uint64(len(d.functions)) {
		return d.bad("a function is called that was not named")
	}
	e.name = d.functions[id]
	e.values, err = d.numbersOf(e.values)
	return err
}

func (d *script) ranged() (memory.Range, error) {
	z, err := d.uvarint()
	if err != nil {
		return memory.Range{}, err
	}
	n, err := d.uvarint()
	if err != nil {
		return memory.Range{}, err
	}
	r := memory.Range{Ptr: d.place + uint32(int64(z>>1)^-int64(z&1)), Len: uint32(n)}
	d.place = r.Ptr + r.Len
	return r, nil
}

// answer is what a call answered.
type answer struct {
	reads   []memory.Range // good until the next answer
	sum     uint32
	result  uint32
	values  []uint64 // results of a function of the embedder's, good until the next answer
	spawned uint32
	writes  uint64 // how many ranges follow
}

// answer reads what follows the beginning of a call, up to the writes.
func (d *script) answer(row int) (a answer, err error) {
	n, err := d.uvarint()
	if err != nil {
		return a, err
	}
	if n > maxRanges {
		return a, d.bad("a call has read too many ranges")
	}
	d.ranges = d.ranges[:0]
	for range n {
		r, err := d.ranged()
		if err != nil {
			return a, err
		}
		d.ranges = append(d.ranges, r)
	}
	a.reads = d.ranges
	if n > 0 {
		var b [4]byte
		if err := d.bytes(b[:]); err != nil {
			return a, err
		}
		a.sum = binary.LittleEndian.Uint32(b[:])
	}
	if row == hostedRow {
		d.values, err = d.numbersOf(d.values[:0])
		a.values = d.values
	} else {
		var result uint64
		result, err = d.uvarint()
		a.result = uint32(result)
	}
	if err != nil {
		return a, err
	}
	if row == spawnRow {
		spawned, err := d.uvarint()
		if err != nil {
			return a, err
		}
		a.spawned = uint32(spawned)
	}
	if a.writes, err = d.uvarint(); err == nil && a.writes > maxRanges {
		err = d.bad("a call has written too many ranges")
	}
	return a, err
}
