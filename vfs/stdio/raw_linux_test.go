package stdio

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
	"github.com/wasivirt/wasivirt/wasip1"
)

// blockingPipe is a pipe as a shell makes it.
func blockingPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
}

func osPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// setBackPipe is a pipe of this process whose descriptors somebody asked for, which makes them
// wait.
func setBackPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w = osPipe(t)
	r.Fd()
	w.Fd()
	return r, w
}

func TestDescriptors(t *testing.T) {
	pipes := map[string]func(*testing.T) (r, w *os.File){"blocking": blockingPipe, "non-blocking": osPipe, "set back": setBackPipe}
	for name, pipe := range pipes {
		for mode, opts := range map[string][]Option{"raw": nil, "pumped": {WithPump()}} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				leak.Check(t)
				r, w := pipe(t)
				in, out := NewInput(r, opts...), NewOutput(w, opts...)
				if _, raw := in.src.(*rawFD); raw != (mode == "raw") {
					t.Fatalf("read by %T", in.src)
				}
				// A read that waits is cancelled, and what comes later is not lost.
				ctx, cancel := context.WithCancel(t.Context())
				guest := newTask(ctx)
				read := make(chan error)
				go func() { _, err := guest.read(in, make([]byte, 1)); read <- err }()
				cancel()
				if err := <-read; err != context.Canceled {
					t.Errorf("cancelled read: %v", err)
				}
				next := newTask(t.Context())
				if n, err := next.write(out, []byte("hello")); n != 5 || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
				if got := next.readString(t, in); got != "hello" {
					t.Errorf("read %q", got)
				}
				// A write that waits is cancelled.
				ctx, cancel = context.WithCancel(t.Context())
				guest = newTask(ctx)
				full := make(chan struct{}, 1)
				go func() { read <- guest.writeAll(watched{out, full}, make([]byte, 1<<20)) }()
				<-full
				cancel()
				if err := <-read; err != context.Canceled {
					t.Errorf("cancelled write: %v", err)
				}
				// The end, and the descriptors that were given are as before.
				if err := out.Close(); err != nil {
					t.Error(err)
				}
				go func() {
					for out.Pending() > 0 {
						if err := out.Flush(next); err != nil {
							t.Error(err)
						}
					}
					w.Close()
				}()
				drainer, buf := newTask(t.Context()), make([]byte, 1<<16)
				for {
					_, err := drainer.read(in, buf)
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if s := in.Poll(poll.Readable); !s.Hangup || s.Ready == 0 {
					t.Errorf("state at the end %+v", s)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
				if _, err := r.Read(buf); err != io.EOF {
					t.Errorf("the file that was given: %v", err)
				}
				r.Close()
			})
		}
	}
}

// watched tells when a write is refused for the first time.
type watched struct {
	*Output
	full chan struct{}
}

func (w watched) Write(p []byte) (int, error) {
	n, err := w.Output.Write(p)
	if err == wasip1.EAGAIN {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
	return n, err
}

func TestDescriptorTakesNothingAhead(t *testing.T) {
	r, w := blockingPipe(t)
	defer r.Close()
	defer w.Close()
	in := NewInput(r)
	if _, err := w.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	want := poll.State{Ready: poll.Readable, Bytes: 5}
	if s := in.Poll(poll.Readable); s != want {
		t.Errorf("state %+v", s)
	}
	p := make([]byte, 10)
	if n, err := in.Read(p[:2]); n != 2 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if n, err := r.Read(p); string(p[:n]) != "llo" || err != nil {
		t.Errorf("left for others: %q, %v", p[:n], err)
	}
}

func TestDescriptorCloseEndsWaiting(t *testing.T) {
	leak.Check(t)
	r, w := osPipe(t)
	in := NewInput(r)
	if in.Poll(poll.Readable).Ready != 0 {
		t.Error("an empty pipe is readable")
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if _, err := in.Read(make([]byte, 1)); err != wasip1.EBADF {
		t.Errorf("read after close: %v", err)
	}
	r.Close()
	out := Writer(w)
	if _, err := out.Write([]byte("x")); wasip1.FromError(err) != wasip1.EPIPE {
		t.Errorf("write to a broken pipe: %v", err)
	}
	w.Close()
}

func TestNullDeviceIsDirect(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, out := NewInput(f), NewOutput(f)
	if IsTerminal(in) || IsTerminal(out) {
		t.Error("/dev/null is a terminal")
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read: %d, %v", n, err)
	}
	if n, err := out.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

func TestConn(t *testing.T) {
	leak.Check(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in := NewInput(b, WithOwnership())
	if _, ok := in.src.(*rawFD); !ok {
		t.Fatalf("read by %T", in.src)
	}
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	guest := newTask(t.Context())
	if _, err := poll.Block(guest, in, poll.Readable, poll.Wait{}); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3)
	if n, err := in.Recv(p, true); string(p[:n]) != "hel" || err != nil {
		t.Errorf("peek: %q, %v", p[:n], err)
	}
	if got := guest.readString(t, in); got != "hello" {
		t.Errorf("read %q", got)
	}
	if _, err := in.Read(p); err != wasip1.EAGAIN {
		t.Errorf("read of nothing: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// TestTerminal types on a pseudo-terminal.
func TestTerminal(t *testing.T) {
	leak.Check(t)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	defer master.Close()
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var err2 error
	if err := conn.Control(func(fd uintptr) {
		if err2 = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err2 == nil {
			n, err2 = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || err2 != nil {
		t.Skip("no pseudo-terminals: ", err, err2)
	}
	fd, err := unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	tty := os.NewFile(uintptr(fd), "tty")
	defer tty.Close()
	in, out := NewInput(tty), NewOutput(tty)
	if !IsTerminal(in) || !IsTerminal(out) {
		t.Error("not taken for a terminal")
	}
	guest := newTask(t.Context())
	if _, err := in.Read(make([]byte, 1)); err != wasip1.EAGAIN {
		t.Errorf("read before anybody typed: %v", err)
	}
	for _, line := range []string{"first\n", "second\n"} {
		if _, err := master.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if got := guest.readString(t, in); got != line {
			t.Errorf("read %q, typed %q", got, line)
		}
	}
	if _, err := master.WriteString("\x04again\n"); err != nil { // control-D
		t.Fatal(err)
	}
	if n, err := guest.read(in, make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("after control-D: %d, %v", n, err)
	}
	if got := guest.readString(t, in); got != "again\n" {
		t.Errorf("read %q", got)
	}
	if err := guest.writeAll(out, []byte("> ")); err != nil {
		t.Error(err)
	}
	for _, s := range []io.Closer{in, out} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
