package virt

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// forked is a mount of a snapshot.
type forked struct {
	path     string
	fs       vfs.FS
	readOnly bool
}

// snapshotDisk is what takes the place of budgets of disk in a snapshot, and what its mounts share
// with those that they were taken from.
type snapshotDisk struct {
	own, shared *quotafs.Quota // nil where the guest had no such budget
	// usual is what file systems in memory from a file hold together, of guests without a budget of
	// their own; nil where there are no such.
	usual *quotafs.Quota
	fixed []vfs.FS // file systems that nobody can change and nothing forks
}

// takeFiles takes descriptors and file systems.
func (s *Snapshot) takeFiles(g *Guest) (err error) {
	if s.files, err = g.files.States(g.ns); err != nil {
		return err
	}
	for i := range s.files {
		f := &s.files[i]
		if f.Root {
			f.Node = nil // it leads to the guest, and is found again by its path
		}
		if f.Stream == nil {
			continue
		}
		n := slices.Index(streamNames[:], f.Path) // by name, since one stream may stand for several: discarded output does
		if n < 0 || g.streams[n] != f.Stream || f.Node != nil {
			return fmt.Errorf("descriptor %d (%s) is a stream or device that is open: close it before", f.Fd, f.Path)
		}
		f.Offset, f.Stream = int64(n), stdio.Discard{} // which of the three it is: the stream leads to the guest
	}
	var forking vfs.Forking
	for i := range g.streams {
		forking.Use(vfs.StandardStream(i), stdio.Discard{}) // devices lead to the streams of the guest that is made
	}
	if g.budgets.disk != nil {
		s.disk.own = quotafs.NewQuota(0, 0)
		forking.Use(g.budgets.disk, s.disk.own)
	}
	if g.sharedDisk != nil {
		s.disk.shared = quotafs.NewQuota(0, 0)
		forking.Use(g.sharedDisk, s.disk.shared)
		forking.Use(g.host.budgets.disk, s.disk.shared)
	}
	if g.forks.usual != nil {
		s.disk.usual = quotafs.NewQuota(0, 0)
		forking.Use(g.forks.usual, s.disk.usual)
	}
	nodes := map[string]func(vfs.Node) vfs.Node{}
	for _, m := range g.ns.Mounts() {
		if m.ReadOnly {
			s.shareFixed(m.FS)
		}
		s.disk.use(&forking)
		fork, err := forking.Fork(m.FS)
		if errors.Is(err, wasip1.ENOTSUP) {
			return fmt.Errorf("mount %s: %w: mount it vfs.WithReadOnly, or copy it into a memfs", m.Path, err)
		} else if err != nil {
			return fmt.Errorf("mount %s: %w", m.Path, err)
		}
		s.mounts, nodes[m.Path] = append(s.mounts, forked{m.Path, fork.FS, m.ReadOnly}), fork.Node
	}
	for i := range s.files {
		if f := &s.files[i]; f.Node != nil && !f.Root {
			if f.Node = nodes[f.Mount](f.Node); f.Node == nil {
				return fmt.Errorf("descriptor %d (%s): its file has been removed: close it before", f.Fd, f.Path)
			}
		}
	}
	return nil
}

// shareFixed notes that a file system which is mounted read-only, or what it is a layer of, is
// shared where it cannot be forked.
func (s *Snapshot) shareFixed(fsys vfs.FS) {
	for fsys != nil {
		if _, ok := fsys.(vfs.Forker); !ok {
			s.disk.fixed = append(s.disk.fixed, fsys)
		}
		layer, ok := fsys.(interface{ Unwrap() vfs.FS })
		if !ok {
			return
		}
		fsys = layer.Unwrap()
	}
}

// use makes file systems that nobody can change their own copies.
func (d *snapshotDisk) use(f *vfs.Forking) {
	for _, fsys := range d.fixed {
		f.Use(fsys, vfs.Fork{FS: fsys, Node: func(n vfs.Node) vfs.Node { return n }})
	}
}

// mountsBeside are the snapshot's mounts, but for those at the paths of others, and these.
func (s *Snapshot) mountsBeside(others []mount) []mount {
	all := make([]mount, 0, len(s.mounts)+len(others))
	for i := range s.mounts {
		f := &s.mounts[i]
		if slices.ContainsFunc(others, func(m mount) bool { return samePath(m.path, f.path) }) {
			continue
		}
		m := mount{path: f.path, forked: true, make: func(g *Guest) (vfs.FS, error) { return g.mountForked(s, f) }}
		if f.readOnly {
			m.opts = []vfs.MountOption{vfs.WithReadOnly()}
		}
		all = append(all, m)
	}
	return append(all, others...)
}

