package stdio

import (
	"io"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// direct is what a directSource and a directSink have in common.
type direct struct {
	mu     *sync.Mutex // of an output's group, so that two can have one writer
	closer func() error
	closed bool
}

func (d *direct) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return call(d.closer)
}

// directSource calls a reader that does not wait.
type directSource struct {
	direct
	r   io.Reader
	err error // came together with bytes
}

func (d *directSource) recv(p []byte, peek bool) (int, error) {
	if peek {
		return 0, wasip1.ENOTSUP
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, wasip1.EBADF
	}
	if err := d.err; err != nil {
		d.err = nil
		return 0, err
	}
	n, err := d.r.Read(p)
	switch {
	case n < 0 || n > len(p):
		return 0, errBadCount
	case n > 0:
		d.err = err
		return n, nil
	case err == nil:
		return 0, io.ErrNoProgress
	}
	return 0, err
}

func (d *directSource) state() poll.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := poll.State{Ready: poll.Readable}
	switch l, ok := d.r.(lener); {
	case d.closed:
		s.Err = wasip1.EBADF
	case ok:
		s.Bytes = uint64(l.Len())
		s.Hangup = s.Bytes == 0
	}
	return s
}

func (d *directSource) buffered() []byte { return nil }

// directSink calls a writer that does not wait.
type directSink struct {
	direct
	w io.Writer
}

func (d *directSink) send(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, wasip1.EBADF
	}
	n, err := d.w.Write(p)
	switch {
	case n < 0 || n > len(p):
		return 0, errBadCount
	case n > 0:
		return n, nil
	case err == nil && len(p) > 0:
		// A caller that tries again would never end.
		return 0, io.ErrShortWrite
	}
	return n, err
}

func (d *directSink) state() poll.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := poll.State{Ready: poll.Writable}
	if d.closed {
		s.Err = wasip1.EBADF
	}
	return s
}

func (d *directSink) pending() int   { return 0 }
func (d *directSink) drop()          {}
func (d *directSink) takeErr() error { return nil }
