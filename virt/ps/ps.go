// Package ps shows what the guests of a Host do, as ps and lsof show processes.
//
//	ps.Write(os.Stderr, ps.Of(host))
//
// [Of] may be called from any goroutine while guests run, and does not stop them. It costs nothing
// until it is called.
package ps

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Guest is one guest at one moment.
type Guest struct {
	// Number is the guest's number in its Host, Name its argument 0, as it was given.
	Number uint64
	Name   string
	// Result tells how the guest ended. Its Outcome is virt.Running if it has not.
	Result *virt.Result
	// Threads are the threads alive, the oldest first. A reactor that runs no export has none.
	Threads     []Thread
	Descriptors []Descriptor
	Usage       virt.Usage
}

// Thread is a thread at one moment.
type Thread struct {
	ID    uint32
	State sched.State
	// Runs is the export that the thread runs, "wasi_thread_start" on threads that the guest
	// spawned.
	Runs string
	// Call is the function that the thread is in, such as "fd_read", or ""; of a thread that does
	// not wait it is known from the second look at its guest on. For says what the call is about: a
	// descriptor and its path, or an address in the guest's memory.
	Call, For string
	// Left is the time, on the Host's clock, until the wait ends at the latest; 0 if it has no
	// deadline.
	Left time.Duration
	// Waited is the time, on the Host's clock, since the thread ran last; 0 if it runs.
	Waited time.Duration
}

// Descriptor is an open descriptor at one moment.
type Descriptor struct {
	Fd   uint32
	Kind wasip1.Filetype
	// Path is the path with which the file was opened, or the name of a stream such as "<stdin>".
	// Peer is the address at the other end of a connection, or "".
	Path, Peer string
	// Offset is the position in bytes, or -1 while a call uses it.
	Offset int64
}

// Of returns the guests of a Host that have not been closed, in the order in which they were made.
// The guests run meanwhile, so parts of the answer may be of different moments.
func Of(h *virt.Host) []Guest {
	guests := h.Guests()
	all := make([]Guest, len(guests))
	for i, g := range guests {
		all[i] = of(g, h.Clock().Monotonic())
	}
	return all
}

func of(g *virt.Guest, now int64) Guest {
	r := Guest{Number: g.Number(), Name: g.Name(), Result: g.Result(), Usage: g.Usage()}
	for _, d := range g.Files().List() {
		one := Descriptor{Fd: d.Fd, Kind: d.Type, Path: d.Path, Offset: d.Offset}
		if p, ok := d.File.Stream().(Peered); ok {
			one.Peer = p.Peer()
		}
		r.Descriptors = append(r.Descriptors, one)
	}
	for _, t := range g.Threads() {
		one := Thread{ID: t.Thread, State: t.State, Runs: t.Runs, Call: t.Op, For: subject(t, r.Descriptors)}
		if t.Until != poll.NoDeadline {
			one.Left = max(0, time.Duration(t.Until-now))
		}
		if t.Since != 0 {
			one.Waited = max(0, time.Duration(now-t.Since))
		}
		r.Threads = append(r.Threads, one)
	}
	return r
}

// subject says what a thread's call is about.
func subject(t sched.Status, open []Descriptor) string {
	switch {
	case strings.HasPrefix(t.Op, "memory."):
		return fmt.Sprintf("%#x", t.On)
	case t.Fds > 1:
		return fmt.Sprintf("%s and %d more", descriptor(t.On, open), t.Fds-1)
	case t.Fds == 1, strings.HasPrefix(t.Op, "fd_"), strings.HasPrefix(t.Op, "path_"), strings.HasPrefix(t.Op, "sock_"):
		return descriptor(t.On, open)
	}
	return ""
}

// descriptor names a descriptor.
func descriptor(fd uint64, open []Descriptor) string {
	for _, d := range open {
		if uint64(d.Fd) == fd && d.Path != "" {
			return fmt.Sprintf("%d %s", fd, d.Path)
		}
	}
	return fmt.Sprint(fd)
}

// The most lines of a kind that Write shows. What is left out is counted.
const (
	maxGuests      = 1000
	maxThreads     = 64
	maxDescriptors = 256
)

// Write writes guests as text for a person: a line for each guest, below it its threads and
// descriptors. Names that guests chose are escaped, and the text is bounded.
func Write(w io.Writer, guests []Guest) error {
	b := bufio.NewWriter(w)
	for _, g := range guests[:min(len(guests), maxGuests)] {
		g.write(b)
	}
	more(b, "", "guests", len(guests)-maxGuests)
	return b.Flush()
}

func more(b *bufio.Writer, indent, what string, n int) {
	if n > 0 {
		fmt.Fprintf(b, "%sand %d more %s\n", indent, n, what)
	}
}

func (g *Guest) write(b *bufio.Writer) {
	u := &g.Usage
	state := safetext.Line(g.Result.String())
	if g.Result.Outcome == virt.Running && len(g.Threads) == 0 {
		state = "idle"
	}
	fmt.Fprintf(b, "guest %d %s: %s, %v, memory %d", g.Number, safetext.Quote(g.Name), state, u.Real.Round(time.Millisecond), u.PeakMemory)
	if u.Calls > 0 {
		fmt.Fprintf(b, ", %d calls, %d errors, read %d, wrote %d", u.Calls, u.Errors, u.BytesIn, u.BytesOut)
	}
	if u.Fuel > 0 {
		fmt.Fprintf(b, ", fuel %d", u.Fuel)
	}
	b.WriteByte('\n')
	for _, t := range g.Threads[:min(len(g.Threads), maxThreads)] {
		fmt.Fprintf(b, "  thread %d %v", t.ID, t.State)
		if t.Runs != "" {
			fmt.Fprintf(b, " in %s", safetext.Name(t.Runs))
		}
		if t.Call != "" {
			fmt.Fprintf(b, ": %s", t.Call)
		}
		if t.For != "" {
			fmt.Fprintf(b, " %s", safetext.Name(t.For))
		}
		if t.Left > 0 {
			fmt.Fprintf(b, ", %v left", t.Left.Round(time.Microsecond))
		}
		if t.Waited > 0 {
			fmt.Fprintf(b, ", for %v", t.Waited.Round(time.Microsecond))
		}
		b.WriteByte('\n')
	}
	more(b, "  ", "threads", len(g.Threads)-maxThreads)
	for _, d := range g.Descriptors[:min(len(g.Descriptors), maxDescriptors)] {
		fmt.Fprintf(b, "  fd %d %s %s", d.Fd, strings.ToLower(d.Kind.String()), safetext.Name(d.Path))
		if d.Peer != "" {
			fmt.Fprintf(b, " to %s", safetext.Name(d.Peer))
		}
		if d.Kind == wasip1.FiletypeRegularFile && d.Offset >= 0 {
			fmt.Fprintf(b, " at %d", d.Offset)
		}
		b.WriteByte('\n')
	}
	more(b, "  ", "descriptors", len(g.Descriptors)-maxDescriptors)
}

// Peered is implemented by a stream of package vfs that knows the address of its other end.
// Wrappers of streams pass it on.
type Peered interface {
	// Peer returns the other end's address, such as "10.0.0.2:80". It may be called at any time.
	Peer() string
}
