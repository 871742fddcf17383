package faultfs

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is a file system with faults. Make one with [New].
type FS struct {
	fs    vfs.FS
	root  vfs.Node
	at    string
	seed  uint64
	tear  bool
	sleep func(time.Duration)
	env   atomic.Pointer[vfs.Env] // with a clock

	mu    sync.Mutex
	rules []*active

	appending sync.Mutex // for files that cannot append by themselves

	// off says that the power is off. Openings of an earlier generation are from before it went
	// off.
	off        atomic.Bool
	generation atomic.Uint64
	track      *tracker
}

// active is a rule with its count and its random numbers. Guarded by FS.mu.
type active struct {
	Rule
	ev    event
	calls int
	hits  int
	src   *rand.PCG
	rng   *rand.Rand // of src
}

// Option changes what [New] makes.
type Option func(*FS)

// WithDir says where guests see the root, so that patterns can be their paths: with
// WithDir("/data") the file f in the root is /data/f.
func WithDir(dir string) Option { return func(f *FS) { f.at = path.Clean("/" + dir) } }

// WithSeed sets the seed that probabilities and wrong bits are drawn from; each rule has its own
// numbers.
func WithSeed(n uint64) Option { return func(f *FS) { f.seed = n } }

// WithSleep sets how a delay waits.
func WithSleep(f func(time.Duration)) Option { return func(fs *FS) { fs.sleep = f } }

// WithDurability keeps what [FS.CutPower] needs to know.
func WithDurability() Option {
	return func(f *FS) { f.track = newTracker(f.fs) }
}

// WithStrictDurability is WithDurability with no more than POSIX promises: a name is durable once
// its directory was synced, and neither by a sync of the file nor by a rename. It finds programs
// that forget to sync a directory.
func WithStrictDurability() Option {
	return func(f *FS) {
		f.track = newTracker(f.fs)
		f.track.strict = true
	}
}

// WithTornWrites lets some of what was written and not synced survive a loss of power: each sector
// of 512 bytes does or does not, drawn from the seed, as where a disk writes in an order of its
// own. Without it all that was not synced is lost. It finds programs that take a record for whole
// because its beginning is there. Files whose last name was removed, and names, are as without it.
func WithTornWrites() Option { return func(f *FS) { f.tear = true } }

// New returns fsys with faults. Errors: a rule that says nothing sensible, see [Rule.Validate].
func New(fsys vfs.FS, rules []Rule, opts ...Option) (*FS, error) {
	f := &FS{fs: fsys, at: "/"}
	for _, o := range opts {
		o(f)
	}
	if err := f.Add(rules...); err != nil {
		return nil, err
	}
	root := f.wrap(fsys.Root(), f.at)
	if f.track != nil {
		root.own().known = f.track.root
	}
	f.root = wrapfs.Root(root, fsys.Root())
	return f, nil
}

var _ vfs.EnvFS = (*FS)(nil)

// UsesMachine implements [vfs.MachineUser].
func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.fs) }

// KeepsWrites implements [vfs.SpaceUser].
func (f *FS) KeepsWrites() bool { return vfs.KeepsWrites(f.fs) }

// Root returns the root.
func (f *FS) Root() vfs.Node { return f.root }

// Attach takes the clock for delays, and hands env on.
func (f *FS) Attach(env vfs.Env) {
	if env.Clock != nil {
		f.env.CompareAndSwap(nil, &env)
	}
	wrapfs.Attach(f.fs, env)
}

// Add adds rules, also while guests run. They start counting now.
func (f *FS) Add(rules ...Rule) error {
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("fault rule %q: %w", r, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		src := rand.NewPCG(f.seed, uint64(len(f.rules)))
		f.rules = append(f.rules, &active{Rule: r, ev: eventOf(r.Op), src: src, rng: rand.New(src)})
	}
	return nil
}

// Remove takes rules away that were added as they are. Rules that are not there are ignored.
func (f *FS) Remove(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		if i := slices.IndexFunc(f.rules, func(a *active) bool { return a.Rule == r }); i >= 0 {
			f.rules = slices.Delete(slices.Clone(f.rules), i, i+1)
		}
	}
}

// Clear takes all rules away.
func (f *FS) Clear() {
	f.mu.Lock()
	f.rules = nil
	f.mu.Unlock()
}

// Hits tells how often a rule matched a call, and how often it acted.
type Hits struct {
	Rule         Rule
	Calls, Acted int
}

// Hits returns the counts of all rules, in the order in which they were added.
func (f *FS) Hits() []Hits {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := make([]Hits, len(f.rules))
	for i, r := range f.rules {
		h[i] = Hits{r.Rule, r.calls, r.hits}
	}
	return h
}

// outcome is what the rules make of a transfer.
type outcome struct {
	short   int // 0: all
	corrupt []*active
}

// fire finds out what the rules say of a call, waits if they say so, and returns the error that
// takes its place.
func (f *FS) fire(ev event, paths ...string) (outcome, error) {
	if f.off.Load() {
		return outcome{}, wasip1.EIO
	}
	var out outcome
	var delay time.Duration
	var errno wasip1.Errno
	power := false
	f.mu.Lock()
	for _, r := range f.rules {
		if r.ev&ev == 0 || !r.matches(paths) || !r.acts() {
			continue
		}
		delay += r.Delay
		power = power || r.PowerLoss
		if errno == wasip1.ESUCCESS {
			errno = r.Errno
		}
		if r.Short > 0 && (out.short == 0 || r.Short < out.short) {
			out.short = r.Short
		}
		if r.Corrupt > 0 {
			out.corrupt = append(out.corrupt, r)
		}
	}
	f.mu.Unlock()
	if power {
		if err := f.CutPower(); err != nil {
			return outcome{}, err
		}
		return outcome{}, wasip1.EIO
	}
	if delay > 0 {
		f.wait(delay)
	}
	return out, errno.Err()
}

// acts counts a call and reports whether it is one that is meant.
func (r *active) acts() bool {
	r.calls++
	switch {
	case r.Nth > 0 && r.calls != r.Nth, r.From > 0 && r.calls < r.From, r.Every > 0 && r.calls%r.Every != 0:
		return false
	case r.Probability > 0 && r.rng.Float64() >= r.Probability:
		return false
	}
	r.hits++
	return true
}

// spoil makes bits of what was read wrong.
func (f *FS) spoil(by []*active, p []byte) {
	if len(p) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range by {
		for range r.Corrupt {
			bit := r.rng.Uint64N(uint64(len(p)) * 8)
			p[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// wait waits on the Host's clock.
func (f *FS) wait(d time.Duration) {
	if f.sleep != nil {
		f.sleep(d)
		return
	}
	e := f.env.Load()
	if e == nil {
		time.Sleep(d)
		return
	}
	if e.Sleep != nil {
		e.Sleep(d)
		return
	}
	// A guest's thread holds the time of a virtual clock, which would never come to the deadline.
	if v, ok := e.Clock.(interface {
		Holds() int
		Pause(time.Duration)
	}); ok && v.Holds() > 0 {
		v.Pause(d)
		return
	}
	done := make(chan struct{})
	e.Clock.AfterFunc(e.Clock.Monotonic()+int64(d), func() { close(done) })
	<-done
}
