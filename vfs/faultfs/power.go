package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// endOfFile stands for an offset behind everything.
const endOfFile = math.MaxInt64

// CutPower takes everything back that is not durable, and makes all calls answer EIO until [FS.RestorePower]. Errors:
// ENOTSUP without [TrackDurability]; what the file system below says to the changes that take things back.
func (f *FS) CutPower() error {
	t := f.track
	if t == nil {
		return wasip1.ENOTSUP
	}
	if f.off.Swap(true) {
		return nil
	}
	t.lock()
	defer t.unlock()
	f.generation.Add(1)
	return t.revert()
}

// RestorePower ends what CutPower began. Files are to be opened again.
func (f *FS) RestorePower() { f.off.Store(false) }

// LosePower cuts the power and restores it at once.
func (f *FS) LosePower() error {
	err := f.CutPower()
	f.RestorePower()
	return err
}

// tracker knows what is not durable yet. A nil tracker does nothing. Directories are known by their inode numbers and
// where they are, so that paths are right whatever was renamed.
type tracker struct {
	fs vfs.FS

	mu      sync.Mutex
	root    uint64
	spots   map[uint64][]spot
	log     []step // how to take back the changes of names, oldest first
	content map[uint64]*unsynced
}

// spot is a name in a directory.
type spot struct {
	dir  uint64
	name string
}

// step takes one change of a name back.
type step func(*vfs.Root) error

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

func newTracker(fsys vfs.FS) *tracker {
	t := &tracker{fs: fsys, spots: make(map[uint64][]spot), content: make(map[uint64]*unsynced)}
	if a, err := fsys.Root().Attr(); err == nil {
		t.root = a.Ino
	}
	return t
}

func (t *tracker) lock() {
	if t != nil {
		t.mu.Lock()
	}
}

func (t *tracker) unlock() {
	if t != nil {
		t.mu.Unlock()
	}
}

// begin takes the tracker's lock for a change, which is not to come after the power went off.
func (f *FS) begin() error {
	f.track.lock()
	if f.off.Load() {
		f.track.unlock()
		return wasip1.EIO
	}
	return nil
}

// met notes where a node was found.
func (t *tracker) met(d *dir, name string, n *node) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.add(n.ino, spot{d.ino, name}, n.Type())
	t.mu.Unlock()
}

func (t *tracker) add(ino uint64, s spot, typ wasip1.Filetype) {
	if typ == wasip1.FiletypeDirectory {
		t.spots[ino] = nil // it has one name
	}
	if !slices.Contains(t.spots[ino], s) {
		s.name = strings.Clone(s.name)
		t.spots[ino] = append(t.spots[ino], s)
	}
}

func (t *tracker) del(ino uint64, s spot) {
	if t.spots[ino] = slices.DeleteFunc(t.spots[ino], func(o spot) bool { return o == s }); len(t.spots[ino]) == 0 {
		delete(t.spots, ino)
	}
}

// path returns a path of an inode.
func (t *tracker) path(ino uint64) (string, bool) {
	for _, s := range t.spots[ino] {
		if p := t.pathOf(s); p != "" {
			return p, true
		}
	}
	return "", false
}

// pathOf returns the path of a name, "" if it is not known where its directory is.
func (t *tracker) pathOf(s spot) string {
	path := "/" + s.name
	for range maxDepth {
		if s.dir == t.root {
			return path
		}
		up := t.spots[s.dir]
		if len(up) == 0 {
			return ""
		}
		s = up[0]
		path = "/" + s.name + path
	}
	return ""
}

// maxDepth is how deep a directory can be without its place being forgotten.
const maxDepth = 10_000

// note adds a step that takes back a change at a path.
func (t *tracker) note(path string, undo step) {
	if path == "" {
		undo = func(*vfs.Root) error {
			return fmt.Errorf("a directory that was not met since power came back: %w", wasip1.ESTALE)
		}
	}
	t.log = append(t.log, undo)
}

