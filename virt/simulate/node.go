package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Node is a machine that runs a command. It has
//
//   - a disk of its own at /data, which survives restarts and on which [Disk] and [PowerLoss] act;
//     all else at / is new after a restart;
//   - a listener at NAME:PORT for each of its ports, as the descriptors from 4 on, in that order;
//   - a file /net/NAME:PORT for each port of the other nodes: opening it connects (give O_NONBLOCK,
//     so that reading waits as with a socket);
//   - a clock of its own, which [Jump] moves;
//   - the environment variables NODE, its name, and NODES, the names of all with commas between.
type Node struct {
	Name  string
	Wasm  []byte
	Ports []string
	// Files are the disk's contents at the start, by path from /data.
	Files map[string]string
	// Options are further options of the guest: arguments, environment, limits.
	Options []virt.GuestOption
	// MayEnd allows the command to end by itself. Otherwise that fails the run.
	MayEnd bool
}

// errDown is why the guest of a node that crashes ends.
var errDown = errors.New("crash")

// node is a Node in one world.
type node struct {
	Node
	world  *World
	module *virt.Module
	clock  *nodeClock
	files  *memfs.FS
	disk   *faultfs.FS
	host   *virt.Host
	task   *sched.Thread // supervises

	guest   *virt.Guest // nil while it is down
	threads *guestThreads
	ended   bool
	down    time.Duration // how long, after a crash
	power   bool          // is off
	crashes bool
}

// open makes what a node has.
func (w *World) open(n Node, m *virt.Module) (*node, error) {
	d := &node{Node: n, world: w, module: m, clock: &nodeClock{Virtual: w.clock}, files: memfs.New()}
	for name, content := range n.Files {
		if err := d.files.WriteFile(name, []byte(content)); err != nil {
			return nil, fmt.Errorf("node %s: %s: %w", n.Name, name, err)
		}
	}
	var err error
	opts := []faultfs.Option{
		faultfs.WithDurability(), faultfs.WithSeed(w.seed), faultfs.WithDir("/data"), faultfs.WithSleep(w.clock.Advance),
	}
	if w.sim.TornWrites {
		opts = append(opts, faultfs.WithTornWrites())
	}
	d.disk, err = faultfs.New(d.files, nil, opts...)
	if err != nil {
		return nil, err
	}
	d.host, err = w.base.Sibling(virt.Deterministic(w.seed^uint64(len(w.nodes)+1)<<40), virt.WithClock(d.clock), virt.WithScheduler(w.turns))
	return d, err
}

// supervise runs the node's guest, again after each crash, until the world is over.
func (n *node) supervise(t *sched.Thread) {
	n.task = t
	for !n.world.over {
		done, err := n.start()
		if err != nil {
			n.world.fail(fmt.Errorf("node %s cannot start: %w", n.Name, err))
			return
		}
		for !n.ended {
			if n.wait("node", 0) != nil {
				return
			}
		}
		end := <-done
		n.guest = nil
		if n.world.over {
			return
		}
		if !n.crashes {
			if end.err != nil {
				n.world.fail(fmt.Errorf("node %s: %w", n.Name, end.err))
				return
			}
			n.world.log(n.Name, "ends by itself: %v", end.result)
			if !n.MayEnd {
				n.world.fail(fmt.Errorf("node ended by itself: %s: %v", n.Name, end.result))
			}
			return
		}
		n.crashes = false
		if n.wait("down", n.down) != nil {
			return
		}
		if n.power {
			n.power = false
			n.disk.RestorePower()
		}
	}
}

// wait waits until it is woken, or for a time if that is not 0.
func (n *node) wait(op string, d time.Duration) error {
	if d == 0 {
		return n.task.Park(poll.Wait{Op: op, Deadline: poll.NoDeadline})
	}
	until := n.world.clock.Monotonic() + int64(d)
	for n.world.clock.Monotonic() < until && !n.world.over {
		if err := n.task.Park(poll.Wait{Op: op, Clock: n.world.clock, Deadline: until}); err != nil {
			return err
		}
	}
	return nil
}

// end is how a guest ended. That descriptors cannot be closed is to be expected where the power is
// off.
type end struct {
	result *virt.Result
	err    error
}

