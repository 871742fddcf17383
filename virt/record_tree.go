package virt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// How much of a tree its hash covers, since a guest can make trees that nobody wants to wait for.
// Sparse files may seem to have terabytes; what the guest wrote is in the hash by itself.
const (
	// maxHashed is how many bytes of a file count.
	maxHashed = 16 << 20
	// maxHashedTree is how many bytes of all files of a tree count; the attributes of the others
	// do.
	maxHashedTree = 1 << 30
	// maxHashedDepth is how many directories deep the hash looks. One that is deeper counts as if
	// it were empty.
	maxHashedDepth = 4096
)

// hashTrees adds all that the guest's mounts hold to h. Errors: the cause of ctx's end.
func hashTrees(ctx context.Context, h hash.Hash, g *Guest) error {
	roots := map[string]*vfs.Root{}
	for _, m := range g.ns.Mounts() {
		if m.Path[0] == '/' {
			roots["/"] = g.ns.Root()
			continue
		}
		root, err := g.ns.Preopen(m.Path)
		if err != nil {
			return err
		}
		roots[m.Path] = root
	}
	names := make([]string, 0, len(roots))
	for name := range roots {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := treeHash{ctx: ctx, h: h, left: maxHashedTree}
		t.name(name)
		if err := t.tree(roots[name]); err != nil {
			return fmt.Errorf("the tree %s: %w", name, err)
		}
	}
	return nil
}

// treeHash adds one tree to a hash.
type treeHash struct {
	ctx  context.Context // looked at before each node and each piece of a file
	h    hash.Hash
	left int64 // bytes of contents
	buf  [64 << 10]byte
}

func (t *treeHash) number(v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	t.h.Write(b[:])
}

func (t *treeHash) name(s string) {
	t.number(uint64(len(s)))
	io.WriteString(t.h, s)
}

// level is a directory on the way to where the hash is, with the names in it that are still to
// come.
type level struct {
	root *vfs.Root
	rest []string
}

// tree adds a whole tree, in the order of names. It goes from directory to directory by their
// nodes, with a stack of its own: a guest can make a tree that is deeper than a path leads.
func (t *treeHash) tree(root *vfs.Root) (err error) {
	var way []level
	defer func() {
		for i, l := range way {
			if i > 0 { // the first is the caller's
				err = errors.Join(err, l.root.Close())
			}
		}
	}()
	enter := func(root *vfs.Root) error {
		way = append(way, level{root: root})
		if len(way) > maxHashedDepth {
			return nil
		}
		entries, err := root.ReadDir(".")
		for _, e := range entries {
			way[len(way)-1].rest = append(way[len(way)-1].rest, e.Name)
		}
		return err
	}
	if _, err := t.node(root, "."); err != nil {
		return err
	}
	for err := enter(root); len(way) > 0; {
		if err != nil {
			return err
		}
		top := &way[len(way)-1]
		if len(top.rest) == 0 {
			if len(way) > 1 {
				err = top.root.Close()
			}
			way = way[:len(way)-1]
			continue
		}
		name := top.rest[0]
		top.rest = top.rest[1:]
		t.name(name)
		var isDir bool
		if isDir, err = t.node(top.root, name); !isDir || err != nil {
			continue
		}
		var below *vfs.Root
		if below, err = top.root.OpenRoot(name); err == nil {
			err = enter(below)
		}
	}
	return nil
}

// node adds what name stands for in a directory, and reports whether it is one.
func (t *treeHash) node(dir *vfs.Root, name string) (isDir bool, err error) {
	if t.ctx.Err() != nil {
		return false, context.Cause(t.ctx)
	}
	a, err := dir.Lstat(name)
	if err != nil {
		return false, err
	}
	for _, v := range []uint64{a.Ino, uint64(a.Type), uint64(a.Mode), a.Nlink, a.Size, uint64(a.Mtim)} {
		t.number(v)
	}
	switch a.Type {
	case wasip1.FiletypeDirectory:
		return true, nil
	case wasip1.FiletypeSymbolicLink:
		target, err := dir.Readlink(name)
		if err != nil {
			return false, err
		}
		t.name(target)
	case wasip1.FiletypeRegularFile:
		return false, t.file(dir, name)
	}
	return false, nil
}

func (t *treeHash) file(dir *vfs.Root, name string) (err error) {
	f, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for left := min(maxHashed, t.left); left > 0; {
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		n, err := f.Read(t.buf[:min(int64(len(t.buf)), left)])
		t.h.Write(t.buf[:n]) // it never fails
		left, t.left = left-int64(n), t.left-int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
