package hostnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Network is the part of the machine's network that rules grant, for virt.WithNetwork. What no rule
// grants is EACCES. Rules count for the address that is dialed: the unspecified address is the
// loopback, an IPv4 address in an IPv6 one is the IPv4 address.
type Network struct {
	rules    []Rule
	resolver *net.Resolver

	mu      sync.Mutex
	known   []answer           // the oldest first, at most maxKnown
	lookups map[string]*lookup // questions under way, by name
}

// answer is an address that a rule's name stands for.
type answer struct {
	addr netip.Addr
	rule int
}

// maxKnown is how many addresses of names are known at once. Guests that need an older one ask for
// its name again.
const maxKnown = 4096

// NewNetwork returns a network that guests reach by rules. The error names rules that are none.
func NewNetwork(rules ...Rule) (*Network, error) {
	if err := check(rules); err != nil {
		return nil, err
	}
	return &Network{rules: slices.Clone(rules), resolver: net.DefaultResolver, lookups: map[string]*lookup{}}, nil
}

// UsesMachine implements [vfs.MachineUser].
func (n *Network) UsesMachine() bool { return true }

// dialed is the address that the machine connects to where a guest says a.
func dialed(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	switch {
	case a == netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a == netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return a
}

// granted reports whether rules grant an address.
func (n *Network) granted(what rights, at netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.rules {
		r := &n.rules[i]
		switch {
		case r.rights != what || !r.allows(at.Port()):
		case r.name == "" && r.prefix.Contains(at.Addr()), r.name != "" && slices.Contains(n.known, answer{at.Addr(), i}):
			return true
		}
	}
	return false
}

// Lookup implements [sockets.Network]. A guest may ask for the names that rules are about. Lookup
// returns when the guest ends. The question to the machine's resolver, which nothing can interrupt,
// goes on for at most 30 s more. Guests that ask for the same name meanwhile wait for its answer:
// there is one question for each name of the rules at most.
func (n *Network) Lookup(t poll.Task, name string) ([]netip.Addr, error) {
	name = canonical(name)
	asked := false
	for _, r := range n.rules {
		asked = asked || r.name != "" && r.name == name
	}
	if !asked {
		return nil, wasip1.EACCES
	}
	if t == nil {
		return nil, wasip1.EAGAIN
	}
	l := n.lookup(name)
	if _, err := poll.Block(t, l, poll.Readable, poll.Wait{Op: "sock_getaddrinfo"}); err != nil {
		return nil, err
	}
	addrs, err := l.result()
	if err != nil {
		return nil, err
	}
	n.remember(name, addrs)
	return addrs, nil
}

// remember makes addresses known as those of a name, as far as they are public.
func (n *Network) remember(name string, addrs []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		for i := range n.rules {
			k := answer{a, i}
			if n.rules[i].name != name || !public(a) {
				continue
			}
			n.known = append(slices.DeleteFunc(n.known, func(o answer) bool { return o == k }), k)
		}
	}
	if over := len(n.known) - maxKnown; over > 0 {
		n.known = slices.Delete(n.known, 0, over)
	}
}

// lookupTimeout is how long a question to the resolver may take.
const lookupTimeout = 30 * time.Second

// lookup returns the question for a name that is under way, or begins it. It does not end with a
// guest: the resolver would go on behind it, and guests that come and go could leave any number of
// such questions.
func (n *Network) lookup(name string) *lookup {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.lookups[name]; l != nil {
		return l
	}
	l := &lookup{}
	n.lookups[name] = l
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
		defer cancel()
		addrs, err := n.resolver.LookupNetIP(ctx, "ip", name)
		n.mu.Lock()
		delete(n.lookups, name)
		n.mu.Unlock()
		l.answer(addrs, err)
	}()
	return l
}

// lookup is a question to the resolver, which a goroutine asks.
type lookup struct {
	poll.Queue

	mu    sync.Mutex
	done  bool
	addrs []netip.Addr
	err   error
}

func (l *lookup) answer(addrs []netip.Addr, err error) {
	if len(addrs) > sockets.MaxAddresses {
		addrs = addrs[:sockets.MaxAddresses]
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap().WithZone("")
	}
	l.mu.Lock()
	l.done, l.addrs, l.err = true, addrs, err
	l.mu.Unlock()
	l.Wake()
}

// Poll implements [poll.Pollable].
func (l *lookup) Poll(want poll.Events) poll.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		return poll.State{}
	}
	return poll.State{Ready: want}
}

func (l *lookup) result() ([]netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := errors.AsType[*net.DNSError](l.err); ok && e.IsNotFound {
		return nil, wasip1.ENOENT
	}
	return l.addrs, l.err
}

// Connect implements [sockets.Network].
func (n *Network) Connect(from, to netip.AddrPort) (sockets.Conn, error) {
	to = netip.AddrPortFrom(dialed(to.Addr()), to.Port())
	if !n.granted(rights{}, to) {
		return nil, wasip1.EACCES
	}
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	return newOutbound(&d, to), nil
}

// Listen implements [sockets.Network]. The machine decides about the backlog.
func (n *Network) Listen(at netip.AddrPort, _ int) (sockets.Listener, error) {
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	if !n.granted(rights{listen: true}, at) {
		return nil, wasip1.EACCES
	}
	network := "tcp4"
	if at.Addr().Is6() {
		network = "tcp6"
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return inbound{NewListener(l)}, nil
}

// inbound implements [sockets.Listener].
type inbound struct{ *Listener }

func (l inbound) AcceptConn() (sockets.Conn, error) {
	s, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return accepted{s.(*Conn)}, nil
}

func (l inbound) Local() netip.AddrPort { return sockets.AddrPort(l.Addr()) }

// accepted implements [sockets.Conn].
type accepted struct{ *Conn }

func (accepted) Connected() error         { return nil }
func (c accepted) Local() netip.AddrPort  { return sockets.AddrPort(c.LocalAddr()) }
func (c accepted) Remote() netip.AddrPort { return sockets.AddrPort(c.RemoteAddr()) }
