package netmem

import (
	"io"
	"slices"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// connection is two sockets and what lies between them. All is guarded by the network's lock.
type connection struct {
	network *Network
	serial  uint64
	phase   phase
	ends    [2]*Socket // 0 connected, 1 was connected to
	flows   [2]flow    // towards the end of that number
}

type phase uint8

const (
	fresh       phase = iota // not begun
	calling                  // on its way to the listener
	inLine                   // arrived, but the backlog is full
	queued                   // in the backlog, or accepted; the other end does not know yet
	established              // both know
	broken                   // neither end can do more than close
)

// flow is one direction.
type flow struct {
	ring    pipe.Ring // arrived and on its way, in this order
	arrived int
	packets int   // on their way
	last    int64 // when the last one that was sent arrives
	ended   bool  // no more is sent
	end     bool  // the end has arrived
	dead    bool  // nobody will read: bytes vanish on arrival
	refused bool  // and the sender knows
}

// Socket is one end of a connection: a [vfs.Socket].
type Socket struct {
	poll.Queue
	conn   *connection
	side   int
	local  Addr
	closed bool
	err    error // why the connection is broken
}

// newLocked makes a connection that has not begun.
func (n *Network) newLocked(local, remote Addr) *connection {
	n.serial++
	c := &connection{network: n, serial: n.serial}
	c.ends[0] = &Socket{conn: c, side: 0, local: local}
	c.ends[1] = &Socket{conn: c, side: 1, local: remote}
	for i := range c.flows {
		c.flows[i].ring = pipe.NewRing(c.bufferTo(i))
	}
	c.flows[1].ring.SetLimit(min(c.bufferTo(1), beforeAccept))
	n.conns[c] = struct{}{}
	return c
}

// beforeAccept is how many bytes of a connection that nobody has accepted may be on their way or
// unread: who has closed the other end pays for none of it with a descriptor, and a listener may
// have many of them in its backlog.
const beforeAccept = segment

// bufferTo returns the room towards an end.
func (c *connection) bufferTo(side int) int {
	if size := c.wireTo(side).link.Buffer; size > 0 {
		return size
	}
	return pipe.DefaultCapacity
}

// acceptedLocked gives the connection, which leaves the backlog, all of its room.
func (c *connection) acceptedLocked() {
	c.flows[1].ring.SetLimit(c.bufferTo(1))
	c.ends[0].Wake()
}

func (c *connection) wireTo(side int) *wire {
	return c.network.wireLocked(route{c.ends[1-side].local.Site(), c.ends[side].local.Site()})
}

// beginLocked calls the listener. That nobody listens is known at once, also from afar.
func (c *connection) beginLocked() {
	if c.network.listeners[string(c.ends[1].local)] == nil {
		c.breakLocked(wasip1.ECONNREFUSED)
		return
	}
	c.phase = calling
	c.wireTo(1).send(c, 1, packetConnect, 0)
}

// arriveLocked is called when a packet has reached the end to.
func (c *connection) arriveLocked(to int, kind packetKind, n int) {
	f, s := &c.flows[to], c.ends[to]
	if c.phase == broken {
		return
	}
	switch kind {
	case packetData:
		if !f.dead {
			f.arrived += n
		}
	case packetEnd:
		f.end = true
	case packetClose:
		f.end = true
		c.flows[1-to].refused = true
	case packetConnect:
		c.callLocked()
		return
	case packetAccept:
		c.phase = established
	}
	s.Wake()
}

// callLocked is called when a connection has reached its listener.
func (c *connection) callLocked() {
	l := c.network.listeners[string(c.ends[1].local)]
	switch {
	case l == nil, c.network.refuse && len(l.queue) >= l.backlog:
		c.breakLocked(wasip1.ECONNREFUSED)
	case len(l.queue) >= l.backlog:
		c.phase = inLine
		l.line = append(l.line, c)
	default:
		c.phase = queued
		l.queue = append(l.queue, c)
		l.Wake()
		if c.wireTo(0).link.Latency <= 0 && !c.wireTo(0).down {
			c.phase = established
			c.ends[0].Wake()
		}
	}
}

// answered is called by the clock when the answer of the listener is there, if it gave one at once.
func (c *connection) answered() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.phase == queued && !c.wireTo(0).down {
		c.phase = established
		c.ends[0].Wake()
	}
}

