package quotafs

import (
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
)

// charges are what an inode was charged.
type charges struct {
	bytes, meta int64
	charged     bool  // an inode was
	gone        bool  // no name is left
	entries     int64 // names in a directory, if counted
	counted     bool
}

// book adds to what an inode is charged. mu is held.
func (f *FS) book(in *inode, bytes, meta, inodes int64) {
	in.bytes += bytes
	in.meta += meta
	if inodes != 0 {
		in.charged = inodes > 0
	}
	f.held.Bytes += bytes
	f.held.Metadata += meta
	f.held.Inodes += inodes
}

// charged is book for an inode that has a name now.
func (f *FS) charged(in *inode, bytes, meta, inodes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.charged {
		inodes = 0
	}
	in.gone = false
	f.book(in, bytes, meta, inodes)
	in.charged = true
}

// CountsTo reports whether q is one of the quotas that files count to.
func (f *FS) CountsTo(q *Quota) bool {
	return q != nil && slices.ContainsFunc(f.quotas, func(a account) bool { return a.Quota == q })
}

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]. The fork has quotas of its own, with the same limits, of which
// what it holds is in use; file systems that are forked together and share a [Quota] share the
// copy. Where s has another [Quota] for one, that takes its place. Errors: ENOSPC or EDQUOT where
// the fork holds more than a quota has left.
func (f *FS) ForkFS(s *vfs.Forking) (vfs.Fork, error) {
	f.names.Lock()
	defer f.names.Unlock()
	below, err := s.Fork(f.fs)
	if err != nil {
		return vfs.Fork{}, err
	}
	f.knowAll()
	f.mu.Lock()
	orphans := f.freeze()
	g := &FS{fs: below.FS, limits: f.limits, inodes: map[uint64]*inode{}, unknown: map[*open]struct{}{}, past: f.past, orphans: orphans, held: f.held}
	f.mu.Unlock()
	g.chargeCopy, g.chargeKept = g.copied, g.kept
	for _, a := range f.quotas {
		q := s.Once(a.Quota, func() any { return a.empty() }).(*Quota)
		if !q.takeAll(g.held) {
			for _, before := range g.quotas {
				before.Quota.give(g.held)
			}
			return vfs.Fork{}, fmt.Errorf("the files hold %d bytes, in %d inodes: %w", g.held.Bytes, g.held.Inodes, a.full)
		}
		g.quotas = append(g.quotas, account{q, a.full})
	}
	g.root = wrapfs.Root(g.Wrap(below.FS.Root()), below.FS.Root())
	return vfs.Fork{FS: g, Node: func(old vfs.Node) vfs.Node { return g.counterpart(f, below.Node, old) }, Settle: func() {
		if below.Settle != nil {
			below.Settle()
		}
		g.settleForked()
	}}, nil
}

// freeze moves what inodes are charged to the ledger, forgets those that nobody uses, and returns
// those without a name. mu is held.
func (f *FS) freeze() (orphans []uint64) {
	orphans = slices.Clone(f.orphans)
	level := make(map[uint64]charges, len(f.inodes))
	for ino, in := range f.inodes {
		if in.gone && in.charged {
			orphans = append(orphans, ino)
		}
		if before, known := f.past.Get(ino); before != in.charges || !known && in.charges != (charges{}) {
			level[ino] = in.charges
		}
		uses := in.uses
		if in.counted {
			uses--
		}
		if uses == 0 && in.opens == 0 {
			delete(f.inodes, ino)
		}
	}
	f.past = f.past.With(level)
	return orphans
}

// counterpart returns the node for one of f, which g was forked from.
func (g *FS) counterpart(f *FS, node func(vfs.Node) vfs.Node, old vfs.Node) vfs.Node {
	below, err := wrapfs.Below(old, f)
	if err != nil {
		return nil
	}
	return g.NodeAbove(node(below))
}

// settleForked gives back what files without a name are charged that nobody has open.
func (f *FS) settleForked() {
	for _, ino := range f.orphans {
		in := f.inode(ino)
		f.mu.Lock()
		drop := in.gone && in.charged && in.opens == 0
		f.mu.Unlock()
		if drop {
			f.refund(in)
		}
		f.drop(ino, in)
	}
	f.orphans = nil
}
