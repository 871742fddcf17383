package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/wasivirt/wasivirt/memory"
)

// ErrCut says that a recording has no end: it was cut, or the process that wrote it died. All
// events before that are good.
var ErrCut = errors.New("the recording has no end: it was cut, or the process that wrote it died")

// Error says that a recording is none, is of another version, or was damaged.
type Error struct {
	// Event is how many events were read before.
	Event  uint64
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the recording is damaged or none, after %d events: %s", e.Event, e.Reason)
}

// The largest things in an event, which bound what reading one allocates.
const (
	maxRanges = 1 << 16
	maxText   = 1 << 20
	maxValues = 1 << 10
	maxNamed  = 1 << 16
	maxOutput = 1 << 16
)

// Reader reads events. Of a call it reads the beginning; what follows is read by Answer.
type Reader struct {
	// OnOutput, if not nil, gets what the guest printed: before the event that follows it is taken.
	// An error is that of reading the event.
	OnOutput func(stream int, p []byte) error

	frames    frameReader
	table     Table
	place     uint32
	count     uint64 // events read
	ahead     bool   // event is the next, not taken yet
	event     Event
	failed    error
	ranges    []memory.Range
	values    []uint64
	functions []string // of the embedder's, by their number
	named     int      // bytes of their names
	printed   []printed
	pending   int // bytes in printed
}

// printed is output that no event was taken after.
type printed struct {
	stream int
	p      []byte
}

// Event is the beginning of an event. Which fields are meant depends on Op.
type Event struct {
	Op      Op
	Row     int
	Args    [MaxArgs]uint64
	Width   int
	To      uint32
	Entries uint64
	Fuel    uint64
	Name    string
	Values  []uint64
	At      memory.Range
	Size    uint64
	Ending  Ending
}

// Call reports whether the event is a call or the beginning of one.
func (e *Event) Call() bool { return e.Op < End }

// NewReader reads the header of a recording and returns what reads its events.
func NewReader(r io.Reader, table Table) (*Reader, Header, error) {
	d := &Reader{table: table}
	d.frames.r = r
	h, err := d.frames.header()
	if err != nil {
		return nil, h, err
	}
	return d, h, nil
}

// Err returns why no more events can be read, or nil.
func (d *Reader) Err() error { return d.failed }

// Count is how many events were taken.
func (d *Reader) Count() uint64 { return d.count }

// Peek returns the next event without taking it. It answers the same error again and again.
func (d *Reader) Peek() (*Event, error) {
	if !d.ahead && d.failed == nil {
		d.failed = d.read(&d.event)
		d.ahead = d.failed == nil
	}
	return &d.event, d.failed
}

// Take takes the event that was peeked.
func (d *Reader) Take() {
	d.ahead = false
	d.count++
	if err := d.print(); err != nil && d.failed == nil {
		d.failed = err
	}
}

// print hands on what the guest printed.
func (d *Reader) print() error {
	defer func() { d.printed, d.pending = d.printed[:0], 0 }()
	if d.OnOutput == nil {
		return nil
	}
	for _, o := range d.printed {
		if err := d.OnOutput(o.stream, o.p); err != nil {
			return err
		}
	}
	return nil
}

// Fail makes err what Peek answers from now on.
func (d *Reader) Fail(err error) { d.failed, d.ahead = err, false }

// AtEnd reports whether the recording ends here, as it has to behind a Finish; the error says why
// it does not.
func (d *Reader) AtEnd() error {
	_, err := d.frames.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return d.Damaged("it goes on behind its end")
	}
	return d.damage(err)
}

// damage makes an error of reading one of the recording.
func (d *Reader) damage(err error) error {
	if errors.Is(err, io.EOF) {
		err = &Error{Reason: "it ends in the middle of an event"}
	}
	if r, ok := errors.AsType[*Error](err); ok {
		r.Event = d.count
	}
	return err
}

// Damaged returns an [*Error] at the present event.
func (d *Reader) Damaged(reason string) error { return &Error{Event: d.count, Reason: reason} }

func (d *Reader) read(e *Event) error {
	var first byte
	for {
		b, err := d.frames.ReadByte()
		if err != nil {
			return d.damage(err)
		}
		switch first = b; Op(b) {
		case Function:
			err = d.function()
		case Output:
			err = d.output()
		default:
			return d.rest(e, Op(first))
		}
		if err != nil {
			return err
		}
	}
}

// rest reads an event behind its first byte.
func (d *Reader) rest(e *Event, o Op) (err error) {
	*e = Event{Op: o, Values: e.Values[:0]}
	if e.Call() {
		return d.begin(e)
	}
	switch e.Op {
	case End:
	case Switch:
		var to uint64
		err = d.numbers(&to, &e.Entries, &e.Fuel)
		e.To = uint32(to)
	case Export:
		if e.Name, err = d.text(); err == nil {
			e.Values, err = d.numbersOf(e.Values)
		}
	case Returned:
		e.Values, err = d.numbersOf(e.Values)
	case Hosted:
		err = d.hosted(e)
	case Wrote:
		e.At, err = d.Range()
	case Refused, Fuel:
		e.Size, err = d.uvarint()
	case Finish:
		err = d.finish(e)
	default:
		err = d.Damaged(fmt.Sprintf("there is no event %#x", uint8(o)))
	}
	return err
}

