// Package netmem is a network in memory: names, connections, listeners and datagrams for guests and
// for host code, with latency, bandwidth, partitions and resets on a Host's clock. Nothing of it
// leaves the process.
//
//	n := netmem.New(clock)
//	l, err := n.Listen("server:80", 128) // a vfs.Listener: give it to a guest as a descriptor
//	client := http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
//	client.Get("http://server/")
//
// An address is a site and a port, "server:80". Sites need not be declared. Each end of a
// connection is a [Socket]. Guests get Sockets: they accept them on a [Listener], or have them as
// descriptors that [Dialer.Connect] made. A Socket never waits. Host code uses [Conn] and
// [Listener.Net], which wait. [DatagramSocket] is for datagrams.
//
// A connection behaves as TCP does: bytes in order, half-close, EPIPE after the other end has
// closed, ECONNRESET after a reset. Bytes on their way and bytes not read yet share one bounded
// buffer. If it is full, the writer waits. Before the connection is accepted, the buffer is 4 KiB.
// Connecting takes the time to the other site and back. It succeeds when the connection is in the
// backlog.
//
// # Time
//
// Between two sites there is a [Link]. A partition holds back the bytes of connections. Healing
// sends them again from the beginning, in order, as TCP retransmits. A partition loses datagrams.
//
// If the clock is a clock.Holder, its time can jump when everybody waits. Calls of host code hold
// time: Dial until the connection lies in the backlog and its waiter has been woken, Write until
// the guest can read the bytes and has been woken. Each woken thread then holds time itself. Time
// is not held while bytes are on a link with latency, and not while a call waits for the other end
// to accept or to read. Between two calls of host code time can jump, unless that code calls Hold.
//
// Bytes that arrive at the same time arrive in the order in which they were sent. Ports are given
// out in the order of the requests.
//
// Lock order: Network, [poll.Queue], clock. The Network's lock is not held when a timer is set or a
// Hold is released.
package netmem

import (
	"cmp"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Network is a set of sites that can reach each other.
type Network struct {
	clock  clock.Clock
	holder clock.Holder // nil where the clock is none
	link   Link         // unless set otherwise
	refuse bool
	rng    *rand.Rand // for jitter and loss; under mu

	mu        sync.Mutex
	listeners map[string]*Listener
	datagrams map[string]*DatagramSocket
	wires     map[route]*wire
	conns     map[*connection]struct{}
	serial    uint64
	port      int
	arm       []*packet // those that want a timer when mu is let go
}

// Option changes how [New] makes a network.
type Option func(*Network)

// WithLink sets the link between all sites, unless [Network.SetLink] sets another.
func WithLink(l Link) Option { return func(n *Network) { n.link = l } }

// WithRefusal makes a listener with a full backlog refuse connections. By default they wait, as on
// Linux.
func WithRefusal() Option { return func(n *Network) { n.refuse = true } }

// WithSeed sets the seed that jitter and losses are drawn from. The default is 0.
func WithSeed(seed uint64) Option {
	return func(n *Network) { n.rng = rand.New(rand.NewPCG(seed, 0x6e6574)) }
}

// New makes a network. A nil clock stands for real time.
func New(c clock.Clock, opts ...Option) *Network {
	if c == nil {
		c = clock.Real()
	}
	n := &Network{
		clock:     c,
		listeners: make(map[string]*Listener),
		datagrams: make(map[string]*DatagramSocket),
		wires:     make(map[route]*wire),
		conns:     make(map[*connection]struct{}),
		port:      firstPort,
	}
	n.holder, _ = c.(clock.Holder)
	WithSeed(0)(n)
	for _, o := range opts {
		o(n)
	}
	return n
}

// firstPort is the first that is given to who asks for none (IANA: dynamic ports).
const firstPort = 49152

// enter takes the network's lock, and hold of time.
func (n *Network) enter() {
	if n.holder != nil {
		n.holder.Hold()
	}
	n.mu.Lock()
}

// leave undoes enter and sets the timers that were wanted meanwhile.
func (n *Network) leave() {
	arm := n.arm
	n.arm = nil
	n.mu.Unlock()
	for _, p := range arm {
		timers := []clock.Timer{n.clock.AfterFunc(p.at, p.wire.due)}
		if p.reply != 0 {
			timers = append(timers, n.clock.AfterFunc(p.reply, p.conn.answered))
		}
		n.mu.Lock()
		if p.gone {
			stop(timers)
		} else {
			p.timers = timers
		}
		n.mu.Unlock()
	}
	if n.holder != nil {
		n.holder.Release()
	}
}

func stop(timers []clock.Timer) {
	for _, t := range timers {
		t.Stop()
	}
}

// Addr is an address, "site:port".
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// Site returns the part before the last colon.
func (a Addr) Site() string {
	if i := strings.LastIndexByte(string(a), ':'); i >= 0 {
		return string(a[:i])
	}
	return string(a)
}

// portLocked returns an address of a site with the next port.
func (n *Network) portLocked(site string) Addr {
	a := siteAddr(site, uint16(n.port))
	if n.port++; n.port > math.MaxUint16 {
		n.port = firstPort
	}
	return a
}

// bindLocked returns an address as an address to bind to: with the next port that is not taken
// where it has port 0. Errors: EADDRINUSE.
func bindLocked[T any](n *Network, address string, taken map[string]T) (Addr, error) {
	a := Addr(address)
	tries := 1
	if strings.HasSuffix(address, ":0") {
		tries = math.MaxUint16 + 1 - firstPort
	}
	for range tries {
		if tries > 1 {
			a = n.portLocked(Addr(address).Site())
		}
		if _, ok := taken[string(a)]; !ok {
			return a, nil
		}
	}
	return "", &net.OpError{Op: "listen", Net: a.Network(), Addr: Addr(address), Err: wasip1.EADDRINUSE}
}

// Listen makes a listener. backlog is the number of connections that can wait to be accepted; less
// than 1 is 1. Port 0 stands for the next free port. Errors: EADDRINUSE.
func (n *Network) Listen(address string, backlog int) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := bindLocked(n, address, n.listeners)
	if err != nil {
		return nil, err
	}
	l := &Listener{network: n, addr: a, backlog: max(backlog, 1)}
	n.listeners[string(a)] = l
	return l, nil
}