// made notes a new file.
func (t *tracker) made(d *dir, name string, n *node) {
	if t == nil {
		return
	}
	s := spot{d.ino, name}
	delete(t.spots, n.ino) // of an inode that had the number before
	t.add(n.ino, s, n.Type())
	if n.Type() == wasip1.FiletypeRegularFile {
		t.content[n.ino] = new(unsynced)
	}
	path := t.pathOf(s)
	t.note(path, func(r *vfs.Root) error { return r.Remove(path) })
}

// linked notes a further name.
func (t *tracker) linked(d *dir, name string, n *node) {
	if t == nil {
		return
	}
	s := spot{d.ino, name}
	t.add(n.ino, s, n.Type())
	path := t.pathOf(s)
	t.note(path, func(r *vfs.Root) error { return r.Remove(path) })
}

// loss is a name that is about to go, with what brings it back.
type loss struct {
	at    spot
	path  string
	ino   uint64
	typ   wasip1.Filetype
	undo  step
	last  bool
	error error
}

// losing finds out what it takes to bring a name back; nil if nothing is there.
func (t *tracker) losing(d *dir, name string) *loss {
	if t == nil {
		return nil
	}
	n, err := d.d.Lookup(name)
	if err != nil {
		return nil
	}
	defer release(n)
	a, err := n.Attr()
	if err != nil {
		return nil
	}
	l := &loss{at: spot{d.ino, strings.Clone(name)}, ino: a.Ino, typ: a.Type}
	l.path = t.pathOf(l.at)
	l.last = a.Nlink <= 1 || a.Type == wasip1.FiletypeDirectory
	path, perm := l.path, a.Mode.Perm()
	if !l.last {
		if other, ok := t.otherName(l); ok {
			l.undo = func(r *vfs.Root) error { return r.Link(other, path) }
			return l
		}
	}
	switch n := n.(type) {
	case vfs.Directory:
		l.undo = func(r *vfs.Root) error { return r.Mkdir(path, perm) }
	case vfs.Symlink:
		target, err := n.Readlink()
		l.error = err
		l.undo = func(r *vfs.Root) error { return r.Symlink(target, path) }
	case vfs.RegularFile:
		data, err := t.durable(n, a)
		l.error = err
		l.undo = func(r *vfs.Root) error { return r.WriteFile(path, data, perm) }
	default:
		l.undo = func(*vfs.Root) error { return fmt.Errorf("%s: %w", path, wasip1.ENOTSUP) }
	}
	return l
}

// otherName finds another name of a file that is about to lose one, if need be by looking at all there are.
func (t *tracker) otherName(l *loss) (string, bool) {
	for _, s := range t.spots[l.ino] {
		if s != l.at {
			return t.pathOf(s), true
		}
	}
	r, err := vfs.NewRoot(t.fs)
	if err != nil {
		return "", false
	}
	return t.findName(r, t.root, "", l)
}

// findName looks for a name below a directory, and notes where it and the directories above it are.
func (t *tracker) findName(r *vfs.Root, ino uint64, dir string, l *loss) (string, bool) {
	list, err := r.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, e := range list {
		found, ok := dir+"/"+e.Name, e.Ino == l.ino
		if found == l.path {
			continue
		}
		if e.Type == wasip1.FiletypeDirectory {
			found, ok = t.findName(r, e.Ino, found, l)
		}
		if ok {
			t.add(e.Ino, spot{ino, e.Name}, e.Type)
			return found, true
		}
	}
	return "", false
}

// removed notes that a name has gone.
func (t *tracker) removed(l *loss) {
	if t == nil || l == nil {
		return
	}
	t.note(l.path, l.step())
	t.forget(l)
}

func (l *loss) step() step {
	if l.error != nil {
		err := fmt.Errorf("%s: %w", l.path, l.error)
		return func(*vfs.Root) error { return err }
	}
	return l.undo
}

func (t *tracker) forget(l *loss) {
	t.del(l.ino, l.at)
	if l.last {
		delete(t.content, l.ino)
	}
}

