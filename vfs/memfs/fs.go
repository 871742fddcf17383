package memfs

import (
	"hash/maphash"
	"io/fs"
	"math"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// rootIno is the inode number of the root of every file system.
const rootIno = 1

// nobody is the tag of pages that are never shared.
var nobody *owner

// FS is a file system in memory. Make one with [New] or [FS.Fork]. All its methods may
// be called from any goroutine.
type FS struct {
	limits

	mu    rwlock // names and directories
	owner *owner // changed under all locks, so that any one is enough to read it
	root  *dirNode
	next  uint64 // the next inode number

	stripes [stripeCount]rwlock // files and links
	park    parking

	// These are under mu too: read where it is held, changed where it is held for writing.
	table   tree[inode]
	nodes   tree[node] // by inode number; never shared, so its pages are nobody's
	spares  spares
	orphans map[uint64]struct{} // inodes in the table that have no name any more, but are open
	meta    int64               // bytes of names, inodes and targets of links, as they are charged
	inodes  int64

	used  atomic.Int64 // bytes of contents
	spare spareChunks

	seed  maphash.Seed
	cache atomic.Pointer[nameCache]
	names recentNames // under mu, held for writing
	clock atomic.Pointer[clock.Clock]

	// The clock is one that stays: it came with a mount, not from where this was forked; or with an
	// option, then for forks too.
	attached    atomic.Bool
	clockChosen bool

	identity, origin *identity // of this, and of what it was forked from
	forkedAt         uint64    // the first inode number that had not been given away then
}

var _ vfs.EnvFS = (*FS)(nil)

// identity names a file system without holding it: a fork does not keep alive whom it came from.
type identity struct{ _ byte }

// stripeCount is the number of locks for files. They are most of what a fork copies.
const stripeCount = 32

func (f *FS) stripe(ino uint64) *rwlock { return &f.stripes[ino%stripeCount] }

// limits are what a file system may hold. See the options.
type limits struct {
	maxBytes, maxMeta, maxInodes, maxFile int64
}

// Option is a choice for [New].
type Option func(*FS)

// WithMaxBytes limits the memory for contents to n bytes; 0 is no limit. Beyond it a write answers
// ENOSPC after it has written what fits. Names, inodes and link targets have a budget of their own,
// [vfs.MetadataLimit] of n: each file is charged [vfs.InodeBytes], each name [vfs.NameCost], each
// link target its length. Beyond that budget, making or linking a file, or renaming one to a longer
// name, answers ENOSPC.
func WithMaxBytes(n int64) Option {
	return func(f *FS) {
		f.maxBytes = limit(n)
		f.maxMeta = vfs.MetadataLimit(f.maxBytes)
	}
}

// WithMaxInodes limits the number of files, directories and links, the root among them, to n; 0 is
// no limit. Making one more answers ENOSPC.
func WithMaxInodes(n int64) Option { return func(f *FS) { f.maxInodes = limit(n) } }

// WithMaxFileSize limits the size of each file to n bytes; 0 is no limit. A write beyond it answers
// EFBIG after it has written what fits.
func WithMaxFileSize(n int64) Option { return func(f *FS) { f.maxFile = limit(n) } }

// limit is n, or no limit.
func limit(n int64) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

// WithClock sets the clock that times are taken from, in place of that of the first Host that
// mounts the file system or a fork of it.
func WithClock(c clock.Clock) Option {
	return func(f *FS) {
		f.clock.Store(&c)
		f.clockChosen = true
	}
}

// New returns an empty file system. Without options it has no limits but the
// size of a file, which stays below 1<<63.
func New(opts ...Option) *FS {
	f := &FS{
		limits:   limits{maxBytes: math.MaxInt64, maxMeta: math.MaxInt64, maxInodes: math.MaxInt64, maxFile: math.MaxInt64},
		owner:    new(owner),
		next:     rootIno,
		seed:     maphash.MakeSeed(),
		identity: new(identity),
	}
	f.park.cond.L = &f.park.mu
	f.clock.Store(&noClock)
	for _, opt := range opts {
		opt(f)
	}
	n, _ := f.newInode(&birth{typ: wasip1.FiletypeDirectory, life: known, perm: 0o777, parent: rootIno})
	f.root = (*dirNode)(n)
	return f
}

// Root returns the root directory.
func (f *FS) Root() vfs.Node { return f.root }

// Attach takes the clock of env. Later clocks are not taken, nor any after WithClock. A fork has
// the clock of what it was forked from until it gets its own.
func (f *FS) Attach(env vfs.Env) {
	if env.Clock != nil && !f.clockChosen && f.attached.CompareAndSwap(false, true) {
		c := env.Clock // not &env.Clock, which keeps all of env, the guest that mounted f included
		f.clock.Store(&c)
	}
}

// now returns the time for times of files, in nanoseconds since 1970.
func (f *FS) now() int64 { return (*f.clock.Load()).Realtime() }

// noClock is the clock of a file system that was given none.
var noClock = clock.Frozen(time.Unix(0, 0))

// Usage is what a file system holds and may hold.
type Usage struct {
	// Bytes is the memory that contents take: holes take none, the end of a file up to a
	// chunk of 16 KiB more than it holds. What forks share counts in each.
	Bytes, MaxBytes int64
	// Metadata is the charge for names, inodes and link targets; see [WithMaxBytes].
	Metadata, MaxMetadata int64
	// Inodes counts files, directories and links, those included that are open and have no name.
	Inodes, MaxInodes int64
}

// Usage returns what the file system holds and may hold. Without a limit the
// maximum is math.MaxInt64.
func (f *FS) Usage() Usage {
	f.mu.rlock(&f.park)
	defer f.mu.runlock(&f.park)
	return Usage{
		Bytes: f.used.Load(), MaxBytes: f.maxBytes, Metadata: f.meta, MaxMetadata: f.maxMeta,
		Inodes: f.inodes, MaxInodes: f.maxInodes,
	}
}

// reserve takes want bytes, or as many as there are if that is at least one; it returns how many.
func (f *FS) reserve(want int64) int64 {
	for {
		used := f.used.Load()
		n := min(want, f.maxBytes-used)
		if n <= 0 {
			return 0
		}
		if f.used.CompareAndSwap(used, used+n) {
			return n
		}
	}
}

// reserveMeta takes n bytes of metadata, and reports whether there were as many. It gives back what
// is less than 0. FS.mu is held for writing.
func (f *FS) reserveMeta(n int64) bool {
	if n > 0 && f.meta+n > f.maxMeta {
		return false
	}
	f.meta += n
	return true
}

// modeBits are the mode bits that are kept.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