// start makes the guest, with the first of its threads ready. The caller has the turn and keeps it.
func (n *node) start() (<-chan end, error) {
	w := n.world
	opts, err := n.options()
	if err != nil {
		return nil, err
	}
	var guest *virt.Guest
	w.turns.within(func() { guest, err = n.host.Instantiate(context.Background(), n.module, opts...) })
	if err != nil {
		return nil, err
	}
	n.guest, n.ended = guest, false
	n.threads = &guestThreads{gone: func() {
		n.ended = true
		n.task.Wake()
	}}
	begun, done := w.turns.expect(n.threads), make(chan end, 1)
	go func() {
		results, err := n.host.RunAll(context.Background(), guest)
		err = errors.Join(err, guest.Close(context.Background()))
		e := end{err: err}
		if len(results) > 0 {
			e.result = results[0]
		}
		done <- e
	}()
	select {
	case <-begun:
	case e := <-done:
		return nil, fmt.Errorf("%v: %w", e.result, e.err)
	}
	if w.signature != nil {
		w.signature.starts(n.Name, w.Now())
	}
	w.log(n.Name, "starts")
	return done, nil
}

// options are those of a guest.
func (n *node) options() ([]virt.GuestOption, error) {
	w := n.world
	network := devfs.Empty()
	var names []string
	for _, other := range w.nodes {
		names = append(names, other.Name)
		for _, port := range other.Ports {
			address := other.Name + ":" + port
			if other == n {
				continue
			}
			if err := network.AddOpener(address, wasip1.FiletypeSocketStream, func(vfs.OpenMode) (vfs.Stream, error) {
				s, err := w.net.From(n.Name).Connect(address)
				if err != nil {
					return nil, errnoOf(err)
				}
				return s, nil
			}); err != nil {
				return nil, err
			}
		}
	}
	opts := []virt.GuestOption{
		virt.WithMount("/", memfs.New()), virt.WithMount("/data", n.disk), virt.WithMount("/net", network), virt.WithDevices("/dev"),
		virt.WithEnv("PWD", "/"), virt.WithEnv("NODE", n.Name), virt.WithEnv("NODES", strings.Join(names, ",")),
		virt.WithStdout(&lines{node: n}), virt.WithStderr(&lines{node: n}),
	}
	for _, port := range n.Ports {
		l, err := w.net.Listen(n.Name+":"+port, 128)
		if err != nil {
			return nil, err
		}
		opts = append(opts, virt.WithPreopened(l))
	}
	opts = append(opts, n.Options...)
	if w.signature != nil {
		opts = append(opts, w.watch(n.Name))
	}
	return opts, nil
}

func errnoOf(err error) error {
	if errno, ok := errors.AsType[wasip1.Errno](err); ok {
		return errno
	}
	return err
}

// stop ends the node's guest.
func (n *node) stop(cause error) {
	if n.guest != nil {
		n.world.turns.unpause(n.threads)
		n.guest.Stop(cause)
	}
}

const (
	// maxLine is how long a line of the story is. What a node prints without an end is cut there.
	maxLine = 64 << 10
	// maxPrinted is how many bytes all nodes may print in a run, with lineCost for each line.
	maxPrinted = 64 << 20
	lineCost   = 128
)

// lines writes what a node prints to the story.
type lines struct {
	node *node
	rest []byte // of a line without its end
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	for text := p; len(text) > 0; {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if room := maxLine - len(l.rest); len(line) > room {
			line, rest, whole = text[:room], text[room:], true
		}
		l.rest = append(l.rest, line...)
		if text = rest; whole {
			l.tell()
		}
	}
	return len(p), nil
}

// tell ends the line.
func (l *lines) tell() {
	w := l.node.world
	if w.printed += len(l.rest) + lineCost; w.printed > maxPrinted {
		w.fail(fmt.Errorf("node %s: the nodes have printed more than %d MiB: let them print less, or shorten Simulation.Length", l.node.Name, maxPrinted>>20))
	} else {
		w.log(l.node.Name, "%s", l.rest)
	}
	l.rest = l.rest[:0]
}