// mountsFor are the mounts of a guest that becomes what s is: those of s, but for those in whose
// place the embedder gave others when it started the guest.
func (s *Snapshot) mountsFor(g *Guest) []mount {
	if g.origin == nil {
		return s.mountsBeside(s.given)
	}
	others := slices.DeleteFunc(slices.Clone(g.config.mounts), func(m mount) bool { return m.forked })
	for _, m := range s.given {
		if !mountsAt(others, m.path) {
			others = append(others, m)
		}
	}
	return s.mountsBeside(others)
}

func samePath(a, b string) bool {
	return strings.HasPrefix(a, "/") == strings.HasPrefix(b, "/") && path.Clean(a) == path.Clean(b)
}

// forks are the file systems of a guest that was made of a snapshot.
type forks struct {
	forking *vfs.Forking
	nodes   map[string]func(vfs.Node) vfs.Node // by mount
	settle  []func()
	usual   *quotafs.Quota // in the place of the snapshot's
}

// mountForked makes a guest's own file system of a snapshot's.
func (g *Guest) mountForked(s *Snapshot, f *forked) (vfs.FS, error) {
	if g.forks.forking == nil {
		g.forks.forking, g.forks.nodes = g.forkFor(s), make(map[string]func(vfs.Node) vfs.Node, len(s.mounts))
	}
	fork, err := g.forks.forking.Fork(f.fs)
	if err != nil {
		return nil, err
	}
	if fork.Settle != nil {
		g.forks.settle = append(g.forks.settle, fork.Settle)
	}
	fsys, node := fork.FS, fork.Node
	keeps := vfs.KeepsWrites(fsys)
	if keeps && s.disk.shared == nil && g.sharedDisk != nil {
		fsys, node = limitedDisk(fsys, node, g.sharedDisk)
	}
	if keeps && s.disk.own == nil && g.budgets.disk != nil {
		fsys, node = limitedDisk(fsys, node, g.budgets.disk)
	}
	g.forks.nodes[f.path] = node
	return fsys, nil
}

// forkFor returns what copies the snapshot's file systems for the guest, whose budgets and streams
// take the place of those of the snapshot.
func (g *Guest) forkFor(s *Snapshot) *vfs.Forking {
	var f vfs.Forking
	for old, own := range map[*quotafs.Quota]*quotafs.Quota{s.disk.own: g.budgets.disk, s.disk.shared: g.sharedDisk} {
		switch {
		case old == nil:
		case own == nil:
			f.Use(old, quotafs.NewQuota(0, 0))
		default:
			f.Use(old, own)
		}
	}
	if s.disk.usual != nil {
		g.forks.usual = quotafs.NewQuota(defaultDiskBytes, 0)
		f.Use(s.disk.usual, g.forks.usual)
	}
	for i, stream := range g.streams {
		f.Use(vfs.StandardStream(i), stream)
	}
	s.disk.use(&f)
	return &f
}

// limitedDisk puts a quota before a file system, and before the nodes that node finds in it.
func limitedDisk(fsys vfs.FS, node func(vfs.Node) vfs.Node, q *quotafs.Quota) (vfs.FS, func(vfs.Node) vfs.Node) {
	limited := quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(q))
	return limited, func(old vfs.Node) vfs.Node { return limited.NodeAbove(node(old)) }
}

// restoreFiles opens the snapshot's descriptors in the guest's own file systems.
func (s *Snapshot) restoreFiles(g *Guest) error {
	states := make([]vfs.OpenState, 0, len(s.files))
	for _, f := range s.files {
		if f.Mount != "" && g.forks.nodes[f.Mount] == nil {
			continue // another file system was given in its place
		}
		states = append(states, f)
	}
	standard := g.openStandard()
	err := g.files.Restore(states, g.ns,
		func(f *vfs.OpenState) vfs.Node { return g.forks.nodes[f.Mount](f.Node) },
		func(f *vfs.OpenState) *vfs.OpenFile {
			return standard[f.Offset]
		})
	for _, settle := range g.forks.settle {
		settle()
	}
	return err
}
