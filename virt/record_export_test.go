package virt

import (
	"bytes"
	"encoding/binary"
)

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
