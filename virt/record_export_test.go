package virt

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

// Calls counts the calls in a recording, and the bytes that they wrote into the guest's memory.
func Calls(tape []byte) (calls, written int, err error) {
	l, err := newLineReader(bytes.NewReader(tape))
	for err == nil {
		var e *recording.Event
		if e, err = l.Peek(); err == nil && e.Op != recording.End && e.Call() {
			calls++
		}
		var line string
		if line, err = l.next(); err == nil {
			for _, part := range strings.Split(line, ", wrote ")[1:] {
				n, _, _ := strings.Cut(part, " ")
				bytes, _ := strconv.Atoi(n)
				written += bytes
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return calls, written, err
}

// Events are those of a recording, without its header and frames.
func Events(b []byte) []byte { return recording.Unframed(b) }

// Framed makes a recording with the header of another and events as its events, with checksums that are right.
func Framed(events, of []byte) []byte { return recording.Framed(events, of) }
