package quotafs

import (
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/levels"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is a file system within limits. Make one with [New].
type FS struct {
	fs     vfs.FS
	limits Limits
	quotas []account
	// chargeCopy is copied, bound once: it is handed on with every write.
	chargeCopy func(ino uint64, inodes, bytes int64) error
	// chargeKept is kept, bound once.
	chargeKept vfs.KeepCharge
	root       vfs.Node

	names sync.RWMutex // one change of names at a time; held for reading while a path is opened

	mu      sync.Mutex
	inodes  map[uint64]*inode
	past    levels.Map[uint64, charges] // of inodes that are not in inodes
	orphans []uint64                    // in past, without a name, that descriptors may still open
	held    Usage                       // what all inodes are charged
	unknown map[*open]struct{}          // openings of which nothing is known yet
}

// account is a quota with what it answers when it is used up.
type account struct {
	*Quota
	full wasip1.Errno
}

// inode is what is known of a file that was made or is in use through the wrapper.
type inode struct {
	mu sync.Mutex // growth

	// Guarded by FS.mu, and bytes by mu besides.
	uses  int // nodes and openings in memory
	opens int // openings
	charges
}

// names returns what of in.meta was charged for names. FS.mu is held.
func (in *inode) names() int64 {
	if in.charged {
		return in.meta - vfs.InodeBytes
	}
	return in.meta
}

func (f *FS) namesCharged(in *inode) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return in.names()
}

// Option changes what [New] makes.
type Option func(*FS)

// WithQuota makes everything count against q too, which other file systems may take from. When it
// is used up the answer is EDQUOT.
func WithQuota(q *Quota) Option {
	return func(f *FS) { f.quotas = append(f.quotas, account{q, wasip1.EDQUOT}) }
}

// New returns fsys within limits. What fsys holds already is not counted; see [FS.Count].
func New(fsys vfs.FS, limits Limits, opts ...Option) *FS {
	f := &FS{fs: fsys, limits: limits, inodes: make(map[uint64]*inode), unknown: make(map[*open]struct{})}
	f.limits.FileSize, f.limits.DirEntries = orUnlimited(limits.FileSize), orUnlimited(limits.DirEntries)
	f.quotas = []account{{NewQuota(limits.Bytes, limits.Inodes), wasip1.ENOSPC}}
	f.chargeCopy, f.chargeKept = f.copied, f.kept
	for _, o := range opts {
		o(f)
	}
	f.root = wrapfs.Root(f.Wrap(fsys.Root()), fsys.Root())
	return f
}

var _ vfs.EnvFS = (*FS)(nil)

// Unwrap returns the file system below.
func (f *FS) Unwrap() vfs.FS { return f.fs }

// UsesMachine implements [vfs.MachineUser].
func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.fs) }

// KeepsWrites implements [vfs.SpaceUser].
func (f *FS) KeepsWrites() bool { return vfs.KeepsWrites(f.fs) }

// Root returns the root.
func (f *FS) Root() vfs.Node { return f.root }

// Quota returns the quota that is this file system's own.
func (f *FS) Quota() *Quota { return f.quotas[0].Quota }

// Attach hands env on.
func (f *FS) Attach(env vfs.Env) { wrapfs.Attach(f.fs, env) }

// Count charges what the file system holds already, the root excepted, as if it had been made
// through the wrapper. It is called before the file system is used. Errors: ENOSPC or EDQUOT if it
// holds more than it may; ENAMETOOLONG if it is deeper than a path leads. Then nothing is charged.
func (f *FS) Count() error {
	root, ok := f.fs.Root().(vfs.Directory)
	if !ok {
		return nil
	}
	f.names.Lock()
	defer f.names.Unlock()
	seen := make(map[uint64]bool)
	err := f.count(root, seen, vfs.MaxPath/2)
	if err != nil {
		for ino := range seen {
			f.mu.Lock()
			in := f.inodes[ino]
			f.mu.Unlock()
			f.refund(in)
			f.forget(ino, in)
		}
	}
	return err
}

// count counts what is below d, which may have directories in it depth levels deep: each takes a
// piece of the stack.
func (f *FS) count(d vfs.Directory, seen map[uint64]bool, depth int) error {
	if depth < 0 {
		return wasip1.ENAMETOOLONG
	}
	var buf [64]vfs.DirEntry
	for cookie := uint64(0); ; {
		n, err := d.ReadDir(cookie, buf[:])
		if n == 0 || err != nil {
			return err
		}
		cookie = buf[n-1].Next
		for _, e := range buf[:n] {
			if err := f.countEntry(d, e, seen, depth-1); err != nil {
				return err
			}
		}
	}
}

