package virt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Budget names what a guest may use up.
type Budget string

// Budgets that end the guest when they are used up.
const (
	BudgetWallTime  Budget = "wall time"
	BudgetFuel      Budget = "fuel"
	BudgetCPUTime   Budget = "processor time"
	BudgetSleep     Budget = "sleep"
	BudgetHostCalls Budget = "host calls"
	BudgetCallDepth Budget = "call depth"
	BudgetStack     Budget = "call stack"
	BudgetOutput    Budget = "output bytes"
	BudgetRecording Budget = "recording bytes"
)

// Budgets whose end does not end the guest, as a [BudgetError] names them when a guest cannot be
// made. Budgets without a name answer with an errno.
const (
	BudgetMemory      Budget = "memory"
	BudgetDescriptors Budget = "descriptors"
)

// Limits are the budgets of a guest ([WithLimits]) or of all guests of a Host together
// ([WithSharedLimits]). A field that is 0 is no limit; a value that the field does not allow, such
// as a negative duration, is an error of Build, Run or Instantiate. Defaults of a guest:
// Descriptors 1,024; Threads [NoThreads]; Stack 128 MiB; RecordingBytes 4 GiB; all others 0.
// Defaults of all guests together: all 0.
type Limits struct {
	// Memory is bytes of linear memory. A guest that starts with more than is left is refused with
	// a [*BudgetError]. When no more is left, memory.grow returns -1 to the guest, which goes on.
	// WebAssembly and the module have limits of their own, 4 GiB at most.
	Memory uint64
	// Fuel is WebAssembly instructions, at most 2^63-1. When it is used up, the guest ends with
	// outcome [Exhausted] and budget [BudgetFuel]. See [WithFuel].
	Fuel uint64
	// WallTime is real time, also under a virtual clock. When it is used up, the guest ends with
	// outcome [Exhausted] and budget [BudgetWallTime]. See [WithTimeout].
	WallTime time.Duration
	// CPUTime is the time that threads compute, all of them added up. When it is used up the guest
	// ends with outcome [Exhausted] and budget [BudgetCPUTime].
	//
	// Counted is the time that a thread runs guest code or is in a call of the Host, Handlers of
	// the embedder's included. Not counted is the time in which it waits: for a time, a stream,
	// another thread, or its turn. On Linux what the machine gave to other programs is left out as
	// well, as far as the thread has stayed on one thread of the machine; elsewhere it is counted.
	//
	// The Host looks at the budget at the checks in guest code, which are at most some hundred
	// microseconds of computing apart, and at the end of calls. A guest may compute longer by that
	// much for each of its threads, or by one call. How far a guest comes differs from run to run:
	// Fuel is the limit that repeats. A Host [WithoutPreemption] has no checks in guest code.
	CPUTime time.Duration
	// Sleep is the time on the Host's clock that threads wait for a time, or for something with a
	// deadline, counted for each thread. When it is used up, the wait is cut short and the guest
	// ends with outcome [Exhausted] and budget [BudgetSleep].
	Sleep time.Duration
	// HostCalls is calls of functions of preview1, of thread-spawn and of [WithFunctions],
	// proc_exit included. The call after the last one is not made: the guest ends with outcome
	// [Exhausted] and budget [BudgetHostCalls].
	HostCalls uint64
	// Stack is bytes of memory that the engine takes for call stacks, of all threads together. The
	// guest ends with outcome [Exhausted] and budget [BudgetStack] where more would be taken.
	// Spawning a thread for whose stack too little is left is EAGAIN.
	//
	// Each thread takes 128 KiB before it starts, and gives back what it took when it ends. A stack
	// grows by doubling, and its next size is taken before it grows, so that one thread can use
	// about half of the budget. Without a budget the engine bounds the stack of each thread: at 50
	// to 100 MB in the compiler, and at 2,000 frames in the interpreter.
	//
	// wazero's compiler copies the whole stack where a guest enters a try_table, and keeps the copy
	// until the guest leaves it. The copies count in all modules. So does what the Host keeps of a
	// poll_oneoff with more than 256 subscriptions while it waits, 160 bytes of each; beyond the
	// budget it is ENOMEM.
	//
	// Code that is put into modules when they are compiled counts, in functions that can call
	// themselves or need much. In a module without a shared memory it counts only if the Builder
	// gave another amount than the default. Single guests may then have other amounts. Elsewhere
	// the stacks of calls count that host functions have made others within, from the second on.
	// How deep a guest comes depends on the engine: CallDepth is the limit that repeats.
	Stack uint64
	// CallDepth is how deep calls of a guest's functions, which can recurse, may be. A deeper call
	// ends the guest with outcome [Exhausted] and budget [BudgetCallDepth]. Without a limit an
	// endless recursion is a trap of kind [trap.StackOverflow], after the engine has taken 50 to
	// 100 MB for the stack. The Builder sets it for all guests, because code that is put into
	// modules counts. In any case host functions may call the guest's exports at most 1,000 deep.
	CallDepth uint32
	// Descriptors is descriptors open at once. Opening another is EMFILE, or ENFILE if the limit is
	// that of all guests. No guest opens more than [vfs.MaxDescriptors].
	Descriptors int
	// Threads is threads alive at once besides the first ones. Spawning another is EAGAIN, and the
	// guest goes on. [NoThreads] allows none. See [WithMaxThreads].
	Threads int
	// DiskBytes and Inodes are what files may grow by, and how many files, directories and links
	// may be made, over all mounts. What fits is written; more is EDQUOT. See [quotafs] for what is
	// counted. If no limit of DiskBytes is set, the default file system in memory holds 256 MiB,
	// and more is ENOSPC.
	DiskBytes, Inodes uint64
	// OutputBytes is bytes written to standard output and error together. Output that fits is
	// written. The next write ends the guest with outcome [Exhausted] and budget [BudgetOutput].
	OutputBytes uint64
	// RandomBytes is bytes of randomness, from random_get and from devices. A request for more than
	// is left gets none, and is EDQUOT.
	RandomBytes uint64
	// RecordingBytes is bytes of events in a recording; see [WithRecording]. A guest whose
	// recording would grow larger ends with outcome [Exhausted] and budget [BudgetRecording],
	// before the call that does not fit returns to it. The recording has its end and can be
	// replayed. It is a limit of single guests.
	RecordingBytes uint64
}

