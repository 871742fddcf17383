package virt_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// served runs a server at a port, and a client which asks it n times, on a network in memory, and
// returns what the client printed and the recording of its run. The client's arguments are ask and
// n.
func served(t *testing.T, wasm []byte, n int, link netmem.Link, port string, ask ...string) (printed string, recording []byte) {
	t.Helper()
	host := newHost(t, shared, virt.Deterministic(1), virt.WithoutFiles())
	network := netmem.New(host.Clock(), netmem.WithLink(link))
	m := compiled(t, host, wasm)
	var out, serverOut, tape bytes.Buffer
	instantiate := func(out *bytes.Buffer, opts ...virt.GuestOption) *virt.Guest {
		g, err := host.Instantiate(t.Context(), m, append(opts, virt.WithStdout(out), virt.WithStderr(out))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close(t.Context()) })
		return g
	}
	server := instantiate(&serverOut, virt.WithNetwork(network.At("server")), virt.WithArgs("serve", port, fmt.Sprint(n)))
	client := instantiate(&out, virt.WithNetwork(network.At("client", "server")), virt.WithArgs(append(ask, fmt.Sprint(n))...),
		virt.WithRecording(&tape))
	results, err := host.RunAll(t.Context(), server, client)
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range []*bytes.Buffer{&serverOut, &out} {
		if r := results[i]; r.Outcome != virt.Exited || r.ExitCode != 0 {
			t.Fatalf("guest %d: %v\n%s", i, r, out)
		}
	}
	return out.String(), tape.Bytes()
}

// fetched has a client get n pages, with a latency of 50 ms.
func fetched(t *testing.T, wasm []byte, n int) (printed string, recording []byte) {
	t.Helper()
	return served(t, wasm, n, netmem.Link{Latency: 50 * time.Millisecond}, ":80", "get", "http://server/")
}

// TestSocketsInMemory: a guest gets pages from another by HTTP, by name, over sockets that both
// open themselves. Latency passes in virtual time, the run repeats, and the client's recording is
// replayed without a server.
func TestSocketsInMemory(t *testing.T) {
	n := 20
	if os.Getenv("WASIVIRT_FULL") != "" {
		n = 1000
	}
	wasm := goGuest(t, "fetch")
	printed, recording := fetched(t, wasm, n)
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if len(lines) != n {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), n, printed)
	}
	for i, line := range lines {
		want := fmt.Sprintf("hello %d 100ms", i) // to the server and back
		if i == 0 {
			want = "hello 0 200ms" // connecting takes as long
		}
		if line != want {
			t.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
	again, second := fetched(t, wasm, n)
	// Frames of recordings end with the machine's time too, so that bytes are not what is compared.
	p, err := replay.Compare(bytes.NewReader(recording), bytes.NewReader(second), 3)
	if again != printed || p != nil || err != nil {
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

// TestSocketsOfTheMachine: a guest gets a page from a server of the machine where a rule grants it,
// and not where none does.
func TestSocketsOfTheMachine(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.URL.Query().Get("n"))
	}))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	wasm := goGuest(t, "fetch")
	host := newHost(t, shared, virt.WithoutFiles())
	m := compiled(t, host, wasm)
	rule := func(rules ...hostnet.Rule) []virt.GuestOption {
		n, err := hostnet.NewNetwork(rules...)
		if err != nil {
			t.Fatal(err)
		}
		return []virt.GuestOption{virt.WithNetwork(n)}
	}
	const denied = "Permission denied"
	for _, tc := range []struct {
		name string
		url  string
		opts []virt.GuestOption
		want string
	}{
		{"granted", server.URL, rule(hostnet.Connect("127.0.0.0/8", at.Port())), "hello 0"},
		{"granted by another way to say it", fmt.Sprintf("http://[::ffff:127.0.0.1]:%d", at.Port()), rule(hostnet.Connect("127.0.0.1")), "hello 0"},
		{"the unspecified address is the loopback", fmt.Sprintf("http://0.0.0.0:%d", at.Port()), rule(hostnet.Connect("0.0.0.0")), denied},
		{"no network", server.URL, nil, denied},
		{"no rule", server.URL, rule(), denied},
		{"another port", server.URL, rule(hostnet.Connect("127.0.0.1", at.Port()+1)), denied},
		{"another address", server.URL, rule(hostnet.Connect("10.0.0.0/8")), denied},
		{"a rule to listen", server.URL, rule(hostnet.Listen("127.0.0.1")), denied},
		{"a name that stands for the loopback", fmt.Sprintf("http://localhost:%d", at.Port()), rule(hostnet.Connect("localhost")), denied},
		{"a name that nobody granted", "http://example.com", rule(hostnet.Connect("example.org")), denied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			result, err := host.RunModule(t.Context(), m, append(tc.opts, virt.WithArgs("get", tc.url, "1"), virt.WithStdout(&out), virt.WithStderr(&out))...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), tc.want) {
				t.Errorf("%v, printed %q, want %q", result, out.String(), tc.want)
			}
		})
	}
}