func (f *FS) countEntry(d vfs.Directory, e vfs.DirEntry, seen map[uint64]bool, depth int) error {
	n, err := d.Lookup(e.Name)
	if err != nil {
		return err
	}
	defer wrapfs.Release(n)
	a, err := n.Attr()
	if err != nil {
		return err
	}
	in := f.inode(a.Ino)
	if in.charged {
		if seen[a.Ino] { // another name of what was counted
			if err = f.takeMeta(vfs.NameCost(e.Name)); err == nil {
				f.chargeMeta(in, vfs.NameCost(e.Name))
			}
		}
		f.drop(a.Ino, in)
		return err
	}
	if err := f.takeInode(); err != nil {
		f.drop(a.Ino, in)
		return err
	}
	f.charged(in, 0, 0, 1)
	seen[a.Ino] = true
	cost := vfs.InodeBytes + vfs.NameCost(e.Name)
	if err := f.takeMeta(cost); err != nil {
		f.drop(a.Ino, in)
		return err
	}
	f.chargeMeta(in, cost)
	if a.Type == wasip1.FiletypeRegularFile || a.Type == wasip1.FiletypeSymbolicLink {
		got, err := f.take(int64(a.Size) - in.bytes)
		f.charge(in, got)
		if err != nil {
			f.drop(a.Ino, in)
			return err
		}
	}
	f.drop(a.Ino, in)
	if sub, ok := n.(vfs.Directory); ok {
		return f.count(sub, seen, depth)
	}
	return nil
}

// take takes as much of n bytes as all quotas have, and says which had no more.
func (f *FS) take(n int64) (int64, error) {
	var err error
	if n <= 0 {
		return 0, nil
	}
	for i, q := range f.quotas {
		got := q.takeBytes(n)
		if got < n {
			for _, before := range f.quotas[:i] {
				before.giveBytes(n - got)
			}
			n, err = got, q.full
		}
	}
	return n, err
}

func (f *FS) give(n int64) {
	if n > 0 {
		for _, q := range f.quotas {
			q.giveBytes(n)
		}
	}
}

func (f *FS) takeInode() error {
	for i, q := range f.quotas {
		if !q.takeInode() {
			for _, before := range f.quotas[:i] {
				before.giveInode()
			}
			return q.full
		}
	}
	return nil
}

// takeMeta takes n bytes of metadata from all quotas or none, and says which had not as many.
func (f *FS) takeMeta(n int64) error {
	for i, q := range f.quotas {
		if !q.takeMeta(n) {
			for _, before := range f.quotas[:i] {
				before.giveMeta(n)
			}
			return q.full
		}
	}
	return nil
}

func (f *FS) giveMeta(n int64) {
	if n > 0 {
		for _, q := range f.quotas {
			q.giveMeta(n)
		}
	}
}

// chargeMeta notes that n bytes of metadata which were taken belong to the inode, or, if negative,
// gives them back as far as they had been charged for names.
func (f *FS) chargeMeta(in *inode, n int64) {
	f.mu.Lock()
	if n < 0 {
		n = max(n, -in.names())
	}
	f.book(in, 0, n, 0)
	f.mu.Unlock()
	if n < 0 {
		f.giveMeta(-n)
	}
}

func (f *FS) giveInode() {
	for _, q := range f.quotas {
		q.giveInode()
	}
}

// inode returns what is known of an inode and notes a use of it.
func (f *FS) inode(ino uint64) *inode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inodeLocked(ino)
}

func (f *FS) inodeLocked(ino uint64) *inode {
	in := f.inodes[ino]
	if in == nil {
		in = new(inode)
		if in.charges, _ = f.past.Get(ino); in.counted {
			in.uses++
		}
		f.inodes[ino] = in
	}
	in.uses++
	return in
}

// drop ends a use. What is charged is remembered without being used.
func (f *FS) drop(ino uint64, in *inode) {
	f.mu.Lock()
	in.uses--
	f.mu.Unlock()
	f.forget(ino, in)
}

// forget lets go of an inode that nothing has to be known of.
func (f *FS) forget(ino uint64, in *inode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.uses > 0 || in.opens > 0 || in.bytes != 0 || in.meta != 0 || in.charged || f.inodes[ino] != in {
		return
	}
	if _, known := f.past.Get(ino); !known { // else what the past says would count again
		delete(f.inodes, ino)
	}
}

// charge notes that n bytes which were taken are now in the inode, or, if negative, gives them back
// as far as they had been charged.
func (f *FS) charge(in *inode, n int64) {
	f.mu.Lock()
	if n < 0 {
		n = max(n, -in.bytes)
	}
	f.book(in, n, 0, 0)
	f.mu.Unlock()
	if n < 0 {
		f.give(-n)
	}
}

// refund gives everything back that an inode was charged.
func (f *FS) refund(in *inode) {
	f.mu.Lock()
	bytes, meta, inode := in.bytes, in.meta, in.charged
	if inode {
		f.book(in, -bytes, -meta, -1)
	} else {
		f.book(in, -bytes, -meta, 0)
	}
	f.mu.Unlock()
	f.give(bytes)
	f.giveMeta(meta)
	if inode {
		f.giveInode()
	}
}

// unnamed notes that the last name of an inode has gone: at once its charge is given back, or at
// the last close.
func (f *FS) unnamed(in *inode) {
	f.mu.Lock()
	in.gone = true
	open := in.opens > 0
	f.mu.Unlock()
	if !open {
		f.refund(in)
	}
}
