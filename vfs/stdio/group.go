package stdio

import (
	"io"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Group keeps the order of what is written to several outputs (see [WithGroup]). If its outputs
// need a goroutine, they share one and its buffer. If one writer waits, the others of the group
// wait too. The zero value is ready to use.
type Group struct {
	direct sync.Mutex // held while a writer is called directly
	limit  int        // bytes to take ahead; 0 is DefaultBuffer

	mu      sync.Mutex
	next    batch  // what has been taken since the goroutine last looked
	work    batch  // what the goroutine writes
	at      int    // how many writes of work have been begun
	rest    []byte // the data of the others
	used    int    // bytes in both
	running bool
	waiting []*pumpSink // those that were told there is no room
}

// batch is a row of writes, of which each is handed on as it came.
type batch struct {
	data   []byte
	writes []write
}

type write struct {
	to *pumpSink
	n  int
}

func (b *batch) add(to *pumpSink, p []byte) {
	b.data = append(b.data, p...)
	b.writes = append(b.writes, write{to, len(p)})
}

func (b *batch) reset() {
	clear(b.writes)
	b.data, b.writes = b.data[:0], b.writes[:0]
}

func (g *Group) roomLocked() int {
	limit := g.limit
	if limit == 0 {
		limit = DefaultBuffer
	}
	return limit - g.used
}

// run writes until there is nothing left.
func (g *Group) run() {
	for g.step() {
	}
}

// step makes one write, and reports whether more may follow. A writer that ends its goroutine has
// failed; another goroutine goes on with the rest.
func (g *Group) step() (more bool) {
	g.mu.Lock()
	if len(g.work.writes) == g.at {
		g.work.reset()
		g.at, g.rest = 0, nil
		if len(g.next.writes) == 0 {
			g.running = false
			g.mu.Unlock()
			return false
		}
		g.next, g.work = g.work, g.next
		g.rest = g.work.data
	}
	w := g.work.writes[g.at]
	p := g.rest[:w.n:w.n]
	g.rest = g.rest[w.n:]
	g.at++
	lost := w.to.err != nil || w.to.dropped
	g.mu.Unlock()

	err := error(&GoexitError{})
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !lost && err != nil && w.to.err == nil {
			w.to.err = err
		}
		g.doneLocked(w)
		if !more {
			w.to.start()
		}
	}()
	if !lost {
		n := 0
		n, err = guard(w.to.write, p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
	}
	return true
}

// doneLocked gives back the room of a write, and wakes who waits for that.
func (g *Group) doneLocked(w write) {
	g.used -= w.n
	w.to.left -= w.n
	w.to.count--
	if w.to.count == 0 {
		if w.to.closed {
			w.to.finishLocked()
		}
		w.to.queue.Wake()
	}
	if g.roomLocked() >= pipeBuf {
		for i, s := range g.waiting {
			s.waits = false
			s.queue.Wake()
			g.waiting[i] = nil
		}
		g.waiting = g.waiting[:0]
	}
}

// pumpSink hands writes to its group's goroutine.
type pumpSink struct {
	w      io.Writer
	group  *Group
	queue  *poll.Queue
	closer func() error
	around func(func()) // see WithAround

	// Guarded by the group's lock.
	left    int   // bytes taken and not written
	count   int   // writes taken and not written
	err     error // why bytes were lost, until it was told
	waits   bool  // is in group.waiting
	closed  bool
	dropped bool // nothing is written any more
}

func (s *pumpSink) send(p []byte) (int, error) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.closed || s.dropped {
		return 0, wasip1.EBADF
	}
	// Not told while bytes are left that were taken after the ones that were lost: they must go the
	// same way.
	if s.err != nil && s.count == 0 {
		err := s.err
		s.err = nil
		return 0, passOn(err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	room := g.roomLocked()
	if s.err != nil || room <= 0 || len(p) > room && len(p) <= pipeBuf {
		s.waitLocked()
		return 0, wasip1.EAGAIN
	}
	p = p[:min(len(p), room)]
	g.next.add(s, p)
	g.used += len(p)
	s.left += len(p)
	s.count++
	if !g.running {
		g.running = true
		s.start()
	}
	return len(p), nil
}

// write calls the writer, which may be nil.
func (s *pumpSink) write(p []byte) (int, error) { return s.w.Write(p) }

// start begins the goroutine that writes.
func (s *pumpSink) start() {
	if s.around != nil {
		go s.around(s.group.run)
	} else {
		go s.group.run()
	}
}

func (s *pumpSink) waitLocked() {
	if !s.waits {
		s.waits = true
		s.group.waiting = append(s.group.waiting, s)
	}
}

func (s *pumpSink) state() poll.State {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	switch room := g.roomLocked(); {
	case s.closed || s.dropped:
		return poll.State{Ready: poll.Writable, Err: wasip1.EBADF}
	case s.err != nil && s.count == 0:
		return poll.State{Ready: poll.Writable, Err: s.err, Hangup: true}
	case s.err == nil && room >= pipeBuf:
		return poll.State{Ready: poll.Writable, Bytes: uint64(room)}
	}
	s.waitLocked()
	return poll.State{}
}

func (s *pumpSink) pending() int {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.left
}

// drop makes all that was taken, but the write under way, be lost.
func (s *pumpSink) drop() {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.dropped = true
	s.queue.Wake()
}

func (s *pumpSink) takeErr() error {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

func (s *pumpSink) close() error {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.queue.Wake()
	if s.count == 0 {
		s.finishLocked()
		err := s.err
		s.err = nil
		return err
	}
	return nil
}

// finishLocked closes the writer after the last write, without the lock.
func (s *pumpSink) finishLocked() {
	if s.closer == nil {
		return
	}
	g := s.group
	g.mu.Unlock()
	err := error(&GoexitError{})
	defer func() {
		g.mu.Lock()
		if s.err == nil {
			s.err = err
		}
	}()
	_, err = guard(func([]byte) (int, error) { return 0, s.closer() }, nil)
}