// TestSocketsVersion1: a C guest with the signatures of version 1, in memory and on the machine.
func TestSocketsVersion1(t *testing.T) {
	machine, err := hostnet.NewNetwork(hostnet.Connect("127.0.0.1"), hostnet.Listen("0.0.0.0", 0))
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(t, shared, virt.WithoutFiles())
	m := compiled(t, host, bareGuest(t, "sockets_v1"))
	for name, opts := range map[string][]virt.GuestOption{
		"in memory":  {virt.WithNetwork(netmem.New(nil).At("here"))},
		"on machine": {virt.WithNetwork(machine)},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			result, err := host.RunModule(t.Context(), m, append(opts, virt.WithTrace(trace.Text(&text)))...)
			if err != nil {
				t.Fatal(err)
			}
			if result.ExitCode != 0 || !strings.Contains(text.String(), "sock_getpeeraddr") {
				t.Errorf("step %d failed:\n%s", result.ExitCode, text.String())
			}
			t.Log(text.String())
		})
	}
}

// TestSocketsByName: policies, faults, usage and the audit know the extension's functions by their
// names.
func TestSocketsByName(t *testing.T) {
	wasm := bareGuest(t, "sockets_v1")
	network := virt.WithNetwork(netmem.New(nil).At("here"))
	for name, tc := range map[string]struct {
		opts []virt.GuestOption
		want uint32
	}{
		"a policy of a function":  {[]virt.GuestOption{network, virt.WithPolicy(virt.Deny("sock_connect"))}, 7},
		"a policy of a subsystem": {[]virt.GuestOption{network, virt.WithPolicy(virt.Deny("sockets"))}, 1},
		"a fault":                 {[]virt.GuestOption{network, virt.WithFaults(virt.Fault{Calls: "sock_listen", Errno: wasip1.EADDRINUSE})}, 3},
		"no network":              {nil, 1},
		"descriptors":             {[]virt.GuestOption{network, virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 5 })}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, shared, virt.WithoutFiles())
			result, err := host.Run(t.Context(), wasm, tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if result.ExitCode != tc.want {
				t.Errorf("step %d, want %d", result.ExitCode, tc.want)
			}
		})
	}
	audit, err := newHost(t).Audit(wasm)
	if err != nil {
		t.Fatal(err)
	}
	var denied []string
	for _, d := range audit.Denied {
		denied = append(denied, d.Import.Name)
	}
	want := []string{"sock_open", "sock_bind", "sock_listen", "sock_connect", "sock_recv_from", "sock_getlocaladdr", "sock_getpeeraddr"}
	slices.Sort(want)
	slices.Sort(denied)
	if d := cmp.Diff(want, denied); d != "" {
		t.Errorf("what the audit says of a Host without a network (-want +got):\n%s", d)
	}
	if _, err := virt.NewBuilder(virt.Deterministic(1), virt.WithNetwork(machine(t))).Build(t.Context()); err == nil {
		t.Error("a deterministic Host accepts the machine's network")
	}
}

func machine(t *testing.T) *hostnet.Network {
	n, err := hostnet.NewNetwork()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// connecting ends a context when a guest has begun a connection.
type connecting struct {
	sockets.Network
	end context.CancelFunc
}

func (n connecting) Connect(from, to netip.AddrPort) (sockets.Conn, error) {
	defer n.end()
	return n.Network.Connect(from, to)
}

// TestSocketsEnd: a connection that is being made ends with the guest.
func TestSocketsEnd(t *testing.T) {
	network := netmem.New(nil)
	if _, err := network.Listen("server:80", 1); err != nil {
		t.Fatal(err)
	}
	network.Partition("client", "server")
	host := newHost(t, shared, virt.WithoutFiles())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result, err := host.RunModule(ctx, compiled(t, host, goGuest(t, "fetch")), virt.WithNetwork(connecting{network.At("client"), cancel}),
		virt.WithArgs("get", "http://server/", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Canceled {
		t.Errorf("ended with %v", result)
	}
}
