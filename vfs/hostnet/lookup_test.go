package hostnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
)

// TestLookupsThatNobodyWaitsFor: guests ask for a name and end, again and again, while the resolver
// does not answer. They leave one question behind, not one each.
func TestLookupsThatNobodyWaitsFor(t *testing.T) {
	leak.Check(t)
	n, err := NewNetwork(Connect("slow.example", 80))
	if err != nil {
		t.Fatal(err)
	}
	var questions atomic.Int64
	asked, answer := make(chan struct{}), make(chan struct{})
	n.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		if questions.Add(1) == 1 {
			close(asked)
		}
		<-answer // whatever the context says
		return nil, errors.New("no server")
	}}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { _, err := n.Lookup(poll.NewTask(ctx), "slow.example"); ended <- err }()
		<-asked
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a guest that has ended gets %v", err)
		}
	}
	n.mu.Lock()
	l, under := n.lookups["slow.example"], len(n.lookups)
	n.mu.Unlock()
	if l == nil || under != 1 || questions.Load() > 2 { // one for each family
		t.Errorf("%d questions under way, %d of the resolver's", under, questions.Load())
	}
	close(answer)
	if l != nil {
		if _, err := poll.Block(poll.NewTask(t.Context()), l, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.Lookup(poll.NewTask(t.Context()), "slow.example"); err == nil {
		t.Error("a resolver without servers found a name")
	}
}

// A name stands for public addresses only, in whatever form its owner gives others.
func TestNamesStandForPublicAddresses(t *testing.T) {
	for _, tc := range []struct {
		addr    string
		granted bool
	}{
		{"93.184.216.34", true}, {"2606:2800:220:1::1", true}, {"64:ff9b::5db8:d822", true},
		{"127.0.0.1", false}, {"10.0.0.1", false}, {"100.64.0.1", false}, {"169.254.169.254", false}, {"224.0.0.1", false},
		{"0.0.0.0", false}, {"0.0.0.1", false}, {"192.0.0.192", false}, {"198.18.0.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"::1", false}, {"::", false}, {"::127.0.0.1", false}, {"::ffff:127.0.0.1", false}, {"fd00::1", false}, {"fe80::1", false}, {"fec0::1", false},
		{"64:ff9b::7f00:1", false}, {"64:ff9b::a9fe:a9fe", false}, {"64:ff9b:1::1", false}, {"2002:7f00:1::1", false}, {"2001::1", false}, {"100::1", false},
	} {
		n, err := NewNetwork(Connect("name.example"))
		if err != nil {
			t.Fatal(err)
		}
		a := netip.MustParseAddr(tc.addr)
		n.remember("name.example", []netip.Addr{a.Unmap()})
		if got := n.granted(rights{}, netip.AddrPortFrom(dialed(a), 80)); got != tc.granted {
			t.Errorf("%s: granted is %v", tc.addr, got)
		}
	}
}

// A rule that nobody made is an error.
func TestRulesOfNobody(t *testing.T) {
	for _, r := range []Rule{{}, Rule{}.UDP()} {
		if _, err := NewNetwork(Connect("127.0.0.1"), r); err == nil {
			t.Errorf("%v is a rule", r)
		}
	}
	n, err := NewNetwork(Connect("::ffff:10.0.0.0/104"), Listen("0.0.0.0"), Listen("::"))
	if err != nil {
		t.Fatal(err)
	}
	if !n.granted(rights{}, netip.MustParseAddrPort("10.1.2.3:80")) || n.granted(rights{}, netip.MustParseAddrPort("11.0.0.1:80")) {
		t.Error("a prefix of IPv4 addresses in IPv6 ones is not that of the IPv4 addresses")
	}
}
