package virt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Events are those of a recording, without its header and frames.
func Events(recording []byte) []byte {
	f := frameReader{r: bytes.NewReader(recording)}
	if _, err := f.header(); err != nil {
		return nil
	}
	var events []byte
	for {
		b, err := f.window(frameSize)
		if err != nil {
			return events
		}
		events = append(events, b...)
	}
}

// Calls counts the calls in a recording, and the bytes that they wrote into the guest's memory.
func Calls(recording []byte) (calls, written int, err error) {
	l, err := newLineReader(bytes.NewReader(recording))
	for err == nil {
		var e *event
		if e, err = l.peek(); err == nil && e.op != opEnd && e.call() {
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

// Framed makes a recording with the header of another and events as its events, with checksums that are right.
func Framed(events, of []byte) []byte {
	at := len(recordingMagic) + 1
	n := at + 8 + int(binary.LittleEndian.Uint32(of[at:]))
	var out bytes.Buffer
	out.Write(of[:n])
	f := newFrameWriter(&out, func() int64 { return 0 })
	f.write(events)
	// A bytes.Buffer answers no error.
	_ = f.close()
	return out.Bytes()
}
