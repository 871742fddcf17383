package virt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
)

// Deterministic makes runs repeat: guests depend only on their modules, the world that they are
// given, and seed. Output, files and Result.Hash are the same in every run, in the compiler and the
// interpreter, on every machine and under any load. It fixes
//
//   - time: a virtual clock from 2000-01-01T00:00:00Z that jumps when everything sleeps, and moves
//     on by a nanosecond an instruction, a slice of instructions at a time;
//   - randomness: see [WithSeed];
//   - threads: one runs at a time, in all guests of the Host; who is next at each WASI call, wait,
//     notify, spawn and end, and after each slice of instructions, is drawn from seed (see
//     [sched.Seeded]), and a deadlock is found;
//   - what follows from these: thread ids, inode numbers, the order of directories, readiness and
//     ports;
//   - standard output: writers are called directly, so that their speed has no effect. A writer
//     that waits makes the whole Host wait, even beyond WithTimeout.
//
// Options beside it win if they keep the promise: [WithClock] with a clock that is not real,
// [WithSeed], [WithScheduler] with a scheduler that takes turns. A real clock, the system's
// randomness, parallel threads, and sockets or directories of the machine are errors of
// [Builder.Build], or of [Host.Instantiate] if a guest's options bring them.
// [Determinism].MachineAccess allows sockets and directories of the machine.
//
// The promise does not cover:
//
//   - the bits of NaNs that arithmetic makes, unless Determinism.CanonicalNaNs is set;
//   - recursion deeper than the engine or [Limits].Stack allows; [Limits].CallDepth ends it at the
//     same depth everywhere;
//   - what the embedder's own functions, readers, file systems and clocks do, and what its
//     goroutines do to a guest that runs;
//   - when input comes from a reader that waits: a pipe or a terminal, but not a file, bytes.Reader
//     or strings.Reader;
//   - real directories and sockets, where they are let in;
//   - limits in the machine's time: [WithTimeout], [Limits].CPUTime and contexts;
//   - guests that are started from several goroutines at a time: [Host.RunAll] begins them
//     together;
//   - another version of this library, which may draw other things from the same seed.
func Deterministic(seed uint64) HostOption {
	return hostOption("Deterministic", deterministic(Determinism{Seed: seed}))
}

// Determinism says how a deterministic Host runs guests. The zero value is [Deterministic] with
// seed 0.
type Determinism struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Strategy chooses the thread that runs next. nil is [sched.Uniform].
	Strategy sched.Strategy
	// MemoryModel says when threads see what others have stored. Models other than
	// [sched.SequentialConsistency] need [WithAccessSwitches] and cannot be recorded.
	MemoryModel sched.MemoryModel
	// LateTimers moves the clock to the next deadline at some switch points, drawn from the seed,
	// although threads could run: as if the machine had stopped these threads. A program that
	// sleeps instead of synchronizing then fails in some seeds. Deadlines more than a second ahead
	// are left alone, so that a watchdog of a minute does not fire. In one of four seeds all timers
	// are punctual.
	LateTimers bool
	// CanonicalNaNs makes each NaN that arithmetic gives the canonical one, with sign 0.
	// WebAssembly leaves sign and bits open, and processors and engines differ: a guest sees it if
	// it looks at the bits. Loops of floating-point arithmetic take 1.1 to 2.7 times as long. Like
	// all that changes code it is decided by the first Host, not by its siblings.
	CanonicalNaNs bool
	// MachineAccess lets directories and sockets of the machine into the world. What they answer,
	// and when, is not repeated.
	MachineAccess bool
}

// WithDeterminism is [Deterministic] with more to decide than the seed.
func WithDeterminism(d Determinism) HostOption {
	return hostOption("WithDeterminism", deterministic(d))
}

func deterministic(d Determinism) func(*config) error {
	return func(c *config) error { c.deterministic = &d; return nil }
}

// lateness moves the clock at switch points. As threads take turns it needs no lock.
type lateness struct {
	seed uint64
	rate float64
}

// chance is a number from 0 to below 1 that depends on all that is given. What happens at a
// thread's n-th switch point, by such a number, is the same whatever other threads have done
// before.
func chance(of ...uint64) float64 {
	h := uint64(0x9e37_79b9_7f4a_7c15)
	for _, v := range of {
		h = (h ^ v) * 0xbf58_476d_1ce4_e5b9
		h ^= h >> 29
		h *= 0x94d0_49bb_1331_11eb
		h ^= h >> 32
	}
	return float64(h>>11) / (1 << 53)
}

// maxLate is how far ahead a deadline may be that is jumped to.
const maxLate = int64(time.Second)