// LinkOf returns the link from one site to another.
func (n *Network) LinkOf(from, to string) Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wireLocked(route{from, to}).link
}

// SetLink sets the link between two sites, in both directions, for what is sent from now on.
func (n *Network) SetLink(a, b string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wireLocked(route{a, b}).link = l
	n.wireLocked(route{b, a}).link = l
}

// Partition cuts two sites off from each other: nothing arrives, bytes on their way included, until
// [Network.Heal].
func (n *Network) Partition(a, b string) { n.part(route{a, b}, route{b, a}) }

// PartitionOneWay cuts one direction: nothing that from sends arrives at to until
// [Network.HealOneWay]. The other direction works.
func (n *Network) PartitionOneWay(from, to string) { n.part(route{from, to}) }

// Heal ends a partition, in both directions.
func (n *Network) Heal(a, b string) { n.heal(route{a, b}, route{b, a}) }

// HealOneWay ends a partition of one direction.
func (n *Network) HealOneWay(from, to string) { n.heal(route{from, to}) }

func (n *Network) part(routes ...route) {
	n.enter()
	defer n.leave()
	for _, r := range routes {
		n.wireLocked(r).cut()
	}
}

func (n *Network) heal(routes ...route) {
	n.enter()
	defer n.leave()
	for _, r := range routes {
		n.wireLocked(r).heal()
	}
	for _, c := range n.betweenLocked(routes[0].from, routes[0].to) {
		c.retryLocked()
	}
}

// Reset breaks all connections between two sites: ECONNRESET at both ends. It returns their number.
func (n *Network) Reset(a, b string) int {
	n.enter()
	defer n.leave()
	conns := n.betweenLocked(a, b)
	for _, c := range conns {
		c.breakLocked(wasip1.ECONNRESET)
	}
	return len(conns)
}

// betweenLocked returns the connections between two sites, the oldest first.
func (n *Network) betweenLocked(a, b string) []*connection {
	var conns []*connection
	for c := range n.conns {
		from, to := c.ends[0].local.Site(), c.ends[1].local.Site()
		if from == a && to == b || from == b && to == a {
			conns = append(conns, c)
		}
	}
	slices.SortFunc(conns, func(x, y *connection) int { return cmp.Compare(x.serial, y.serial) })
	return conns
}
