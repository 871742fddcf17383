package memfs

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Contents are kept in chunks of 16 KiB: large enough that walking the tree costs nothing beside
// copying, small enough that a fork's first write, and a byte in the midst of a hole, is cheap.
const (
	chunkBits    = 14
	chunkSize    = 1 << chunkBits
	minChunkBits = 6
	minChunk     = 1 << minChunkBits
)

// chunk is a piece of a file. What lies beyond len(data) reads as zeros, and what lies there in
// memory means nothing: a chunk is cut short, and grows, without clearing anything twice.
type chunk struct {
	owner *owner
	data  []byte
}

// rest is the chunks of a file but the first. It remembers one of them, which calls that go on
// where others ended find without a walk through the tree.
type rest struct {
	tree[chunk]
	at   uint64 // 0 for none
	last *chunk // what chunk at is, nil for a hole
}

// chunk returns chunk i, or nil for a hole.
func (in *inode) chunk(i uint64) *chunk {
	if r := in.rest; i > 0 && r != nil && r.at != i {
		return r.get(i)
	}
	return in.near(i)
}

// near returns chunk i if that is the first or is remembered, else nil.
func (in *inode) near(i uint64) *chunk {
	if i == 0 {
		return in.first
	}
	if r := in.rest; r != nil && r.at == i {
		return r.last
	}
	return nil
}

// remember finds chunk i, not 0, for calls that come. The inode is the file system's own, and
// locked for writing.
func (r *rest) remember(i uint64) { r.at, r.last = i, r.get(i) }

// part returns the part of a chunk that begins with the n bytes from off on, nil unless there is
// content for all of them in a chunk that near finds: what most calls are about. A chunk holds
// nothing beyond the size. off is not negative.
func (in *inode) part(off int64, n int) []byte {
	if c := in.near(uint64(off) >> chunkBits); c != nil {
		if o := int(uint64(off) % chunkSize); o <= len(c.data)-n {
			return c.data[o:]
		}
	}
	return nil
}

// read reads as much as there is. off is not negative.
func (in *inode) read(p []byte, off int64) int {
	if part := in.part(off, len(p)); part != nil {
		return copy(p, part)
	}
	if off >= in.size {
		return 0
	}
	if room := in.size - off; int64(len(p)) > room {
		p = p[:room]
	}
	done := 0
	for done < len(p) {
		q := p[done:]
		o := int(off % chunkSize)
		q = q[:min(len(q), chunkSize-o)]
		k := 0
		if c := in.chunk(uint64(off) >> chunkBits); c != nil && o < len(c.data) {
			k = copy(q, c.data[o:])
		}
		clear(q[k:])
		done += len(q)
		off += int64(len(q))
	}
	return done
}

// readAll fills bufs from off on as far as the content goes, and reports whether it ended before
// they did.
func (in *inode) readAll(bufs [][]byte, off int64) (done int, short bool) {
	if len(bufs) == 1 {
		done = in.read(bufs[0], off)
		return done, done < len(bufs[0])
	}
	for _, p := range bufs {
		k := in.read(p, off)
		done += k
		if k < len(p) {
			return done, true
		}
		off += int64(k)
	}
	return done, false
}

// write writes p, or as much of it as fits. The inode is f's own; off is not negative.
func (f *FS) write(in *inode, p []byte, off int64) (int, error) {
	if c := in.first; c != nil && c.owner == f.owner && off <= int64(len(c.data)) && len(p) <= cap(c.data)-int(off) {
		// Within the first chunk, or right behind what it holds: what most calls are about.
		if end := off + int64(len(p)); end <= int64(len(c.data)) {
			return copy(c.data[off:], p), nil
		} else if end <= f.maxFile {
			c.data = c.data[:end]
			in.size = max(in.size, end)
			return copy(c.data[off:], p), nil
		}
	}
	var err error
	if room := f.maxFile - off; int64(len(p)) > room {
		if room <= 0 {
			return 0, wasip1.EFBIG
		}
		p, err = p[:room], wasip1.EFBIG
	}
	done := 0
	for done < len(p) {
		i, o := uint64(off)>>chunkBits, int(off%chunkSize)
		n := min(len(p)-done, chunkSize-o)
		if r := in.rest; i > 0 && r != nil && r.at != i {
			r.remember(i)
		}
		c := in.near(i)
		if c == nil || c.owner != f.owner || cap(c.data) < o+n {
			if c, n = f.grow(in, i, o, n); n == 0 {
				err = wasip1.ENOSPC
				break
			}
		}
		if have := len(c.data); o+n > have {
			c.data = c.data[:o+n]
			if o > have {
				clear(c.data[have:o])
			}
		}
		copy(c.data[o:], p[done:done+n])
		done += n
		off += int64(n)
	}
	if done > 0 && off > in.size {
		in.size = off
	}
	return done, err
}