// newLateness returns what makes a run's timers late, or nil.
func newLateness(d *Determinism) *lateness {
	if d == nil || !d.LateTimers {
		return nil
	}
	l := &lateness{seed: d.Seed ^ 0x1a7e}
	l.rate = [...]float64{0, 1.0 / 64, 1.0 / 16, 1.0 / 4}[rand.New(rand.NewPCG(d.Seed, 0x1a7e)).IntN(4)]
	return l
}

// at is called at each switch point of a thread.
func (l *lateness) at(k clock.Clock, thread uint32, point uint64) {
	if l.rate == 0 || chance(l.seed, uint64(thread), point) >= l.rate {
		return
	}
	if v, ok := clock.As[clock.Mover](k); ok {
		if ahead, set := v.UntilNext(); set && ahead <= maxLate {
			v.AdvanceToNext()
		}
	}
}

// WithAccessSwitches also switches threads between loads and stores of shared memory, if threads
// take turns. Without it no other thread runs between the load and the store of a counter++. It
// makes such guests 10 to 100 times slower. Package explore uses it.
func WithAccessSwitches() HostOption {
	return hostOption("WithAccessSwitches", func(c *config) error { c.access = true; return nil })
}

// settle fills in what the options of a deterministic Host leave open, and reports what breaks the
// promise.
func (d *Determinism) settle(c *config) error {
	if c.clock == nil {
		c.clock = clock.NewVirtual(clock.WithAutoAdvance(), clock.WithStart(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
	}
	if c.scheduler == nil {
		c.scheduler = sched.NewSeeded(sched.SeededConfig{Seed: d.Seed, Strategy: d.Strategy})
	}
	if c.seed == nil {
		c.seed = &d.Seed
	}
	c.nans = d.CanonicalNaNs
	var errs []error
	if clock.UsesMachine(c.clock) {
		errs = append(errs, errors.New("WithClock: the clock is the machine's: give clock.NewVirtual, or leave the option out"))
	}
	if !sched.TakesTurns(c.scheduler) {
		errs = append(errs, errors.New("WithScheduler: the threads run in parallel, or the scheduler does not say: give sched.NewSeeded, or implement sched.TurnTaker"))
	}
	return breaks(append(errs, d.check(c)))
}

// check reports what breaks the promise among the options that a guest may be given too.
func (d *Determinism) check(c *config) error {
	var errs []error
	if random.UsesMachine(c.random) {
		errs = append(errs, errors.New("WithRandom: the source is the machine's: give random.Seeded, or leave the option out"))
	}
	if d.MachineAccess {
		return errors.Join(errs...)
	}
	for fd, s := range c.streams {
		if vfs.UsesMachine(s) {
			errs = append(errs, fmt.Errorf("WithStream: descriptor %d is a socket of the machine (%T): give one of netmem, or set Determinism.MachineAccess", fd, s))
		}
	}
	for _, p := range c.given {
		if vfs.UsesMachine(p.stream) {
			errs = append(errs, fmt.Errorf("WithPreopened: a socket of the machine (%T): give one of netmem, or set Determinism.MachineAccess", p.stream))
		}
	}
	if vfs.UsesMachine(c.network) {
		errs = append(errs, fmt.Errorf("WithNetwork: the network is the machine's (%T): give one of netmem, or set Determinism.MachineAccess", c.network))
	}
	for _, m := range c.mounts {
		if vfs.UsesMachine(m.fsys) {
			errs = append(errs, machineError(m.path))
		}
	}
	return errors.Join(errs...)
}

func machineError(path string) error {
	return fmt.Errorf("WithMount: %s shows a directory of the machine: copy it into a memfs, or set Determinism.MachineAccess", path)
}

// breaks makes one error of what breaks the promise, or nil.
func breaks(errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("Deterministic: %w", err)
	}
	return nil
}

// checkGuest is check for a guest, whose options may have added to the Host's.
func (c *config) checkGuest() error {
	if c.deterministic == nil {
		return nil
	}
	return breaks([]error{c.deterministic.check(c)})
}

// checkMount reports a mount that shows the machine's files, made for one guest or while it runs.
func checkMount(path string, fsys vfs.FS) error {
	if vfs.UsesMachine(fsys) {
		return breaks([]error{machineError(path)})
	}
	return nil
}

// stdio is how the guest's writers are used.
func (g *Guest) stdio() []stdio.Option {
	if g.config.deterministic != nil || g.adopted {
		return []stdio.Option{stdio.WithDirect()}
	}
	return []stdio.Option{stdio.WithAround(g.mark)}
}
