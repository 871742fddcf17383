package netmem

import (
	"slices"
	"time"

	"github.com/wasivirt/wasivirt/clock"
)

// Link is what lies between two sites. The zero value delivers at once.
type Link struct {
	// Latency is the time from one end to the other.
	Latency time.Duration
	// Bandwidth is in bytes a second, in each direction, for all connections together; 0 is without
	// limit.
	Bandwidth int64
	// Buffer is how many bytes of a connection may be on their way or unread, in each
	// direction; 0 stands for 64 KiB. Before the connection was accepted it is 4 KiB at most.
	Buffer int
	// Jitter is the longest delay added to Latency, drawn for each packet. Packets of one
	// connection stay in order. Packets of other connections, and datagrams, may overtake them.
	Jitter time.Duration
	// Loss is the probability, below 1, that a packet of a connection is lost and sent again: 200
	// ms later, then 400 ms after that, and so on, up to 8 times. Connections carry bytes in order,
	// so that a guest sees loss as delay. A datagram that is lost is not sent again.
	Loss float64
}

// retransmission is when a lost packet is sent again; each further loss doubles it.
const (
	retransmission     = int64(200 * time.Millisecond)
	mostRetransmission = 8
)

// uneven reports whether packets take different times.
func (l *Link) uneven() bool { return l.Jitter > 0 || l.Loss > 0 }

// extraLocked draws what a packet takes besides the latency. Datagrams are not sent again.
func (n *Network) extraLocked(l *Link, datagram bool) (extra int64) {
	if l.Jitter > 0 {
		extra = int64(n.rng.Uint64N(uint64(l.Jitter) + 1))
	}
	if datagram {
		return extra
	}
	for i := range mostRetransmission {
		if l.Loss <= 0 || n.rng.Float64() >= l.Loss {
			break
		}
		extra += retransmission << i
	}
	return extra
}

// route is a direction.
type route struct{ from, to string }

// wire is one direction of the link between two sites, with what is on it. All is guarded by the
// network's lock.
type wire struct {
	network *Network
	link    Link
	free    int64     // when all that has been sent has left
	packets []*packet // on their way, in order
	down    bool
	due     func() // deliverDue, made once
}

// packet is what arrives at once: a datagram for socket, or a part of conn.
type packet struct {
	wire *wire

	socket   *DatagramSocket
	datagram datagram

	conn   *connection
	kind   packetKind
	to     int // the end of conn
	n      int // bytes
	at     int64
	reply  int64 // when the answer to a connect arrives, else 0
	timers []clock.Timer
	gone   bool // delivered, or waiting for a partition's end: needs no timer
}

type packetKind uint8

const (
	packetData packetKind = iota
	packetConnect
	packetAccept
	packetEnd   // of a direction
	packetClose // of both
)

// segment is what a write is cut into where sending takes time.
const segment = 4096

func (n *Network) wireLocked(r route) *wire {
	w := n.wires[r]
	if w == nil {
		w = &wire{network: n, link: n.link}
		w.due = w.deliverDue
		n.wires[r] = w
	}
	return w
}

// send puts a packet on the wire, or delivers it where that takes no time.
func (w *wire) send(c *connection, to int, kind packetKind, n int) {
	if w.link.Bandwidth > 0 {
		for n > segment {
			w.put(&packet{wire: w, conn: c, kind: kind, to: to, n: segment})
			n -= segment
		}
	}
	now := w.network.clock.Monotonic()
	if w.immediate() {
		c.arriveLocked(to, kind, n)
		return
	}
	if last := len(w.packets) - 1; kind == packetData && last >= 0 && w.link.Bandwidth <= 0 {
		p := w.packets[last]
		if p.conn == c && p.to == to && p.kind == kind && (w.down || p.at == now+int64(w.link.Latency)) {
			p.n += n
			return
		}
	}
	w.put(&packet{wire: w, conn: c, kind: kind, to: to, n: n})
}