// NoThreads is the value of [Limits].Threads by which a guest may start no threads besides the
// first.
const NoThreads = -1

// guestLimits are the budgets of a guest for which no option says others.
func guestLimits() Limits {
	return Limits{Descriptors: 1024, Threads: NoThreads, Stack: defaultStack, RecordingBytes: 4 << 30}
}

func (l *Limits) check() error {
	const notNegative = "0 for no limit, or more"
	for _, f := range []struct {
		name string
		bad  bool
		is   any
		want string
	}{
		{"WallTime", l.WallTime < 0, l.WallTime, notNegative},
		{"CPUTime", l.CPUTime < 0, l.CPUTime, notNegative},
		{"Sleep", l.Sleep < 0, l.Sleep, notNegative},
		{"Descriptors", l.Descriptors < 0, l.Descriptors, notNegative},
		{"Threads", l.Threads < NoThreads, l.Threads, notNegative},
		{"Fuel", l.Fuel > math.MaxInt64, l.Fuel, "at most 2^63-1"},
	} {
		if f.bad {
			return fmt.Errorf("%s is %v: want %s", f.name, f.is, f.want)
		}
	}
	return nil
}

// WithLimits changes budgets of a guest. edit gets the limits that earlier options gave, or the
// defaults, and sets the fields that it changes: 0 is no limit.
//
//	virt.WithLimits(func(l *virt.Limits) { l.Fuel, l.DiskBytes = 1e9, 64<<20 })
//
// [WithMemoryLimit], [WithFuel], [WithTimeout] and [WithMaxThreads] are short for one field. The
// Host calls edit once for each guest or more often.
func WithLimits(edit func(l *Limits)) GuestOption { return guestOption("WithLimits", editGuest(edit)) }

// WithSharedLimits changes the budgets that all guests of the Host share, in addition to their own.
// WallTime begins when the Host is built. Memory, descriptors, threads and disk space that a guest
// frees are available to others.
//
// Plan about twice Memory for the process: Go's collector, compiled code, stacks and buffers come
// on top of linear memory.
func WithSharedLimits(edit func(l *Limits)) HostOption {
	return hostOption("WithSharedLimits", func(c *config) error {
		err := c.edit(&c.shared, Limits{}, edit)
		if err == nil && (c.shared.RecordingBytes != 0 || c.shared.CallDepth != 0 || c.shared.Threads < 0) {
			return errors.New("CallDepth, RecordingBytes and NoThreads are limits of single guests: use WithLimits")
		}
		return err
	})
}

func editGuest(edit func(l *Limits)) func(*config) error {
	return func(c *config) error { return c.edit(&c.limits, guestLimits(), edit) }
}

// edit changes limits whose defaults are as given.
func (c *config) edit(l *Limits, defaults Limits, edit func(l *Limits)) error {
	if edit == nil {
		return errors.New("the function is nil")
	}
	changed := *l
	edit(&changed)
	if err := changed.check(); err != nil {
		return err
	}
	if c.dropIn {
		if err := changed.checkDropIn(&defaults); err != nil {
			return err
		}
	}
	*l = changed
	return nil
}

// WithTimeout ends the guest d after it was made, whether it computes, waits, or is not called at
// all. The Result has outcome [Exhausted] and budget [BudgetWallTime]. 0 is no limit.
//
// d is real time, whatever the Host's clock is. How far a guest comes within d differs from run to
// run. To bound runs that have to repeat exactly, use [WithFuel], and [Limits].Sleep for time on
// the Host's clock.
func WithTimeout(d time.Duration) GuestOption {
	return guestOption("WithTimeout", editGuest(func(l *Limits) { l.WallTime = d }))
}

