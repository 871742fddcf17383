package virt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Budgets that do not end a guest. A [*BudgetError] names them if a guest cannot be made.
const (
	BudgetMemory      Budget = "memory"
	BudgetDescriptors Budget = "descriptors"
)

func (l *Limits) check() error {
	switch {
	case l.WallTime < 0 || l.CPUTime < 0 || l.Sleep < 0 || l.Descriptors < 0 || l.Threads < 0:
		return fmt.Errorf("a limit is negative: %+v", *l)
	case l.Fuel > math.MaxInt64:
		return fmt.Errorf("%d instructions are more than 2^63-1", l.Fuel)
	}
	return nil
}

// WithLimits sets all budgets of a guest at once. It replaces what earlier options set; later short
// forms such as [WithFuel] change single ones. Zero fields:
//
//   - Descriptors: 1024;
//   - Threads: the guest may start none;
//   - Stack: 128 MiB for modules with a shared memory;
//   - all others: no limit.
func WithLimits(l Limits) GuestOption {
	return guestOption("WithLimits", func(c *config) error {
		if err := l.check(); err != nil {
			return err
		}
		if c.dropIn {
			if err := l.checkDropIn(); err != nil {
				return err
			}
		}
		c.memory, c.fuel, c.timeout, c.output = l.Memory, l.Fuel, l.WallTime, l.OutputBytes
		c.fds, c.threads = l.Descriptors, l.Threads
		c.control.limits = l
		return nil
	})
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
//	threads               0               threads are granted with WithMaxThreads
//	disk                  64 MiB; 256 MiB of a guest; of all guests
//	inodes                10,000; 40,000  of a guest; of all guests
//	output                1 MiB           standard output and error
//	random bytes          16 MiB
//	guests at once        16              more wait for their turn
//	modules               see [inspect.Limits]: stricter than the defaults; real engines such as Ruby need the interpreter
//
// A recording has a budget of its own; see [WithRecordingLimit].
func Untrusted() HostOption {
	opts := []Option{
		WithLimits(Limits{
			Memory: 64 << 20, Fuel: 20_000_000_000, CPUTime: 20 * time.Second,
			WallTime: 30 * time.Second, Sleep: 30 * time.Second,
			HostCalls: 10_000_000, Stack: 32 << 20, Descriptors: 64, DiskBytes: 64 << 20, Inodes: 10_000,
			OutputBytes: 1 << 20, RandomBytes: 16 << 20,
		}),
		WithSharedLimits(Limits{Memory: 512 << 20, Stack: 128 << 20, Descriptors: 2048, DiskBytes: 256 << 20, Inodes: 40_000}),
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
