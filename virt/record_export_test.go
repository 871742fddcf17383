package virt

import (
	"bytes"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

// Calls counts the calls in a recording, and the bytes that they wrote into the guest's memory.
func Calls(tape []byte) (calls, written int, err error) {
	r, _, err := recording.NewReader(bytes.NewReader(tape), recordingTable)
	var thread uint32
	open := map[uint32][]int{} // rows of the calls under way, by thread
	answered := func(row int) error {
		a, err := r.Answer(row)
		if err != nil {
			return err
		}
		for range a.Following {
			at, err := r.Range()
			if err != nil {
				return err
			}
			for n := at.Len; n > 0; {
				b, err := r.Window(int(min(n, 64<<10)))
				if err != nil {
					return err
				}
				n -= uint32(len(b))
			}
			written += int(at.Len)
		}
		return nil
	}
	for err == nil {
		var e *recording.Event
		if e, err = r.Peek(); err != nil {
			break
		}
		op, row, to, length := e.Op, e.Row, e.To, e.At.Len
		if op != recording.End && e.Call() {
			calls++
		}
		began := e.Call() && op >= recording.Begin
		call := e.Call()
		r.Take()
		switch {
		case op == recording.Finish:
			return calls, written, r.AtEnd()
		case began:
			open[thread] = append(open[thread], row)
		case op == recording.Hosted:
			open[thread] = append(open[thread], recording.HostedRow)
		case op == recording.End:
			rows := open[thread]
			open[thread] = rows[:len(rows)-1]
			err = answered(rows[len(rows)-1])
		case call:
			err = answered(row)
		case op == recording.Switch:
			thread = to
		case op == recording.Wrote:
			for n := length; n > 0 && err == nil; {
				var b []byte
				b, err = r.Window(int(min(n, 64<<10)))
				n -= uint32(len(b))
			}
		}
	}
	return calls, written, err
}

// Events are those of a recording, without its header and frames.
func Events(b []byte) []byte { return recording.Unframed(b) }

// Framed makes a recording with the header of another and events as its events, with checksums that
// are right.
func Framed(events, of []byte) []byte { return recording.Framed(events, of) }

// FramedBy is Framed with frames of at most size bytes.
func FramedBy(events, of []byte, size int) []byte { return recording.FramedBy(events, of, size) }

// What tests of this package and of the packages beside it use alike.
var (
	HostileModules = hostileModules
	Command        = command
	WithLocals     = withLocals
	Increments     = increments
	UnsafeText     = unsafeText
)

const DefaultDiskBytes = defaultDiskBytes

// UntrustedTakes reports whether the limits of [Untrusted] let a module in.
func UntrustedTakes(wasm []byte) bool {
	_, err := readModule(wasm, untrustedModuleLimits())
	return err == nil
}