// immediate reports whether what is sent now arrives at once.
func (w *wire) immediate() bool {
	return len(w.packets) == 0 && !w.down && w.link.Latency <= 0 && w.link.Bandwidth <= 0 && !w.link.uneven()
}

func (w *wire) put(p *packet) {
	if p.conn != nil {
		p.conn.flows[p.to].packets++
	}
	w.packets = append(w.packets, p)
	w.schedule(p)
}

// schedule sets when p, the last of the packets, arrives: after what was sent before it. Where
// packets take different times, that is what its connection sent, and p moves to its place in the
// order.
func (w *wire) schedule(p *packet) {
	if w.down {
		p.gone = true
		return
	}
	leave := max(w.network.clock.Monotonic(), w.free)
	if w.link.Bandwidth > 0 {
		leave += int64(p.n) * int64(time.Second) / w.link.Bandwidth
	}
	w.free = leave
	p.at = leave + int64(w.link.Latency)
	last := len(w.packets) - 1 // p
	if w.link.uneven() {
		p.at += w.network.extraLocked(&w.link, p.socket != nil)
		if p.conn != nil {
			p.at = max(p.at, p.conn.flows[p.to].last)
		}
		i, _ := slices.BinarySearchFunc(w.packets[:last], p.at, func(q *packet, at int64) int {
			if q.at <= at {
				return -1
			}
			return 1
		})
		w.packets = slices.Insert(w.packets[:last], i, p)
	} else if last > 0 {
		p.at = max(p.at, w.packets[last-1].at)
	}
	if p.conn != nil {
		p.conn.flows[p.to].last = p.at
	}
	if p.kind == packetConnect {
		back := w.network.wireLocked(route{p.conn.ends[1].local.Site(), p.conn.ends[0].local.Site()})
		p.reply = p.at + int64(back.link.Latency)
	}
	p.gone = false
	w.network.arm = append(w.network.arm, p)
}

// deliverDue is called by the clock: it sets no timers.
func (w *wire) deliverDue() {
	n := w.network
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.clock.Monotonic()
	for len(w.packets) > 0 && !w.down && w.packets[0].at <= now {
		p := w.packets[0]
		w.packets[0] = nil
		w.packets = w.packets[1:] // before it arrives: that may take others off the wire
		p.gone = true
		if p.socket != nil {
			p.socket.arriveLocked(p.datagram)
			continue
		}
		p.conn.flows[p.to].packets--
		p.conn.arriveLocked(p.to, p.kind, p.n)
		if f := &p.conn.flows[p.to]; f.packets == f.mostPackets()-1 {
			p.conn.ends[1-p.to].Wake()
		}
	}
}

// forget takes packets off the wire.
func (w *wire) forget(which func(*packet) bool) {
	w.packets = slices.DeleteFunc(w.packets, func(p *packet) bool {
		if !which(p) {
			return false
		}
		p.gone = true
		stop(p.timers)
		p.timers = nil
		return true
	})
}

// cut stops everything on the wire where it is, and loses datagrams.
func (w *wire) cut() {
	w.down = true
	w.forget(func(p *packet) bool {
		if p.socket != nil {
			p.socket.held -= p.datagram.cost()
		}
		return p.socket != nil
	})
	for _, p := range w.packets {
		p.gone = true
		stop(p.timers)
		p.timers = nil
	}
}

// heal sends everything again.
func (w *wire) heal() {
	if !w.down {
		return
	}
	w.down = false
	w.free = 0
	packets := w.packets
	w.packets = nil
	for _, p := range packets {
		f := &p.conn.flows[p.to]
		f.packets, f.last = 0, 0
		p.conn.ends[1-p.to].Wake() // there may be fewer packets now
	}
	for _, p := range packets {
		if p.conn.phase == broken {
			continue
		}
		again := *p // a timer of the old one that is about to be set is stopped
		if again.kind == packetData {
			w.send(p.conn, p.to, p.kind, p.n)
		} else {
			w.put(&again)
		}
	}
}
