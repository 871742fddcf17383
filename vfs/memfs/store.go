package memfs

import (
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"

	"github.com/wasivirt/wasivirt/internal/binfile"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Store writes down everything that the file system holds: inode numbers, places in directories and
// files that are open without a name too. [Load] reads it, of this version of the module. Nothing
// may use the file system meanwhile.
func (f *FS) Store(w io.Writer) error {
	out := binfile.NewWriter(w)
	out.Uint(f.next)
	out.Uint(uint64(f.inodes))
	for ino, in := f.table.next(0); in != nil; ino, in = f.table.next(ino + 1) {
		out.Uint(ino)
		out.Uint(uint64(in.typ))
		out.Uint(uint64(in.mode))
		out.Bool(in.unread)
		for _, t := range []int64{in.atim, in.mtim, in.ctim} {
			out.Int(t)
		}
		switch in.typ {
		case wasip1.FiletypeDirectory:
			in.dir.store(out)
		case wasip1.FiletypeSymbolicLink:
			out.String(in.dir.target)
		default:
			in.store(out)
		}
	}
	_, err := out.Flush()
	return err
}

func (t *dirTable) store(out *binfile.Writer) {
	out.Uint(t.parent)
	out.Uint(t.lastSeq)
	out.Uint(uint64(t.len))
	for seq, e := t.order.next(0); e != nil; seq, e = t.order.next(seq + 1) {
		out.Uint(seq)
		out.Uint(e.ino)
		out.String(*e.name)
	}
}

func (in *inode) store(out *binfile.Writer) {
	out.Uint(uint64(in.size))
	chunks := 0
	in.chunks(func(uint64, *chunk) { chunks++ })
	out.Uint(uint64(chunks))
	in.chunks(func(i uint64, c *chunk) {
		out.Uint(i)
		out.Bytes(c.data)
	})
}

// chunks calls f with the chunks that hold something.
func (in *inode) chunks(f func(uint64, *chunk)) {
	if in.first != nil && len(in.first.data) > 0 {
		f(0, in.first)
	}
	if in.rest == nil {
		return
	}
	for i, c := in.rest.next(0); c != nil; i, c = in.rest.next(i + 1) {
		if len(c.data) > 0 {
			f(i, c)
		}
	}
}

// Load returns a file system with what [FS.Store] wrote, within the limits of opts. It reads no
// further than that. r may come from anybody: what is no file system is an error, and memory is
// taken as the bytes arrive.
func Load(r binfile.Source, opts ...Option) (*FS, error) {
	f := New(opts...)
	l := &loader{Reader: binfile.NewReader(r), fs: f, names: map[uint64]uint64{}}
	l.load()
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("read a file system: %w", err)
	}
	return f, nil
}

// loader reads a file system.
type loader struct {
	*binfile.Reader
	fs    *FS
	names map[uint64]uint64 // how many each inode has
	pages int64             // of trees, for inode numbers and for places in directories
}

// Numbers may be far apart in a file system whose files were made and removed over and over. Each
// then has pages of a tree to itself, which a file could make many of in a few bytes.
const (
	// pageBytes is about what a page takes.
	pageBytes = 384
	// farApart is how much the pages of numbers may take beside the charges for what has them,
	// times these charges, and farApartAtFirst in any case.
	farApart        = 4
	farApartAtFirst = 1 << 20
)

// pagesOf returns how many pages of a tree hold key and not before, the key before it; 0 is before
// the first.
func pagesOf(before, key uint64) (n int64) {
	for ; key > 0 && before != key; n++ {
		before, key = before>>fanBits, key>>fanBits
	}
	return max(n-1, 0)
}

// spread counts the pages of a number that follows another.
func (l *loader) spread(before, key uint64) {
	l.pages += pagesOf(before, key)
	if l.pages*pageBytes > farApart*l.fs.meta+farApartAtFirst {
		l.Fail("its numbers are further apart than those of files that were made one after another")
	}
}

// lastInode is the largest inode number that is read: one file system would have to make a million
// files a second for centuries.
const lastInode = 1 << 62

func (l *loader) load() {
	f := l.fs
	f.next = l.Uint("the next inode number", lastInode)
	count := l.Uint("the number of inodes", uint64(f.maxInodes))
	last := uint64(0)
	for range count {
		ino := l.Uint("an inode number", lastInode)
		if l.Err() == nil && (ino <= last || ino >= f.next || last == 0 && ino != rootIno) {
			l.Fail("inode %d follows %d, and %d is the next", ino, last, f.next)
		}
		in := l.inode(ino)
		if l.Err() != nil {
			return
		}
		if ino == rootIno {
			f.root.base().in = in
		}
		l.spread(last, ino)
		f.table.set(f.owner, ino, in)
		last = ino
	}
	if count == 0 {
		l.Fail("it has no root")
	}
	if l.Err() == nil {
		f.inodes = int64(count)
		l.check()
	}
}

