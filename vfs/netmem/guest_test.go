package netmem

import (
	"net/netip"
	"testing"

	"github.com/wasivirt/wasivirt/wasip1"
)

func TestSitesOfGuests(t *testing.T) {
	n := New(nil)
	g := n.At("client", "server")
	if a, err := g.Lookup(nil, "server"); err != nil || len(a) != 1 || a[0] != n.IP("server") || !a[0].IsPrivate() {
		t.Errorf("server is %v, %v", a, err)
	}
	if _, err := g.Lookup(nil, "other"); err != wasip1.ENOENT {
		t.Errorf("a site where nobody listens: %v", err)
	}
	if _, err := n.Listen("other:80", 1); err != nil {
		t.Fatal(err)
	}
	if a, err := g.Lookup(nil, "other"); err != nil || a[0] == n.IP("server") {
		t.Errorf("a site where somebody listens: %v, %v", a, err)
	}
	if got := n.IP("192.0.2.7"); got != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("the address of an address is %v", got)
	}
}

// TestNothingIsKeptOfConnectionsThatWereGivenUp: a guest that begins connections and closes them
// leaves nothing behind, whether they wait in a listener's line or on a link that is down.
func TestNothingIsKeptOfConnectionsThatWereGivenUp(t *testing.T) {
	n := New(nil)
	l, err := n.Listen("server:80", 1)
	if err != nil {
		t.Fatal(err)
	}
	g := n.At("client")
	to := netip.AddrPortFrom(n.IP("server"), 80)
	begin := func() {
		c, err := g.Connect(netip.AddrPort{}, to)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Connect(netip.AddrPort{}, to); err != nil { // fills the backlog
		t.Fatal(err)
	}
	for range 100 {
		begin()
	}
	if len(l.line) != 0 {
		t.Errorf("%d connections wait in line", len(l.line))
	}
	n.Partition("client", "server")
	for range 100 {
		begin()
	}
	if w := n.wires[route{"client", "server"}]; len(w.packets) != 0 {
		t.Errorf("%d packets are on the wire", len(w.packets))
	}
	if len(n.conns) != 1 {
		t.Errorf("%d connections, want the one in the backlog", len(n.conns))
	}
}
