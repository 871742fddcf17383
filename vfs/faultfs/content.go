package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// endOfFile stands for an offset behind everything.
const endOfFile = math.MaxInt64

// unsynced is what is known of the durable content of a file that was changed since.
type unsynced struct {
	size    int64 // durable
	patches []patch
}

// patch is what stood at an offset.
type patch struct {
	off int64
	old []byte
}

// writing remembers what a write is about to replace.
func (t *tracker) writing(o *open, off int64, bufs [][]byte) error {
	if t == nil {
		return nil
	}
	u, err := o.known.change(o.Node)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	if off >= u.size {
		return nil
	}
	return u.save(o.Below, off, min(n, u.size-off))
}

// change returns what is known of the durable content of a file that is about to change.
func (f *inode) change(n vfs.Node) (*unsynced, error) {
	if f.content == nil {
		a, err := n.Attr()
		if err != nil {
			return nil, err
		}
		f.content = &unsynced{size: int64(a.Size)}
	}
	return f.content, nil
}

// save remembers n bytes at off.
func (u *unsynced) save(f io.ReaderAt, off, n int64) error {
	old, err := read(f, off, n)
	// What the file is too short for now was cut off before, and remembered then.
	if err == nil && len(old) > 0 {
		u.patches = append(u.patches, patch{off, old})
	}
	return err
}

// read reads n bytes at off, or up to the end.
func read(f io.ReaderAt, off, n int64) ([]byte, error) {
	p := make([]byte, n)
	k, err := io.ReadFull(io.NewSectionReader(f, off, n), p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return p[:k], err
}

// resize remembers what a change of size is about to cut off, around do.
func (f *FS) resize(n *node, size int64, do func() error) error {
	t := f.track
	if t == nil {
		return do()
	}
	if err := f.begin(); err != nil {
		return err
	}
	defer t.unlock()
	u, err := n.known.change(n.Below)
	if err != nil {
		return err
	}
	if size >= 0 && size < u.size {
		h, err := n.Below.(vfs.RegularFile).Open(vfs.OpenRead)
		if err != nil {
			return err
		}
		err = u.save(h, size, u.size-size)
		h.Close()
		if err != nil {
			return err
		}
	}
	return do()
}

// synced makes the content of an open file durable, and where names follow it those that the file
// has.
func (t *tracker) synced(o *open) error {
	if t == nil {
		return nil
	}
	f := o.known
	f.content = nil
	if f.saved != nil {
		// It has no name any more, and will have if power goes before that is durable.
		a, err := o.Node.Attr()
		if err != nil {
			return err
		}
		f.saved.data, f.saved.err = read(o.Below, 0, int64(a.Size))
	}
	if !t.strict {
		t.commit(func(c *change) bool { return c.f == f })
	}
	return nil
}

// durable returns the durable content of a file.
func (f *inode) durable(n vfs.RegularFile, a vfs.Attr) ([]byte, error) {
	u := f.content
	if u == nil {
		u = &unsynced{size: int64(a.Size)}
	}
	data := make([]byte, u.size)
	if u.size == 0 {
		return data, nil
	}
	h, err := n.Open(vfs.OpenRead)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	now, err := read(h, 0, u.size)
	if err != nil {
		return nil, err
	}
	copy(data, now)
	for _, p := range slices.Backward(u.patches) {
		copy(data[p.off:], p.old)
	}
	return data, nil
}

// sector is what a disk writes as a whole.
const sector = 512

// survives reports whether a sector of a file that was written and not synced is on the disk when
// power goes.
type survives func(number int64) bool

// torn draws which sectors of a file survive.
func (f *FS) torn(ino uint64) survives {
	if !f.tear {
		return func(int64) bool { return false }
	}
	generation := f.generation.Load()
	return func(number int64) bool {
		return rand.NewPCG(f.seed^generation<<48, ino<<40^uint64(number)).Uint64()&1 == 1
	}
}

// sectors calls do with the parts of n bytes at off that lie in one sector and do not survive.
func (s survives) sectors(off, n int64, do func(from, to int64) error) error {
	for from := off; from < off+n; {
		to := min((from/sector+1)*sector, off+n)
		if !s(from / sector) {
			if err := do(from, to); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// revert makes the content of the file at path what is durable, but for what survives.
func (u *unsynced) revert(r *vfs.Root, path string, s survives) error {
	f, err := r.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // host code took it away
	}
	if err != nil {
		return err
	}
	a, err := f.Attr()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	now, drawn := int64(a.Size), s
	s = func(number int64) bool { return number*sector < now && drawn(number) } // what was cut off comes back
	for _, p := range slices.Backward(u.patches) {
		if err := s.sectors(p.off, int64(len(p.old)), func(from, to int64) error {
			_, err := f.WriteAt(p.old[from-p.off:to-p.off], from)
			return err
		}); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	size, err := u.grown(f, now, s)
	if err == nil {
		err = f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)})
	}
	return errors.Join(err, f.Close())
}

// grown returns how long the file is that grew: to the end of the last sector that survives. Others
// are zero.
func (u *unsynced) grown(f *vfs.OpenFile, now int64, s survives) (size int64, err error) {
	size = u.size
	for from := u.size; from < now; from = (from/sector + 1) * sector {
		if s(from / sector) {
			size = min((from/sector+1)*sector, now)
		}
	}
	err = s.sectors(u.size, size-u.size, func(from, to int64) error {
		_, err := f.WriteAt(make([]byte, to-from), from)
		return err
	})
	return size, err
}

// saved is what it takes to make a file again that has lost its last name.
type saved struct {
	perm   fs.FileMode
	data   []byte
	target string
	err    error // why it cannot be made again
}

// keep returns what it takes to make a file again.
func (f *inode) keep(n vfs.Node, a vfs.Attr) *saved {
	s := &saved{perm: a.Mode.Perm()}
	switch n := n.(type) {
	case vfs.Directory:
	case vfs.Symlink:
		s.target, s.err = n.Readlink()
	case vfs.RegularFile:
		s.data, s.err = f.durable(n, a)
	default:
		s.err = wasip1.ENOTSUP
	}
	return s
}