// WithMemoryLimit bounds a guest's linear memory in bytes. A guest that starts with more is
// refused; growth beyond the limit fails in the guest. 0 is no limit other than the module's own
// and WebAssembly's 4 GiB.
func WithMemoryLimit(bytes uint64) GuestOption {
	return guestOption("WithMemoryLimit", editGuest(func(l *Limits) { l.Memory = bytes }))
}

// WithFuel bounds the WebAssembly instructions that all threads of a guest execute together. 0 is
// no limit. The count is exact and the same on every machine and engine: 1 for each instruction
// that does something, 0 for instructions that only delimit code. A guest that needs more ends with
// outcome [Exhausted] and budget [BudgetFuel], at its next loop or call, or when it returns.
// Threads get fuel in slices, so the last slice may belong to another thread. [Guest.Usage] tells
// how much was used; [Guest.AddFuel] adds to it.
//
// Code that the Host puts into modules counts the instructions. A Host therefore counts for all its
// guests or for none: give WithFuel to the Builder, and other amounts to single guests.
func WithFuel(instructions uint64) GuestOption {
	return guestOption("WithFuel", editGuest(func(l *Limits) { l.Fuel = instructions }))
}

// WithMaxThreads lets a guest have up to n threads alive at once, besides the first; spawning
// another is EAGAIN. 0 is no limit. Default: [NoThreads].
//
// A thread counts until its start function has returned. That is a moment after it can tell others
// that it is done: a program that joins n threads and starts n others needs a limit above n.
func WithMaxThreads(n int) GuestOption {
	return guestOption("WithMaxThreads", editGuest(func(l *Limits) { l.Threads = n }))
}

// WithMaxGuests bounds the guests that exist in the Host at once. [Host.Run], [Host.RunModule] and
// [Host.Instantiate] wait until another guest is closed, or return the cause of their context's
// end. 0 is no limit.
func WithMaxGuests(n int) HostOption {
	return hostOption("WithMaxGuests", func(c *config) error {
		if n < 0 {
			return fmt.Errorf("%d is negative", n)
		}
		c.guests = n
		return nil
	})
}

// admit waits until the Host may have another guest.
func (h *Host) admit(ctx context.Context) error {
	if h.slots == nil {
		return nil
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("make a guest: wait for one of the %d others to be closed (WithMaxGuests): %w", cap(h.slots), context.Cause(ctx))
	}
}

// dismiss lets the next guest in.
func (h *Host) dismiss() {
	if h.slots != nil {
		<-h.slots
	}
}

// Untrusted sets every budget to a value that is safe for untrusted modules and guests in a process
// of 1 GiB. Later options change single budgets.
//
//	budget                value           why
//	memory                64 MiB          enough for Go, Rust and C programs with small inputs
//	memory, all guests    512 MiB         half of the process
//	fuel                  20e9            about 10 to 20 s of computing, the same on every machine
//	processor time        20 s            fuel does not count what calls of the Host compute
//	wall time             30 s            bounds waiting for the embedder's readers and sockets too
//	sleep                 30 s            the same on a virtual clock
//	host calls            10,000,000      some seconds of calls
//	call stack            32 MiB; 128 MiB of a guest; of all guests: the engine alone takes up to 100 MB for each
//	descriptors           64; 2,048       of a guest; of all guests
//	threads               none            threads are granted with WithMaxThreads
//	disk                  64 MiB; 256 MiB of a guest; of all guests
//	inodes                10,000; 40,000  of a guest; of all guests
//	output                1 MiB           standard output and error
//	random bytes          16 MiB
//	recording             4 GiB
//	guests at once        16              more wait for their turn
//	modules               see [inspect.Limits]: stricter than the defaults
//
// Engines of scripts are often larger than that. If the engine is your own and only its scripts
// are untrusted, add WithModuleLimits([inspect.DefaultLimits]()).
func Untrusted() HostOption {
	opts := []Option{
		WithLimits(func(l *Limits) {
			*l = Limits{
				Memory: 64 << 20, Fuel: 20_000_000_000, CPUTime: 20 * time.Second,
				WallTime: 30 * time.Second, Sleep: 30 * time.Second,
				HostCalls: 10_000_000, Stack: 32 << 20, Descriptors: 64, Threads: NoThreads,
				DiskBytes: 64 << 20, Inodes: 10_000,
				OutputBytes: 1 << 20, RandomBytes: 16 << 20, RecordingBytes: 4 << 30,
			}
		}),
		WithSharedLimits(func(l *Limits) {
			*l = Limits{Memory: 512 << 20, Stack: 128 << 20, Descriptors: 2048, DiskBytes: 256 << 20, Inodes: 40_000}
		}),
		WithMaxGuests(16),
		WithModuleLimits(untrustedModuleLimits()),
	}
	return hostOption("Untrusted", func(c *config) error { return errors.Join(apply(c, opts)...) })
}

// Run runs a command in a Host of its own, and frees all of it. See [Host.Run] for the Result and
// the error.
func Run(ctx context.Context, wasm []byte, opts ...Option) (_ *Result, err error) {
	h, err := NewBuilder(opts...).Build(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()
	return h.Run(ctx, wasm)
}
