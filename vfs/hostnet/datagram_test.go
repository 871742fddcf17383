package hostnet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// bind makes a guest's socket of a network by rules.
func bind(t *testing.T, at string, rules ...hostnet.Rule) sockets.Datagrams {
	t.Helper()
	n, err := hostnet.NewNetwork(rules...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := n.Bind(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// peer is a socket of host code on the loopback.
func peer(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func sendTo(t *testing.T, c *net.UDPConn, text string, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// next waits for a datagram.
func next(t *testing.T, d sockets.Datagrams) (text string, from netip.AddrPort) {
	t.Helper()
	if _, err := poll.Block(poll.NewTask(t.Context()), d, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	n, from, err := d.RecvFrom(p, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(p[:n]), from
}

// TestDatagramsByRule: a guest that may listen answers those that it has received from, and sends
// to nobody else.
func TestDatagramsByRule(t *testing.T) {
	leak.Check(t)
	d := bind(t, "127.0.0.1:0", hostnet.Listen("127.0.0.1", 0).UDP())
	c, at := peer(t)
	if err := d.SendTo([]byte("early"), at); err != wasip1.EACCES {
		t.Errorf("an answer to nothing: %v", err)
	}
	sendTo(t, c, "hello", d.Local())
	text, from := next(t, d)
	if text != "hello" || from != at {
		t.Errorf("%q from %v", text, from)
	}
	if err := d.SendTo([]byte("answer"), from); err != nil {
		t.Error(err)
	}
	p := make([]byte, 100)
	n, _, err := c.ReadFromUDPAddrPort(p)
	if err != nil || string(p[:n]) != "answer" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if err := d.SendTo([]byte("x"), netip.MustParseAddrPort("127.0.0.1:9")); err != wasip1.EACCES {
		t.Errorf("another address: %v", err)
	}
}

// TestDatagramsFromOthersAreDropped: a guest that may send to one address receives from that one
// alone.
func TestDatagramsFromOthersAreDropped(t *testing.T) {
	leak.Check(t)
	friend, at := peer(t)
	stranger, _ := peer(t)
	d := bind(t, "0.0.0.0:0", hostnet.Connect("127.0.0.1", at.Port()).UDP())
	to := netip.AddrPortFrom(at.Addr(), d.Local().Port())
	if d.Poll(poll.Readable).Ready != 0 {
		t.Error("there is something")
	}
	sendTo(t, stranger, "hostile", to)
	sendTo(t, friend, "hello", to)
	if text, from := next(t, d); text != "hello" || from != at {
		t.Errorf("%q from %v", text, from)
	}
}

// TestDatagramsRefused: what no rule for UDP grants is refused when it is bound or sent.
func TestDatagramsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		at    string
		rules []hostnet.Rule
	}{
		"no rule":              {"0.0.0.0:0", nil},
		"a rule for TCP":       {"127.0.0.1:0", []hostnet.Rule{hostnet.Listen("127.0.0.1")}},
		"a rule to send":       {"127.0.0.1:0", []hostnet.Rule{hostnet.Connect("127.0.0.1").UDP()}},
		"a port, to send":      {"0.0.0.0:5353", []hostnet.Rule{hostnet.Connect("127.0.0.1").UDP()}},
		"a rule for a network": {"0.0.0.0:0", []hostnet.Rule{hostnet.Listen("127.0.0.0/8").UDP()}},
	} {
		n, err := hostnet.NewNetwork(tc.rules...)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := n.Bind(netip.MustParseAddrPort(tc.at)); err != wasip1.EACCES {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = d.Close()
			}
		}
	}
	d := bind(t, "0.0.0.0:0", hostnet.Connect("10.0.0.0/8").UDP())
	if err := d.Connect(netip.MustParseAddrPort("127.0.0.1:53")); err != wasip1.EACCES {
		t.Errorf("connect: %v", err)
	}
	if got := hostnet.Connect("10.0.0.1", 53).UDP().String(); got != "connect udp 10.0.0.1/32 53" {
		t.Errorf("the rule is %q", got)
	}
}