// renamed notes that moved stands at a new name, and that lost, if not nil, has gone from there.
func (t *tracker) renamed(moved, lost *loss, d *dir, name string) {
	if t == nil || moved == nil || lost != nil && lost.ino == moved.ino {
		return
	}
	to := spot{d.ino, name}
	if lost != nil {
		t.note(lost.path, lost.step())
		t.forget(lost)
	}
	from, path := moved.path, t.pathOf(to)
	t.note(path, func(r *vfs.Root) error { return r.Rename(path, from) })
	t.del(moved.ino, moved.at)
	t.add(moved.ino, to, moved.typ)
	if moved.typ != wasip1.FiletypeDirectory && t.content[moved.ino] == nil {
		t.log = nil
	}
}

// commit makes all changes of names durable.
func (t *tracker) commit() {
	if t != nil {
		t.mu.Lock()
		t.log = nil
		t.mu.Unlock()
	}
}

// synced makes a content durable, and all changes of names.
func (t *tracker) synced(ino uint64) {
	if t != nil {
		delete(t.content, ino)
		t.log = nil
	}
}

// writing remembers what a write is about to replace.
func (t *tracker) writing(o *open, off int64, bufs [][]byte) error {
	if t == nil {
		return nil
	}
	u, err := t.change(o.ino, o.n)
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
	return u.save(o.f, off, min(n, u.size-off))
}

// change returns what is known of the durable content of a file that is about to change.
func (t *tracker) change(ino uint64, n vfs.Node) (*unsynced, error) {
	u := t.content[ino]
	if u == nil {
		a, err := n.Attr()
		if err != nil {
			return nil, err
		}
		u = &unsynced{size: int64(a.Size)}
		t.content[ino] = u
	}
	return u, nil
}

// save remembers n bytes at off.
func (u *unsynced) save(f io.ReaderAt, off, n int64) error {
	old := make([]byte, n)
	k, err := io.ReadFull(io.NewSectionReader(f, off, n), old)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	// What the file is too short for now was cut off before, and remembered then.
	if k > 0 {
		u.patches = append(u.patches, patch{off, old[:k]})
	}
	return nil
}

// resize remembers what a change of size is about to cut off, around do.
func (t *tracker) resize(n *node, size int64, do func() error) error {
	if t == nil {
		return do()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u, err := t.change(n.ino, n.n)
	if err != nil {
		return err
	}
	if size >= 0 && size < u.size {
		f, err := n.n.(vfs.RegularFile).Open(vfs.OpenRead)
		if err != nil {
			return err
		}
		err = u.save(f, size, u.size-size)
		f.Close()
		if err != nil {
			return err
		}
	}
	return do()
}

// durable returns the durable content of a file.
func (t *tracker) durable(n vfs.RegularFile, a vfs.Attr) ([]byte, error) {
	u := t.content[a.Ino]
	if u == nil {
		u = &unsynced{size: int64(a.Size)}
	}
	data := make([]byte, u.size)
	if u.size == 0 {
		return data, nil
	}
	f, err := n.Open(vfs.OpenRead)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, u.size), data); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	for _, p := range slices.Backward(u.patches) {
		copy(data[p.off:], p.old)
	}
	return data, nil
}

// revert makes the file system what is durable. Contents come first, while their paths are those that are known.
func (t *tracker) revert() error {
	r, err := vfs.NewRoot(t.fs)
	if err != nil {
		return err
	}
	var errs []error
	for ino, u := range t.content {
		if path, ok := t.path(ino); ok {
			errs = append(errs, u.revert(r, path))
		}
	}
	for _, undo := range slices.Backward(t.log) {
		errs = append(errs, undo(r))
	}
	t.log = nil
	clear(t.content)
	clear(t.spots)
	return errors.Join(errs...)
}

func (u *unsynced) revert(r *vfs.Root, path string) error {
	f, err := r.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // host code took it away
	}
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(u.patches) {
		if _, err := f.WriteAt(p.old, p.off); err != nil {
			f.Close()
			return err
		}
	}
	err = f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(u.size)})
	return errors.Join(err, f.Close())
}
