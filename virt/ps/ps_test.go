package ps_test

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/ps"
)

// do is a guest that does what its arguments say.
func do(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/bare/do.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Guests that wait are shown with what they wait for, from other goroutines, again and again; what they chose is escaped.
func TestGuestsThatWait(t *testing.T) {
	time := clock.NewVirtual()
	host, err := virt.NewBuilder(virt.WithClock(time), virt.WithUsage()).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	module, err := host.Compile(t.Context(), do(t))
	if err != nil {
		t.Fatal(err)
	}
	network := netmem.New(time)
	server, err := network.Listen("10.0.0.1:80", 1)
	if err != nil {
		t.Fatal(err)
	}
	client, err := network.Dial(t.Context(), "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sleeper, err := host.Instantiate(t.Context(), module, virt.WithName("evil\x1b[2J\n"), virt.WithArgs("sleep", "1000"),
		virt.WithPreopened(accepted))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := sleeper.Run(context.Background())
		done <- err
	}()
	var guests []ps.Guest
	for {
		if guests = ps.Of(host); len(guests[0].Threads) == 1 && guests[0].Threads[0].State == sched.Waiting {
			break
		}
	}
	var text bytes.Buffer
	if err := ps.Write(&text, guests); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^guest 1 "evil\\x1b\[2J\\n": running, .*, memory \d+.*
  thread 0 waiting: poll_oneoff.*
  fd 0 \S+ <stdin>
  fd 1 \S+ <stdout>
  fd 2 \S+ <stderr>
  fd 3 directory /
  fd 4 socket_stream <preopened 0> to ` + regexp.QuoteMeta(client.LocalAddr().String()) + `
$`)
	if !want.MatchString(text.String()) {
		t.Errorf("%s", text.String())
	}
	time.Advance(1000_000_000)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if guests := ps.Of(host); guests[0].Result.Outcome != virt.Exited || len(guests[0].Threads) != 0 {
		t.Errorf("%+v", guests[0])
	}
	if err := host.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if guests := ps.Of(host); len(guests) != 0 {
		t.Errorf("%d guests of a closed Host", len(guests))
	}
}

// However many guests, threads and descriptors there are, the text is bounded and tells how many it leaves out.
func TestTextIsBounded(t *testing.T) {
	var g ps.Guest
	g.Result = &virt.Result{}
	g.Threads = make([]ps.Thread, 100_000)
	g.Descriptors = make([]ps.Descriptor, 100_000)
	g.Name = strings.Repeat("x", 1<<20)
	var text bytes.Buffer
	if err := ps.Write(&text, []ps.Guest{g}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "and 99936 more threads\n") || text.Len() > 64<<10 {
		t.Errorf("%d bytes", text.Len())
	}
}