func (d *Reader) begin(e *Event) (err error) {
	if e.Row = int(e.Op); e.Op >= Begin {
		e.Row -= int(Begin)
	}
	if e.Row >= len(d.table.Widths) || d.table.Widths[e.Row] < 0 {
		return d.Damaged(fmt.Sprintf("there is no function %d", e.Row))
	}
	e.Width = d.table.Widths[e.Row]
	for i := range e.Width {
		if e.Args[i], err = d.uvarint(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Reader) finish(e *Event) error {
	outcome, err := d.frames.ReadByte()
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
	e.Ending = Ending{Outcome: outcome, Trap: uint8(kind), Signal: uint8(signal), ExitCode: uint32(code), Thread: uint32(thread), Budget: budget}
	if err := d.numbers(&e.Entries, &e.Fuel); err != nil {
		return err
	}
	e.Ending.Text, err = d.text()
	return err
}

// output reads what the guest printed. It is handed on when the next event is taken, unless there
// is too much of it.
func (d *Reader) output() error {
	stream, err := d.frames.ReadByte()
	if err != nil {
		return d.damage(err)
	}
	n, err := d.uvarint()
	if err != nil {
		return err
	}
	if stream > 1 || n > maxOutput {
		return d.Damaged("there is output of no stream, or too much at once")
	}
	p := make([]byte, n)
	if err := d.Bytes(p); err != nil {
		return err
	}
	d.printed = append(d.printed, printed{int(stream), p})
	if d.pending += int(n) + 64; d.pending > 16*maxOutput {
		return d.print()
	}
	return nil
}

// numbers reads numbers in order.
func (d *Reader) numbers(to ...*uint64) error {
	for _, v := range to {
		n, err := d.uvarint()
		if err != nil {
			return err
		}
		*v = n
	}
	return nil
}

func (d *Reader) uvarint() (uint64, error) {
	v, err := binary.ReadUvarint(&d.frames)
	if err != nil {
		return 0, d.damage(err)
	}
	return v, nil
}

func (d *Reader) text() (string, error) {
	n, err := d.uvarint()
	if err != nil {
		return "", err
	}
	if n > maxText {
		return "", d.Damaged("a name is too long")
	}
	b := make([]byte, n)
	return string(b), d.Bytes(b)
}

// Bytes reads all of b.
func (d *Reader) Bytes(b []byte) error {
	for len(b) > 0 {
		w, err := d.Window(len(b))
		if err != nil {
			return err
		}
		b = b[copy(b, w):]
	}
	return nil
}

// Window returns some of the next n bytes, at least one, or an error. They are good until the next
// call.
func (d *Reader) Window(n int) ([]byte, error) {
	b, err := d.frames.window(min(n, frameSize))
	if err != nil {
		return nil, d.damage(err)
	}
	return b, nil
}

// numbersOf reads numbers, of which there are as many as the first says, and appends them to to.
func (d *Reader) numbersOf(to []uint64) ([]uint64, error) {
	n, err := d.uvarint()
	if err != nil {
		return to, err
	}
	if n > maxValues {
		return to, d.Damaged("there are too many values")
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
func (d *Reader) function() error {
	module, err := d.text()
	if err != nil {
		return err
	}
	name, err := d.text()
	if err != nil {
		return err
	}
	if d.named += len(module) + len(name) + 32; len(d.functions) == maxNamed || d.named > 16*maxText {
		return d.Damaged("there are too many functions")
	}
	d.functions = append(d.functions, module+"."+name)
	return nil
}

// hosted reads the beginning of a call of one.
func (d *Reader) hosted(e *Event) error {
	id, err := d.uvarint()
	if err != nil {
		return err
	}
	if id >= uint64(len(d.functions)) {
		return d.Damaged("a function is called that was not named")
	}
	e.Name = d.functions[id]
	e.Values, err = d.numbersOf(e.Values)
	return err
}

// Range reads a range.
func (d *Reader) Range() (memory.Range, error) {
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

// Answer reads what follows the beginning of a call, up to the ranges that it wrote.
func (d *Reader) Answer(row int) (a Answer, err error) {
	n, err := d.uvarint()
	if err != nil {
		return a, err
	}
	if n > maxRanges {
		return a, d.Damaged("a call has read too many ranges")
	}
	d.ranges = d.ranges[:0]
	for range n {
		r, err := d.Range()
		if err != nil {
			return a, err
		}
		d.ranges = append(d.ranges, r)
	}
	a.Reads = d.ranges
	if n > 0 {
		var b [4]byte
		if err := d.Bytes(b[:]); err != nil {
			return a, err
		}
		a.Sum = binary.LittleEndian.Uint32(b[:])
	}
	if row == HostedRow {
		d.values, err = d.numbersOf(d.values[:0])
		a.Values = d.values
	} else {
		var result uint64
		result, err = d.uvarint()
		a.Result = uint32(result)
	}
	if err != nil {
		return a, err
	}
	if row == d.table.Spawn {
		spawned, err := d.uvarint()
		if err != nil {
			return a, err
		}
		a.Spawned = uint32(spawned)
	}
	if a.Following, err = d.uvarint(); err == nil && a.Following > maxRanges {
		err = d.Damaged("a call has written too many ranges")
	}
	return a, err
}
