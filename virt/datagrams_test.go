package virt_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// asked has a client ask n questions by datagrams over a link.
func asked(t *testing.T, wasm []byte, n int, link netmem.Link) (printed string, recording []byte) {
	t.Helper()
	return served(t, wasm, n, link, ":53", "ask", "server:53")
}

// TestDatagramsInMemory: a guest asks another by datagrams. Latency passes in virtual time, the
// client asks again where the link loses a datagram, the run repeats, and the client's recording is
// replayed without a server.
func TestDatagramsInMemory(t *testing.T) {
	n := 50
	if os.Getenv("WASIVIRT_FULL") != "" {
		n = 1000
	}
	wasm := goGuest(t, "datagrams")
	link := netmem.Link{Latency: 50 * time.Millisecond, Loss: 0.2}
	printed, recording := asked(t, wasm, n, link)
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if len(lines) != n {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), n, printed)
	}
	again := 0
	for i, line := range lines {
		var number int
		var took string
		if _, err := fmt.Sscanf(line, "hello %d %s", &number, &took); err != nil || number != i {
			t.Fatalf("line %d is %q", i, line)
		}
		if took != "100ms" {
			again++
		}
	}
	if again == 0 || again > n/2 {
		t.Errorf("%d of %d questions were asked again", again, n)
	}
	second, recorded := asked(t, wasm, n, link)
	p, err := replay.Compare(bytes.NewReader(recording), bytes.NewReader(recorded), 3)
	if second != printed || p != nil || err != nil {
		t.Errorf("a second run differs: %v, %v", p, err)
	}

	var out bytes.Buffer
	result, err := replay.Run(t.Context(), wasm, bytes.NewReader(recording), shared, virt.WithStdout(&out))
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Exited || out.String() != printed {
		t.Errorf("the replay: %v, printed %q", result, out.String())
	}
}

// echo answers datagrams on the machine until the test ends.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		p := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(append([]byte("hello "), p[:n]...), from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestDatagramsOfTheMachine: a guest asks a server of the machine where a rule grants it by UDP,
// and not where none does.
func TestDatagramsOfTheMachine(t *testing.T) {
	at := echo(t)
	host := newHost(t, shared, virt.WithoutFiles())
	m := compiled(t, host, goGuest(t, "datagrams"))
	const denied = "Permission denied"
	for _, tc := range []struct {
		name  string
		rules []hostnet.Rule
		want  string
	}{
		{"granted", []hostnet.Rule{hostnet.Connect("127.0.0.0/8", at.Port()).UDP()}, "hello 2"},
		{"no rule", nil, denied},
		{"a rule for connections", []hostnet.Rule{hostnet.Connect("127.0.0.1"), hostnet.Listen("0.0.0.0")}, denied},
		{"another port", []hostnet.Rule{hostnet.Connect("127.0.0.1", at.Port()+1).UDP()}, denied},
		{"another address", []hostnet.Rule{hostnet.Connect("10.0.0.0/8").UDP()}, denied},
		{"a rule to listen", []hostnet.Rule{hostnet.Listen("0.0.0.0").UDP()}, denied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := hostnet.NewNetwork(tc.rules...)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			result, err := host.RunModule(t.Context(), m, virt.WithNetwork(n), virt.WithArgs("ask", at.String(), "3"),
				virt.WithStdout(&out), virt.WithStderr(&out))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), tc.want) {
				t.Errorf("%v, printed %q, want %q", result, out.String(), tc.want)
			}
		})
	}
	t.Run("no network", func(t *testing.T) {
		var out bytes.Buffer
		if _, err := host.RunModule(t.Context(), m, virt.WithArgs("ask", at.String(), "1"), virt.WithStdout(&out)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), denied) {
			t.Errorf("printed %q", out.String())
		}
	})
}

// TestDatagramsVersion1: a C guest with the signatures of version 1, in memory and on the machine.
// Policies and faults know the functions by their names.
func TestDatagramsVersion1(t *testing.T) {
	machine, err := hostnet.NewNetwork(hostnet.Listen("127.0.0.1", 0).UDP(), hostnet.Connect("127.0.0.1").UDP())
	if err != nil {
		t.Fatal(err)
	}
	memory := virt.WithNetwork(netmem.New(nil).At("here"))
	host := newHost(t, shared, virt.WithoutFiles())
	m := compiled(t, host, bareGuest(t, "datagrams_v1"))
	for name, tc := range map[string]struct {
		opts []virt.GuestOption
		want uint32
	}{
		"in memory":  {[]virt.GuestOption{memory}, 0},
		"on machine": {[]virt.GuestOption{virt.WithNetwork(machine)}, 0},
		"no network": {nil, 1},
		"a policy":   {[]virt.GuestOption{memory, virt.WithPolicy(virt.Deny("sock_send_to"))}, 5},
		"a fault":    {[]virt.GuestOption{memory, virt.WithFaults(virt.Fault{Calls: "sock_recv_from", Errno: wasip1.ECONNREFUSED})}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := host.RunModule(t.Context(), m, tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if result.Outcome != virt.Exited || result.ExitCode != tc.want {
				t.Errorf("%v: step %d, want %d", result, result.ExitCode, tc.want)
			}
		})
	}
}