// retryLocked sends the answer again that a partition kept back.
func (c *connection) retryLocked() {
	if c.phase == queued {
		c.wireTo(0).send(c, 0, packetAccept, 0)
	}
}

// breakLocked ends both directions with an error. Nothing of the connection stays on its way or
// with its listener, because a guest may begin and close any number of connections while nothing
// arrives.
func (c *connection) breakLocked(err error) {
	if l := c.network.listeners[string(c.ends[1].local)]; l != nil && c.phase == inLine {
		l.line = slices.DeleteFunc(l.line, func(other *connection) bool { return other == c })
	}
	c.phase = broken
	for i := range c.ends {
		c.wireTo(i).forget(func(p *packet) bool { return p.conn == c })
	}
	delete(c.network.conns, c)
	for i, s := range c.ends {
		c.flows[i].ring.Drop()
		c.flows[i].arrived = 0
		if s.err == nil {
			s.err = err
		}
		s.Wake()
	}
}

// LocalAddr returns the socket's own address.
func (s *Socket) LocalAddr() Addr { return s.local }

// RemoteAddr returns the address of the other end.
func (s *Socket) RemoteAddr() Addr { return s.conn.ends[1-s.side].local }

// Peer returns the address of the other end as text. Package virt/ps shows it.
func (s *Socket) Peer() string { return s.RemoteAddr().String() }

// Read reads what has arrived. Errors: EAGAIN; io.EOF; ECONNRESET; ECONNREFUSED; EBADF after Close.
func (s *Socket) Read(p []byte) (int, error) { return s.Recv(p, false) }

// Recv reads like Read. With peek, the bytes stay and are read again.
func (s *Socket) Recv(p []byte, peek bool) (int, error) {
	n := s.conn.network
	n.enter()
	defer n.leave()
	f := &s.conn.flows[s.side]
	switch {
	case s.closed:
		return 0, wasip1.EBADF
	case len(p) == 0:
		return 0, nil
	case f.arrived > 0:
		p = p[:min(len(p), f.arrived)]
		if peek {
			return f.ring.Peek(p), nil
		}
		full := !f.roomy()
		k := f.ring.Read(p)
		f.arrived -= k
		if full && f.roomy() {
			s.conn.ends[1-s.side].Wake()
		}
		return k, nil
	case s.err != nil:
		return 0, s.err
	case f.end, f.dead:
		return 0, io.EOF
	}
	return 0, wasip1.EAGAIN
}

// room is how many bytes must fit before a socket is ready for writing, so that a slow reader is
// not answered byte by byte.
const room = 1024

// packetCost is what a packet on its way takes besides its bytes, its timer included.
const packetCost = 256

// mostPackets is how many packets may be on their way: they take no more than the bytes may. Where
// packets are not put together, each may hold one byte.
func (f *flow) mostPackets() int {
	return max((f.ring.Free()+f.ring.Len())/packetCost, 1)
}

// roomy reports whether the flow takes a write worth its while.
func (f *flow) roomy() bool {
	free := f.ring.Free()
	return free >= min(room, free+f.ring.Len()) && f.packets < f.mostPackets()
}

// Write sends what fits. Errors: EAGAIN; EPIPE after the other end has closed or this one has shut
// down; ECONNRESET; ECONNREFUSED; EBADF after Close.
func (s *Socket) Write(p []byte) (int, error) {
	n := s.conn.network
	n.enter()
	defer n.leave()
	to := 1 - s.side
	f := &s.conn.flows[to]
	switch {
	case s.closed:
		return 0, wasip1.EBADF
	case s.err != nil:
		return 0, s.err
	case f.ended, f.refused:
		return 0, wasip1.EPIPE
	case len(p) == 0:
		return 0, nil
	case !s.connectedLocked():
		return 0, wasip1.EAGAIN
	case f.dead:
		return len(p), nil // as far as this end can know
	}
	if f.packets >= f.mostPackets() {
		return 0, wasip1.EAGAIN
	}
	k := f.ring.Write(p)
	if k == 0 {
		return 0, wasip1.EAGAIN
	}
	s.conn.wireTo(to).send(s.conn, to, packetData, k)
	return k, nil
}

