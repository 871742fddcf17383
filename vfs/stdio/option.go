package stdio

import (
	"io"

	"github.com/wasivirt/wasivirt/poll"
)

// DefaultBuffer is the default size, in bytes, of the buffer between a guest and a reader or writer
// that may wait.
const DefaultBuffer = 64 << 10

// pipeBuf is the size up to which a write is taken whole or not at all (POSIX: PIPE_BUF).
const pipeBuf = 4096

// Option changes how a reader or writer becomes a stream.
type Option func(*config)

type config struct {
	direct bool
	pumped bool
	owned  bool
	closer func() error
	size   int
	group  *Group
	queue  *poll.Queue
	around func(func())
}

func newConfig(opts []Option) config {
	c := config{size: DefaultBuffer}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// WithDirect says that the reader or writer does not wait for others, only for the machine. The
// guest's own thread calls it then. If it waits nevertheless, the guest cannot be canceled
// meanwhile.
func WithDirect() Option { return func(c *config) { c.direct = true } }

// WithPump makes a goroutine do all reading or writing, even if the value allows another way.
func WithPump() Option { return func(c *config) { c.pumped = true } }

// WithOwnership makes Close of the stream close the reader or writer too, if it is an io.Closer. An
// output closes it after its buffer has been written.
func WithOwnership() Option { return func(c *config) { c.owned = true } }

// WithCloseFunc makes Close of the stream call f. An output calls it after its buffer has been
// written.
func WithCloseFunc(f func() error) Option { return func(c *config) { c.closer = f } }

// WithBuffer sets the size of the stream's buffer in bytes, at least 4096. The default is
// [DefaultBuffer].
func WithBuffer(size int) Option {
	return func(c *config) { c.size = max(size, pipeBuf) }
}

// WithGroup keeps the order of writes over all outputs of a group.
func WithGroup(g *Group) Option { return func(c *config) { c.group = g } }

// WithWakeQueue makes the stream wake the waiters in q. Use it to build one Pollable of an input
// and an output, such as a connection. The stream's own Subscribe uses q as well.
func WithWakeQueue(q *poll.Queue) Option { return func(c *config) { c.queue = q } }

// WithAround makes each goroutine of the stream call around with its work, which around calls once.
// It tells which goroutines there are.
func WithAround(around func(work func())) Option { return func(c *config) { c.around = around } }

// closerOf returns what closing a stream of v is to call, nil for nothing.
func (c *config) closerOf(v any) func() error {
	if vc, ok := v.(io.Closer); ok && c.owned {
		return vc.Close
	}
	return c.closer
}

// call calls f if there is one.
func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// lener is implemented by the in-memory readers of the standard library.
type lener interface{ Len() int }

// waitless reports whether a Write to w is known to end without waiting for anybody.
func waitless(w io.Writer) bool {
	d, ok := w.(interface{ waitless() bool })
	return ok && d.waitless()
}
