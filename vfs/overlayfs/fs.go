package overlayfs

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is two file systems seen as one. Make one with [New].
type FS struct {
	lower, upper vfs.FS
	releases     bool // nodes of a layer hold something of the machine
	clock        atomic.Pointer[clock.Clock]

	mu      sync.Mutex
	root    *dir
	lastIno uint64
	inos    map[layerIno]uint64
	shared  map[layerIno]node // files of a layer with several names there
	wanted  []*inode          // see unlock
	plain   vfs.PlainOpener   // the lower's root, if it resolves paths
	changes atomic.Uint64     // of names, and copies; changed with mu held
	scratch uint64            // names given out for files that are being copied or have lost theirs

	past      past
	known     map[uint64]node     // the inodes that were written down, as far as they were made
	unwritten map[*inode]struct{} // those that are not as they were written down

	copies, maxCopies int64 // bytes that were copied up and are kept
	aside             int64 // those of them that a fork does not take over by itself; see file.aside

	charge vfs.KeepCharge // of the change that is being made; nil for none
}

// DefaultMaxCopyUp is how many bytes are copied up and kept at most unless [WithMaxCopyUp] says
// otherwise.
const DefaultMaxCopyUp = 1 << 30

// Option changes what [New] makes.
type Option func(*FS)

// WithMaxCopyUp limits how many bytes of files of the lower are copied up and kept at one time; 0
// is no limit. A file counts with its size when it is changed first, holes included, until its last
// name and opening are gone. The change that would need more is refused with ENOSPC, before
// anything is copied. What guests write besides is limited by the upper, or by a quota above the
// overlay, to which a copy counts too.
func WithMaxCopyUp(bytes int64) Option {
	return func(f *FS) {
		if bytes <= 0 {
			bytes = math.MaxInt64
		}
		f.maxCopies = bytes
	}
}

// layerIno is an inode number in a layer.
type layerIno struct {
	upper bool
	ino   uint64
}

var _ vfs.EnvFS = (*FS)(nil)

// New returns upper over lower. A root that is no directory counts as an empty one; as the upper it
// takes nothing.
func New(lower, upper vfs.FS, opts ...Option) *FS {
	f := newFS(lower, upper)
	_, lr := lower.Root().(vfs.Releaser)
	_, ur := upper.Root().(vfs.Releaser)
	f.releases = lr || ur
	f.maxCopies, f.lastIno, f.past.lastID = DefaultMaxCopyUp, 1, rootID
	f.root.ino, f.root.pinned = f.lastIno, true
	for _, o := range opts {
		o(f)
	}
	return f
}

// newFS returns an FS that has its layers and its root.
func newFS(lower, upper vfs.FS) *FS {
	f := &FS{
		lower: lower, upper: upper, inos: make(map[layerIno]uint64), shared: make(map[layerIno]node),
		known: make(map[uint64]node), unwritten: make(map[*inode]struct{}),
	}
	f.plain, _ = lower.Root().(vfs.PlainOpener)
	f.root = f.newNode(wasip1.FiletypeDirectory, lower.Root(), upper.Root()).(*dir)
	f.root.id = rootID
	f.known[rootID] = f.root
	return f
}

// Root returns the root directory.
func (f *FS) Root() vfs.Node { return f.root }

// UsesMachine implements [vfs.MachineUser].
func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.lower) || vfs.UsesMachine(f.upper) }

// Attach hands the Host's time and randomness on to both layers.
func (f *FS) Attach(env vfs.Env) {
	if env.Clock != nil {
		c := env.Clock // not &env.Clock, which keeps all of env, the guest that mounted f included
		f.clock.CompareAndSwap(nil, &c)
	}
	for _, l := range []vfs.FS{f.lower, f.upper} {
		wrapfs.Attach(l, env)
	}
}

func (f *FS) now() int64 {
	if c := f.clock.Load(); c != nil {
		return (*c).Realtime()
	}
	return time.Now().UnixNano()
}

// number returns the overlay's number of a layer's inode: twice that of the lower, where that can
// be. mu is held.
func (f *FS) number(l layerIno) uint64 {
	if !l.upper && l.ino < 1<<63 {
		return l.ino << 1
	}
	n, ok := f.inos[l]
	if !ok {
		n, ok = f.past.inos.Get(l)
	}
	if !ok {
		n = f.newNumber()
		f.inos[l] = n
	}
	return n
}

// newNumber returns an odd number. mu is held.
func (f *FS) newNumber() uint64 {
	f.lastIno += 2
	return f.lastIno
}

// scratchPrefix starts names in the root of the upper that guests do not see.
const scratchPrefix = ".wasivirt-overlay-"

func (d *dir) hides(name string) bool {
	return d == d.fs.root && strings.HasPrefix(name, scratchPrefix)
}