func (l *loader) inode(ino uint64) *inode {
	in := &inode{owner: l.fs.owner, typ: wasip1.Filetype(l.Uint("a type", math.MaxUint8)), mode: fs.FileMode(l.Uint("a mode", math.MaxUint32))}
	in.mode &= modeBits
	in.unread = l.Bool("a mark")
	for _, t := range []*int64{&in.atim, &in.mtim, &in.ctim} {
		*t = l.Int("a time")
	}
	switch in.typ {
	case wasip1.FiletypeDirectory:
		in.dir = l.directory(ino)
	case wasip1.FiletypeSymbolicLink:
		in.dir = &dirTable{target: l.String("a link's target", vfs.MaxPath)}
		l.charge(int64(len(in.dir.target)))
	case wasip1.FiletypeRegularFile:
		l.content(in)
	default:
		l.Fail("inode %d has the type %d", ino, in.typ)
	}
	if ino == rootIno && in.typ != wasip1.FiletypeDirectory {
		l.Fail("the root is no directory")
	}
	if ino != rootIno {
		l.charge(vfs.InodeBytes)
	}
	return in
}

func (l *loader) charge(n int64) {
	if !l.fs.reserveMeta(n) {
		l.Fail("names and inodes take more than the limit of %d bytes", l.fs.maxMeta)
	}
}

func (l *loader) directory(ino uint64) *dirTable {
	t := &dirTable{parent: l.Uint("a parent", lastInode)}
	lastSeq := l.Uint("a place in a directory", lastInode)
	for range l.Uint("the number of names", uint64(l.fs.maxInodes)) {
		seq, of := l.Uint("a place in a directory", lastSeq), l.Uint("an inode number", lastInode)
		name := l.String("a name", vfs.MaxName)
		if l.Err() != nil {
			return t
		}
		hash := maphash.String(l.fs.seed, name)
		if err := vfs.CheckName(name); err != nil || seq <= t.lastSeq || of == rootIno || t.find(hash, name) != nil {
			l.Fail("directory %d has the name %.20q at %d", ino, name, seq)
			return t
		}
		l.charge(vfs.NameCost(name))
		l.spread(t.lastSeq, seq)
		l.names[of]++
		t.lastSeq = seq - 1 // insert gives the next one
		t.insert(l.fs.owner, hash, &entry{owner: l.fs.owner, name: &name, ino: of})
	}
	t.lastSeq = lastSeq
	return t
}

func (l *loader) content(in *inode) {
	in.size = int64(l.Uint("a size", uint64(min(l.fs.maxFile, math.MaxInt64))))
	next := uint64(0)
	for range l.Uint("the number of chunks", math.MaxInt64>>chunkBits) {
		i := l.Uint("the number of a chunk", math.MaxInt64>>chunkBits)
		data := l.Bytes("a chunk", chunkSize)
		if l.Err() == nil && (i < next || len(data) == 0 || int64(len(data)) > in.size-int64(i)<<chunkBits) {
			l.Fail("chunk %d has %d bytes in a file of %d", i, len(data), in.size)
		}
		if l.Err() != nil {
			return
		}
		// No more than arrived, and than its pages take: what a hostile file says costs what it is
		// long.
		room := max(len(data), min(chunkSize, int(pagesOf(max(next, 1)-1, i)*pageBytes)))
		if i == 0 {
			room = roomFor(i, len(data))
		}
		if l.fs.reserve(int64(room)) < int64(room) {
			l.Fail("contents take more than the limit of %d bytes", l.fs.maxBytes)
			return
		}
		in.setChunk(l.fs.owner, i, &chunk{l.fs.owner, append(make([]byte, 0, room), data...)})
		next = i + 1
	}
}

// check makes sure that the inodes are one tree, and counts their links.
func (l *loader) check() {
	f := l.fs
	directories, reached := 0, 1
	for ino, in := f.table.next(0); in != nil; ino, in = f.table.next(ino + 1) {
		if in.typ == wasip1.FiletypeDirectory {
			directories++
			in.nlink = 2
			if ino != rootIno && l.names[ino] != 1 {
				l.Fail("directory %d has %d names", ino, l.names[ino])
			}
			continue
		}
		in.nlink = l.names[ino]
		if in.nlink > 0 {
			continue
		}
		if in.typ != wasip1.FiletypeRegularFile {
			l.Fail("inode %d has no name", ino)
		}
		if f.orphans == nil {
			f.orphans = map[uint64]struct{}{}
		}
		f.orphans[ino] = struct{}{}
	}
	for todo := []uint64{rootIno}; len(todo) > 0 && l.Err() == nil; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		in := f.table.get(dir)
		for seq, e := in.dir.order.next(0); e != nil; seq, e = in.dir.order.next(seq + 1) {
			to := f.table.get(e.ino)
			if to == nil {
				l.Fail("the name %.20q leads to inode %d, which is missing", *e.name, e.ino)
				return
			}
			e.typ = to.typ
			if to.typ == wasip1.FiletypeDirectory {
				if to.dir.parent != dir {
					l.Fail("directory %d lies in %d and says %d", e.ino, dir, to.dir.parent)
				}
				in.nlink++
				reached++
				todo = append(todo, e.ino)
			}
		}
	}
	if reached != directories {
		l.Fail("%d of %d directories lie in the root", reached, directories)
	}
}

// Inode returns the node with an inode number, nil if there is none.
func (f *FS) Inode(ino uint64) vfs.Node {
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	if n := f.node(ino); n != nil {
		return n.give()
	}
	return nil
}
