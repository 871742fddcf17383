package ps_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/iofs"
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

// Guests that wait are shown with what they wait for, from other goroutines, again and again; what
// they chose is escaped.
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
  thread 0 waiting in _start: poll_oneoff, 1s left.*
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

// slowFile is a file system of one file, which says when it is read, and lets nobody have it before
// it may.
type slowFile struct{ reading, may chan struct{} }

func (f slowFile) Open(name string) (fs.File, error) {
	file, err := fstest.MapFS{"slow": {Data: []byte("text")}}.Open(name)
	if name == "slow" {
		return slowRead{file, f}, err
	}
	return file, err
}

type slowRead struct {
	fs.File
	slow slowFile
}

func (f slowRead) Read(p []byte) (int, error) {
	f.slow.reading <- struct{}{}
	<-f.slow.may
	return 0, io.EOF
}

// Of a thread that computes the export is shown, and from the second look on the call that it is
// in.
func TestGuestsThatRun(t *testing.T) {
	file := slowFile{make(chan struct{}, 100), make(chan struct{})}
	host, err := virt.NewBuilder(virt.WithMount("/data", iofs.New(file))).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	module, err := host.Compile(t.Context(), do(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	run := func(args ...string) *virt.Guest {
		g, err := host.Instantiate(t.Context(), module, virt.WithArgs(args...))
		if err != nil {
			t.Fatal(err)
		}
		ps.Of(host)
		go func() { _, err := g.Run(context.Background()); ended <- err }()
		return g
	}
	reader := run("cat", "data/slow")
	<-file.reading
	if got := ps.Of(host)[0].Threads[0]; got.Runs != "_start" || got.Call != "fd_read" || got.For != "4 /data/slow" || got.State != sched.Running {
		t.Errorf("a guest that reads: %+v", got)
	}
	computer := run("loop")
	for {
		if threads := ps.Of(host)[1].Threads; len(threads) == 1 && threads[0].Runs == "_start" && threads[0].Call == "" {
			break
		}
	}
	close(file.may)
	computer.Stop(nil)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if got := ps.Of(host)[0]; len(got.Threads) != 0 {
		t.Errorf("a guest that has ended: %+v", got)
	}
	if err := errors.Join(reader.Close(t.Context()), host.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// However many guests, threads and descriptors there are, the text is bounded and tells how many it
// leaves out.
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
