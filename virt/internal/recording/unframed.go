package recording

import "bytes"

// Unframed returns the events of a recording without its header and frames, as far as they are
// good.
func Unframed(b []byte) []byte {
	f := frameReader{r: bytes.NewReader(b)}
	if _, err := f.header(); err != nil {
		return nil
	}
	var events []byte
	for {
		w, err := f.window(frameSize)
		if err != nil {
			return events
		}
		events = append(events, w...)
	}
}

// Framed returns a recording with the header of another and events as its events, with checksums
// that are right. Tests make damaged recordings with it.
func Framed(events, of []byte) []byte { return FramedBy(events, of, frameSize) }

// FramedBy is Framed with frames of at most size bytes, as those of a slow run are.
func FramedBy(events, of []byte, size int) []byte {
	var out bytes.Buffer
	f := newFrameWriter(&out, func() int64 { return 0 })
	f.buf = make([]byte, frameHead, frameHead+size)
	in := frameReader{r: bytes.NewReader(of)}
	h, err := in.header()
	if err != nil {
		return nil
	}
	f.header(h.encode())
	f.write(events)
	// A bytes.Buffer answers no error.
	_ = f.close()
	return out.Bytes()
}
