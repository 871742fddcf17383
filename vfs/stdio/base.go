package stdio

import (
	"errors"
	"os"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

var errBadCount = errors.New("stdio: reader or writer returned an impossible count")

// base is what an Input and an Output have in common: who waits, and whether it is for a terminal.
type base struct {
	own   poll.Queue
	queue *poll.Queue
	tty   bool
}

func (b *base) init(v any, c config) {
	b.queue = &b.own
	if c.queue != nil {
		b.queue = c.queue
	}
	if f, ok := v.(*os.File); ok {
		b.tty = isTerminal(f)
	}
}

// Subscribe has w woken when the stream may have become ready.
func (b *base) Subscribe(w *poll.Waiter) { b.queue.Subscribe(w) }

// Unsubscribe undoes Subscribe.
func (b *base) Unsubscribe(w *poll.Waiter) { b.queue.Unsubscribe(w) }

// Type returns the type of a character device if the stream is a terminal, otherwise the unknown
// type.
func (b *base) Type() wasip1.Filetype { return filetype(b.tty) }

// refused is the state of a stream in a direction in which it is not open.
func refused(want poll.Events) poll.State {
	if want == 0 {
		return poll.State{}
	}
	return poll.State{Ready: want, Err: wasip1.EBADF}
}
