package virt

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// maxHashed is how much of a file the hash of a tree covers, in bytes. A sparse file may seem to have terabytes; what the
// guest wrote is in the hash by itself.
const maxHashed = 16 << 20

// hashTrees adds all that the guest's mounts hold to h.
func hashTrees(h hash.Hash, g *Guest) error {
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
		t := treeHash{h: h, root: roots[name]}
		t.name(name)
		if err := t.node("."); err != nil {
			return fmt.Errorf("the tree %s: %w", name, err)
		}
	}
	return nil
}

// treeHash adds one tree to a hash.
type treeHash struct {
	h    hash.Hash
	root *vfs.Root
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

// node adds what is at path, and below it in the order of names.
func (t *treeHash) node(path string) error {
	a, err := t.root.Lstat(path)
	if err != nil {
		return err
	}
	for _, v := range []uint64{a.Ino, uint64(a.Type), uint64(a.Mode), a.Nlink, a.Size, uint64(a.Mtim)} {
		t.number(v)
	}
	switch a.Type {
	case wasip1.FiletypeDirectory:
		entries, err := t.root.ReadDir(path)
		if err != nil {
			return err
		}
		slices.SortFunc(entries, func(a, b vfs.DirEntry) int { return cmp.Compare(a.Name, b.Name) })
		for _, e := range entries {
			t.name(e.Name)
			if err := t.node(path + "/" + e.Name); err != nil {
				return err
			}
		}
	case wasip1.FiletypeSymbolicLink:
		target, err := t.root.Readlink(path)
		if err != nil {
			return err
		}
		t.name(target)
	case wasip1.FiletypeRegularFile:
		return t.file(path)
	}
	return nil
}

func (t *treeHash) file(path string) (err error) {
	f, err := t.root.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyBuffer(struct{ io.Writer }{t.h}, io.LimitReader(f, maxHashed), t.buf[:])
	return err
}