// grow returns chunk i as one that may be written from o to o+n. If there is not memory enough it
// returns a smaller n, 0 at the least.
func (f *FS) grow(in *inode, i uint64, o, n int) (*chunk, int) {
	c := in.chunk(i)
	have := 0
	if c != nil {
		have = cap(c.data)
	}
	want := have
	if o+n > have {
		// Only the first chunk grows by and by: a file that has others is large.
		want = roomFor(i, o+n)
		got := f.reserve(int64(want - have))
		want = have + int(got)
		if n = min(n, want-o); n <= 0 {
			f.used.Add(-got)
			return nil, 0
		}
	}
	fresh := f.newChunk(want)
	if c != nil && (o > 0 || n < len(c.data)) { // else all of it is overwritten
		fresh.data = append(fresh.data, c.data...)
	}
	in.setChunk(f.owner, i, fresh)
	if c != nil {
		f.recycle(c)
	}
	return fresh, n
}

// roomFor returns how much memory chunk i gets that holds n bytes, at least 1.
func roomFor(i uint64, n int) int {
	if i > 0 {
		return chunkSize
	}
	return min(chunkSize, max(minChunk, 1<<bits.Len(uint(n-1))))
}

// fit gives chunk i, which has been cut short, no more memory than a chunk of its length gets, and
// returns how much less it has now.
func (f *FS) fit(in *inode, i uint64, c *chunk) int {
	want := roomFor(i, len(c.data))
	less := cap(c.data) - want
	if less <= 0 {
		return 0
	}
	fresh := f.newChunk(want)
	fresh.data = append(fresh.data, c.data...)
	in.setChunk(f.owner, i, fresh)
	f.recycle(c)
	return less
}

// spareChunks are chunks to be used again, which saves clearing them and collecting them: those of
// full size, and those of each smaller size, which most files end with and grow through. What the
// collector finds here it takes.
type spareChunks struct {
	full  sync.Pool
	small [chunkBits - minChunkBits]smallChunks
}

// smallChunks are chunks of one size. The first is apart, because a file that grows takes one and
// gives one back.
type smallChunks struct {
	first atomic.Pointer[chunk]
	more  sync.Pool
}

// of returns where chunks of that size are kept that is not the full one, nil if nowhere.
func (s *spareChunks) of(size int) *smallChunks {
	if size < minChunk || size >= chunkSize || size&(size-1) != 0 {
		return nil
	}
	return &s.small[bits.Len(uint(size))-1-minChunkBits]
}

// newChunk returns an empty chunk that has room for size bytes.
func (f *FS) newChunk(size int) *chunk {
	var c *chunk
	if size == chunkSize {
		c, _ = f.spare.full.Get().(*chunk)
	} else if kept := f.spare.of(size); kept != nil {
		if kept.first.Load() != nil {
			c = kept.first.Swap(nil)
		}
		if c == nil {
			c, _ = kept.more.Get().(*chunk)
		}
	}
	if c != nil {
		c.owner = f.owner
		return c
	}
	return &chunk{f.owner, make([]byte, 0, size)}
}

// recycle takes back a chunk that its inode no longer has. Only the file system whose tag it bears
// can have reached it.
func (f *FS) recycle(c *chunk) {
	if c.owner != f.owner {
		return
	}
	c.owner, c.data = nil, c.data[:0]
	if cap(c.data) == chunkSize {
		f.spare.full.Put(c)
	} else if kept := f.spare.of(cap(c.data)); kept != nil && !kept.first.CompareAndSwap(nil, c) {
		kept.more.Put(c)
	}
}

func (in *inode) setChunk(o *owner, i uint64, c *chunk) {
	if i == 0 {
		in.first = c
	} else {
		if in.rest == nil {
			in.rest = new(rest)
		}
		in.rest.set(o, i, c)
		in.rest.at, in.rest.last = i, c
	}
}

// truncate sets the size, which is not negative. The inode is f's own.
func (f *FS) truncate(in *inode, size int64) {
	if size >= in.size {
		in.size = size
		return
	}
	in.size = size
	freed := 0
	keep := (uint64(size) + chunkSize - 1) >> chunkBits
	drop := func(c *chunk) {
		freed += cap(c.data)
		f.recycle(c)
	}
	if first := in.first; keep == 0 && first != nil {
		in.first = nil
		drop(first)
	}
	if in.rest != nil {
		in.rest.cut(f.owner, max(keep, 1), drop)
		in.rest.at, in.rest.last = 0, nil
	}
	if o := int(size % chunkSize); o != 0 {
		if c := in.chunk(keep - 1); c != nil && len(c.data) > o {
			if c.owner != f.owner {
				data := append(make([]byte, 0, o), c.data[:o]...)
				freed += cap(c.data) - cap(data)
				in.setChunk(f.owner, keep-1, &chunk{f.owner, data})
			} else {
				c.data = c.data[:o]
				freed += f.fit(in, keep-1, c)
			}
		}
	}
	if freed != 0 {
		f.used.Add(-int64(freed))
	}
}
