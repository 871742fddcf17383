package netmem

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// At returns the network as seen from a site, for virt.WithNetwork. The guest can look up the names
// of sites where somebody listens or receives datagrams, and those in names. localhost and all
// loopback and unspecified addresses are its own site.
//
// Guests connect to IP addresses, so each site has one ([Network.IP]). An address that belongs to
// no site is EHOSTUNREACH.
func (n *Network) At(site string, names ...string) sockets.Network {
	return &guestNetwork{n, site, slices.Clone(names)}
}

// IP returns the address of a site. If the site's name is an address, it is that; otherwise it is
// an address in 10.0.0.0/8 that depends on the name only.
func (n *Network) IP(site string) netip.Addr {
	if a, err := netip.ParseAddr(site); err == nil {
		return a
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(site))
	sum := h.Sum32()
	sum ^= sum >> 24 // all bits count
	last := byte(1 + uint32(byte(sum))*253/255)
	return netip.AddrFrom4([4]byte{10, byte(sum >> 16), byte(sum >> 8), last})
}

// guestNetwork implements [sockets.Network].
type guestNetwork struct {
	n     *Network
	site  string
	names []string
}

// sites are those that the guest can find, in order.
func (g *guestNetwork) sites() []string {
	all := append(slices.Clone(g.names), g.site)
	g.n.mu.Lock()
	for a := range g.n.listeners {
		all = append(all, Addr(a).Site())
	}
	for a := range g.n.datagrams {
		all = append(all, Addr(a).Site())
	}
	g.n.mu.Unlock()
	slices.Sort(all)
	return slices.Compact(all)
}

// Lookup implements [sockets.Network].
func (g *guestNetwork) Lookup(_ poll.Task, name string) ([]netip.Addr, error) {
	switch {
	case name == "localhost":
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	case slices.Contains(g.sites(), name):
		return []netip.Addr{g.n.IP(name)}, nil
	}
	return nil, wasip1.ENOENT
}

// own reports whether an address is one of the guest's site.
func (g *guestNetwork) own(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified() || a == g.n.IP(g.site)
}

// siteOf returns whose address a is.
func (g *guestNetwork) siteOf(a netip.Addr) (string, bool) {
	if g.own(a) {
		return g.site, true
	}
	known := g.sites()
	g.n.mu.Lock()
	for r := range g.n.wires { // those that have sent something, and may have gone
		known = append(known, r.from, r.to)
	}
	g.n.mu.Unlock()
	slices.Sort(known)
	for _, s := range known {
		if g.n.IP(s) == a.Unmap() {
			return s, true
		}
	}
	return "", false
}

// ipOf returns an Addr as a guest has it.
func (g *guestNetwork) ipOf(a Addr) netip.AddrPort {
	port, _ := strconv.ParseUint(strings.TrimPrefix(string(a), a.Site()+":"), 10, 16) // 0 where host code gave it none
	return netip.AddrPortFrom(g.n.IP(a.Site()), uint16(port))
}

func siteAddr(site string, port uint16) Addr { return Addr(site + ":" + strconv.Itoa(int(port))) }

// Connect implements [sockets.Network].
func (g *guestNetwork) Connect(from, to netip.AddrPort) (sockets.Conn, error) {
	if from.IsValid() && !g.own(from.Addr()) {
		return nil, wasip1.EADDRNOTAVAIL
	}
	site, ok := g.siteOf(to.Addr())
	if !ok {
		return nil, wasip1.EHOSTUNREACH
	}
	local := siteAddr(g.site, from.Port())
	g.n.mu.Lock()
	if from.Port() == 0 {
		local = g.n.portLocked(g.site)
	}
	s := g.n.newLocked(local, siteAddr(site, to.Port())).ends[0]
	g.n.mu.Unlock()
	if err := s.connected(); err != nil && err != wasip1.EAGAIN {
		_ = s.Close() // it is not connected
		return nil, err
	}
	return guestConn{s, g, to}, nil
}

// Listen implements [sockets.Network].
func (g *guestNetwork) Listen(at netip.AddrPort, backlog int) (sockets.Listener, error) {
	if !g.own(at.Addr()) {
		return nil, wasip1.EADDRNOTAVAIL
	}
	l, err := g.n.Listen(string(siteAddr(g.site, at.Port())), backlog)
	if err != nil {
		return nil, err
	}
	return guestListener{l, g, at.Addr()}, nil
}

// Bind implements [sockets.DatagramNetwork].
func (g *guestNetwork) Bind(at netip.AddrPort) (sockets.Datagrams, error) {
	if !g.own(at.Addr()) {
		return nil, wasip1.EADDRNOTAVAIL
	}
	s, err := g.n.ListenDatagrams(string(siteAddr(g.site, at.Port())))
	if err != nil {
		return nil, err
	}
	return guestDatagrams{s, g, at.Addr()}, nil
}

// guestDatagrams implements [sockets.Datagrams].
type guestDatagrams struct {
	*DatagramSocket
	g  *guestNetwork
	at netip.Addr
}

// addrOf is an address that a guest gives as an [Addr].
func (s guestDatagrams) addrOf(a netip.AddrPort) (Addr, error) {
	site, ok := s.g.siteOf(a.Addr())
	if !ok {
		return "", wasip1.EHOSTUNREACH
	}
	return siteAddr(site, a.Port()), nil
}

func (s guestDatagrams) Connect(peer netip.AddrPort) error {
	a, err := s.addrOf(peer)
	if err == nil {
		s.DatagramSocket.Connect(a)
	}
	return err
}

// SendTo implements [sockets.Datagrams]. What is sent to a loopback address comes from one.
func (s guestDatagrams) SendTo(p []byte, to netip.AddrPort) error {
	a, err := s.addrOf(to)
	if err != nil {
		return err
	}
	via := to.Addr().Unmap()
	switch {
	case via.IsLoopback():
	case via == netip.IPv4Unspecified():
		via = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case via == netip.IPv6Unspecified():
		via = netip.IPv6Loopback()
	default:
		via = netip.Addr{}
	}
	return s.send(p, a, via)
}

func (s guestDatagrams) RecvFrom(p []byte, peek bool) (size int, from netip.AddrPort, err error) {
	d, err := s.receive(p, peek)
	if err != nil {
		return 0, from, err
	}
	from = s.g.ipOf(d.from)
	if d.via.IsValid() {
		from = netip.AddrPortFrom(d.via, from.Port())
	}
	return len(d.data), from, nil
}

func (s guestDatagrams) Local() netip.AddrPort {
	return netip.AddrPortFrom(s.at, s.g.ipOf(s.addr).Port())
}

// guestConn implements [sockets.Conn].
type guestConn struct {
	*Socket
	g  *guestNetwork
	to netip.AddrPort
}

func (c guestConn) Connected() error       { return c.connected() }
func (c guestConn) Local() netip.AddrPort  { return c.g.ipOf(c.LocalAddr()) }
func (c guestConn) Remote() netip.AddrPort { return c.to }

// guestListener implements [sockets.Listener].
type guestListener struct {
	*Listener
	g  *guestNetwork
	at netip.Addr
}

func (l guestListener) AcceptConn() (sockets.Conn, error) {
	s, err := l.accept()
	if err != nil {
		return nil, err
	}
	return guestConn{s, l.g, l.g.ipOf(s.RemoteAddr())}, nil
}

func (l guestListener) Local() netip.AddrPort {
	return netip.AddrPortFrom(l.at, l.g.ipOf(l.addr).Port())
}