// connectedLocked reports whether this end knows that the connection stands. The one that was
// accepted does from the start.
func (s *Socket) connectedLocked() bool {
	return s.conn.phase == established || s.side == 1 && s.conn.phase == queued
}

// connected answers EAGAIN while the connection is being made, then nil or why it could not be.
func (s *Socket) connected() error {
	n := s.conn.network
	n.enter()
	defer n.leave()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.err != nil:
		return s.err
	case s.conn.phase == fresh:
		s.conn.beginLocked()
	}
	if s.err != nil {
		return s.err
	}
	if !s.connectedLocked() {
		return wasip1.EAGAIN
	}
	return nil
}

// Poll implements [poll.Pollable]. A socket is ready for nothing until it is connected.
func (s *Socket) Poll(want poll.Events) poll.State {
	s.conn.network.mu.Lock()
	defer s.conn.network.mu.Unlock()
	if s.closed {
		return poll.State{Ready: want, Err: wasip1.EBADF}
	}
	in, out := &s.conn.flows[s.side], &s.conn.flows[1-s.side]
	st := poll.State{Hangup: in.end || s.err != nil}
	if s.err != nil && in.arrived == 0 {
		st.Ready, st.Err = want, s.err
		return st
	}
	if want&poll.Readable != 0 {
		st.Bytes = uint64(in.arrived)
		if in.arrived > 0 || in.end || in.dead {
			st.Ready |= poll.Readable
		}
	}
	if want&poll.Writable != 0 {
		broken := s.err != nil || out.ended || out.refused
		if broken || s.connectedLocked() && (out.dead || out.roomy()) {
			st.Ready |= poll.Writable
			if want == poll.Writable {
				st.Bytes = uint64(out.ring.Free())
				if broken {
					st.Bytes, st.Err = 0, wasip1.EPIPE
				}
			}
		}
	}
	return st
}

// Shutdown ends one or both directions. Errors: ENOTCONN; EBADF after Close.
func (s *Socket) Shutdown(how wasip1.Sdflags) error {
	n := s.conn.network
	n.enter()
	defer n.leave()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.err != nil, !s.connectedLocked():
		return wasip1.ENOTCONN
	}
	if how&wasip1.ShutRd != 0 {
		s.deafenLocked()
	}
	if how&wasip1.ShutWr != 0 {
		s.endLocked(packetEnd)
	}
	s.Wake()
	return nil
}

// deafenLocked makes what arrives vanish.
func (s *Socket) deafenLocked() {
	f := &s.conn.flows[s.side]
	f.dead = true
	f.arrived = 0
	f.ring.Drop()
	s.conn.ends[1-s.side].Wake()
}

func (s *Socket) endLocked(kind packetKind) {
	f := &s.conn.flows[1-s.side]
	if f.ended && kind == packetEnd {
		return
	}
	f.ended = true
	s.conn.wireTo(1-s.side).send(s.conn, 1-s.side, kind, 0)
}

// Close closes this end. What was written still arrives. A second Close does nothing.
func (s *Socket) Close() error {
	n := s.conn.network
	n.enter()
	defer n.leave()
	if s.closed {
		return nil
	}
	s.closed = true
	c := s.conn
	switch {
	case c.phase == broken:
	case !s.connectedLocked():
		c.breakLocked(wasip1.ECONNRESET)
	default:
		s.deafenLocked()
		s.endLocked(packetClose)
		if c.ends[1-s.side].closed {
			delete(n.conns, c)
		}
	}
	s.Wake()
	return nil
}
