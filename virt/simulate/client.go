package simulate

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ErrOver is the error of waits when the run is over.
var ErrOver = errors.New("the simulation is over")

// Client is a part of the system that is written in Go. It takes turns with the threads of the
// nodes, and waits in virtual time by the methods of its [Actor]. It must not wait in another way
// and must not start goroutines. An error other than [ErrOver] fails the run.
type Client struct {
	Name string
	Run  func(a *Actor) error
}

// Actor is a Client in one world. Its methods are for the client's function only.
type Actor struct {
	// Rand is drawn from the seed, for this client alone.
	Rand *rand.Rand

	name  string
	world *World
	task  *sched.Thread
}

// Name returns the client's name, which is also its site in the network.
func (a *Actor) Name() string { return a.name }

// World returns the world.
func (a *Actor) World() *World { return a.world }

// Now returns the time since the start of the run.
func (a *Actor) Now() time.Duration { return a.world.Now() }

// Sleep waits. Errors: ErrOver.
func (a *Actor) Sleep(d time.Duration) error {
	until := a.world.clock.Monotonic() + int64(d)
	for a.world.clock.Monotonic() < until {
		if err := a.task.Park(poll.Wait{Op: "sleep", Clock: a.world.clock, Deadline: until}); err != nil {
			return ErrOver
		}
	}
	return nil
}

// Log writes a line of the story.
func (a *Actor) Log(format string, args ...any) { a.world.log(a.name, format, args...) }

// Record adds an operation that began at call and ends now to the history.
func (a *Actor) Record(o Operation, call time.Duration) {
	o.Client, o.Call, o.Return = a.name, call, a.Now()
	a.world.record(o)
}

// Dial connects to an address, "n1:7000". Errors, in a *net.OpError: ECONNREFUSED, ECONNRESET,
// os.ErrDeadlineExceeded after timeout (0: none), ErrOver.
func (a *Actor) Dial(address string, timeout time.Duration) (*Conn, error) {
	s, err := a.world.net.From(a.name).Connect(address)
	if err != nil {
		return nil, err
	}
	c := &Conn{actor: a, socket: s}
	c.SetTimeout(timeout)
	state, err := c.wait(poll.Writable)
	if err = errors.Join(err, state.Err); err != nil {
		_ = s.Close()
		return nil, c.failed("dial", err)
	}
	return c, nil
}

// Conn is a client's end of a connection.
type Conn struct {
	actor    *Actor
	socket   *netmem.Socket
	deadline int64 // on the world's clock; poll.NoDeadline for none
}

var _ io.ReadWriteCloser = (*Conn)(nil)

// SetTimeout sets a deadline for all reads and writes from now on; 0 removes it.
func (c *Conn) SetTimeout(d time.Duration) {
	c.deadline = poll.NoDeadline
	if d > 0 {
		c.deadline = c.actor.world.clock.Monotonic() + int64(d)
	}
}

// wait waits until the connection is ready in a direction.
func (c *Conn) wait(want poll.Events) (poll.State, error) {
	s, err := poll.Block(c.actor.task, c.socket, want, poll.Wait{Op: "client", Clock: c.actor.world.clock, Deadline: c.deadline})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrOver
	}
	return s, err
}

func (c *Conn) failed(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.socket.LocalAddr(), Addr: c.socket.RemoteAddr(), Err: err}
}

// Read implements io.Reader. Errors: io.EOF, ECONNRESET, os.ErrDeadlineExceeded, ErrOver.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.socket.Read(p)
		if err != wasip1.EAGAIN {
			return n, c.failed("read", err)
		}
		if _, err := c.wait(poll.Readable); err != nil {
			return 0, c.failed("read", err)
		}
	}
}

// Write implements io.Writer. Errors: EPIPE, ECONNRESET, os.ErrDeadlineExceeded, ErrOver.
func (c *Conn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k, err := c.socket.Write(p[n:])
		n += k
		if err == wasip1.EAGAIN {
			_, err = c.wait(poll.Writable)
		}
		if err != nil {
			return n, c.failed("write", err)
		}
	}
	return n, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.socket.Close() }
