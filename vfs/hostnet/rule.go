package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Rule grants a guest part of the machine's network, by TCP, or by UDP if [Rule.UDP] says so. Make
// one with [Connect] or [Listen].
type Rule struct {
	rights
	prefix netip.Prefix // the zero value where the rule is about a name
	name   string
	ports  []uint16 // none: all
	err    error
}

// rights are what a rule is about.
type rights struct{ listen, udp bool }

// Connect lets guests connect to a host on ports, or on every port if none is given. host is an IP
// address, a prefix such as "10.0.0.0/8", or a name.
//
// A name stands for the addresses that the machine's resolver answers when the guest asks for the
// name, and only for those that are public: a name whose owner points it at the loopback, at a
// private or at a link-local address grants nothing, unless another rule grants the address. The
// guest connects to an address that was answered, which is not looked up again.
func Connect(host string, ports ...uint16) Rule { return newRule(false, host, ports) }

// Listen lets guests listen at an address, or at all addresses of a prefix. Port 0 stands for a
// port that the machine chooses.
func Listen(host string, ports ...uint16) Rule { return newRule(true, host, ports) }

// UDP returns the rule for datagrams in the place of connections: Connect lets guests send to the
// host, and receive from it; Listen lets them receive from anybody at the address, and answer.
func (r Rule) UDP() Rule {
	r.udp = true
	return r
}

func newRule(listen bool, host string, ports []uint16) Rule {
	r := Rule{rights: rights{listen: listen}, ports: slices.Clone(ports)}
	if p, err := netip.ParsePrefix(host); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		r.prefix = p.Masked()
		return r
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		r.prefix = netip.PrefixFrom(a, a.BitLen())
		return r
	}
	r.name = canonical(host)
	switch {
	case listen:
		r.err = fmt.Errorf("listen at %q: want an IP address or a prefix such as 127.0.0.0/8", host)
	case r.name == "" || strings.ContainsAny(r.name, "/: *"):
		r.err = fmt.Errorf("connect to %q: want an IP address, a prefix such as 10.0.0.0/8, or the whole name of a host", host)
	}
	return r
}

// canonical is a name as names are compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// String shows the rule as it was made.
func (r Rule) String() string {
	what, host := "connect ", r.name
	if r.listen {
		what = "listen "
	}
	if r.udp {
		what += "udp "
	}
	if r.name == "" {
		host = r.prefix.String()
	}
	text := what + host
	for _, p := range r.ports {
		text += fmt.Sprintf(" %d", p)
	}
	return text
}

// allows reports whether the rule grants a port.
func (r *Rule) allows(port uint16) bool { return len(r.ports) == 0 || slices.Contains(r.ports, port) }

// public reports whether an address is one that a name may stand for.
func public(a netip.Addr) bool {
	if translated.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// translated are the addresses that a gateway translates to the IPv4 address at their end (RFC
// 6052).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// special are the addresses that are not public besides those that netip knows: of the registries
// of special-purpose addresses (RFC 6890) those that are not globally reachable, and those that
// stand for an IPv4 address, which may be any.
var special = prefixes(
	"0.0.0.0/8",      // this network
	"100.64.0.0/10",  // behind a carrier's translation
	"192.0.0.0/24",   // of protocols, and of a cloud's metadata
	"198.18.0.0/15",  // benchmarks
	"240.0.0.0/4",    // reserved, and used inside of networks
	"::/96",          // IPv4-compatible
	"64:ff9b:1::/48", // translated to IPv4, locally
	"100::/64",       // discarded
	"2001::/32",      // Teredo
	"2002::/16",      // 6to4
	"fec0::/10",      // site-local
)

func prefixes(all ...string) (ps []netip.Prefix) {
	for _, p := range all {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	return ps
}

func check(rules []Rule) error {
	var errs []error
	for i, r := range rules {
		errs = append(errs, r.err)
		if r.err == nil && r.name == "" && !r.prefix.IsValid() {
			errs = append(errs, fmt.Errorf("rule %d grants nothing: make it with Connect or Listen", i+1))
		}
	}
	return errors.Join(errs...)
}
