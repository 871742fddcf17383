package vfs

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxDescriptors is how many descriptors a Table holds at most, whatever its limit.
const MaxDescriptors = 1 << 20

// Table holds the descriptors of a guest. Threads and host code may use it at the same time.
// Finding a descriptor takes no lock.
//
// A Table grows with the number of open descriptors. A number from a guest never determines its
// size. The zero Table has no limit but [MaxDescriptors].
type Table struct {
	slots atomic.Pointer[[]slot]
	// shared says that open files may be known outside of the calls of the Table's one Caller. It
	// is set before they are looked up, and asked after they were taken out.
	shared atomic.Bool

	mu     sync.Mutex
	used   []uint64     // a bit for each descriptor that is open
	open   int          // how many
	lent   atomic.Int32 // how many places other Tables have taken; it changes under mu
	limit  int
	closed bool
	inos   uint64
	quota  vfslink.Semaphore // shared with other Tables; nil: none
}

type slot = atomic.Pointer[OpenFile]

// full reports whether all places are in use, in this Table or in those that it lends to. t.mu is
// held.
func (t *Table) full() bool { return t.open+int(t.lent.Load()) >= t.max() }

// Take takes one of the places for another Table, which this one limits, and reports whether there
// was one.
func (t *Table) Take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full() || t.quota != nil && !t.quota.Take() {
		return false
	}
	t.lent.Add(1)
	return true
}

// Give gives one back.
func (t *Table) Give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lent.Add(-1)
	if t.quota != nil {
		t.quota.Give()
	}
}

// NewTable returns an empty Table for up to limit descriptors. 0 is no limit but [MaxDescriptors].
func NewTable(limit int) *Table { return &Table{limit: limit} }

func (t *Table) max() int {
	if t.limit <= 0 {
		return MaxDescriptors
	}
	return min(t.limit, MaxDescriptors)
}

// Get returns the open file of fd, or nil. If the descriptor is closed meanwhile, the methods of
// the OpenFile return EBADF.
func (t *Table) Get(fd uint32) *OpenFile {
	t.share()
	return t.get(fd)
}

// share says that others than the one Caller that is alone may hold what is open, now or later.
func (t *Table) share() {
	if !t.shared.Load() {
		t.shared.Store(true)
	}
}

func (t *Table) get(fd uint32) *OpenFile {
	slots := t.slots.Load()
	if slots == nil || uint64(fd) >= uint64(len(*slots)) {
		return nil
	}
	return (*slots)[fd].Load()
}

// Insert gives f the lowest free number. The Table takes over the caller's reference: f is closed
// with its last descriptor. Errors: EMFILE; ENFILE; EBADF after Close.
func (t *Table) Insert(f *OpenFile) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd, err := t.lowest()
	if err != nil {
		return 0, err
	}
	t.put(fd, f)
	return fd, nil
}

// insertFrom is Insert with numbers below from left out. It is for a table in which none above from
// is open yet.
func (t *Table) insertFrom(from uint32, f *OpenFile) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd, err := t.lowest()
	if err != nil {
		return 0, err
	}
	for ; fd < from || t.get(fd) != nil; fd++ {
	}
	if uint64(fd) >= uint64(t.max()) {
		if t.quota != nil {
			t.quota.Give()
		}
		return 0, wasip1.EMFILE
	}
	t.put(fd, f)
	return fd, nil
}

// room reports whether there is a number left, so that nothing is made that cannot be opened.
func (t *Table) room() bool {
	if slots := t.slots.Load(); t.quota == nil && slots != nil && len(*slots)+int(t.lent.Load()) < t.max() {
		return true // no more can be open than it has slots
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full() || t.quota == nil {
		return !t.full()
	}
	if !t.quota.Take() {
		return false
	}
	t.quota.Give()
	return true
}

// lowest returns the lowest free number, for which put follows: one of the quota has been taken for
// it. t.mu is held.
func (t *Table) lowest() (uint32, error) {
	if t.closed {
		return 0, wasip1.EBADF
	}
	if t.full() {
		return 0, wasip1.EMFILE
	}
	if t.quota != nil && !t.quota.Take() {
		return 0, wasip1.ENFILE
	}
	for i, word := range t.used {
		if word != ^uint64(0) {
			return uint32(i*64 + bits.TrailingZeros64(^word)), nil
		}
	}
	return uint32(len(t.used) * 64), nil
}

// InsertAt gives f the number fd. It closes the file that had the number before. Errors: EBADF for
// a number at or above the limit, and after Close; ENFILE.
func (t *Table) InsertAt(fd uint32, f *OpenFile) error {
	t.mu.Lock()
	if t.closed || uint64(fd) >= uint64(t.max()) {
		t.mu.Unlock()
		return wasip1.EBADF
	}
	old := t.get(fd)
	if old == nil && (t.full() || t.quota != nil && !t.quota.Take()) {
		t.mu.Unlock()
		return wasip1.ENFILE
	}
	t.put(fd, f)
	t.mu.Unlock()
	if old != nil {
		return old.release()
	}
	return nil
}

// put makes fd, which is below the limit, stand for f. t.mu is held.
func (t *Table) put(fd uint32, f *OpenFile) {
	if f.ino == 0 && f.node == nil {
		t.inos++
		f.ino = t.inos
	}
	slots := t.slots.Load()
	if slots == nil || int(fd) >= len(*slots) {
		n := 8
		if slots != nil {
			n = 2 * len(*slots)
		}
		next := make([]slot, min(max(n, int(fd)+1), t.max()))
		if slots != nil {
			for i := range *slots {
				next[i].Store((*slots)[i].Load())
			}
		}
		t.slots.Store(&next)
		slots = &next
	}
	(*slots)[fd].Store(f)
	for int(fd/64) >= len(t.used) {
		t.used = append(t.used, 0)
	}
	if bit := uint64(1) << (fd % 64); t.used[fd/64]&bit == 0 {
		t.used[fd/64] |= bit
		t.open++
	}
}

// take makes fd free and returns what it stood for, or nil. t.mu is held.
func (t *Table) take(fd uint32) *OpenFile {
	f := t.get(fd)
	if f == nil {
		return nil
	}
	(*t.slots.Load())[fd].Store(nil)
	t.used[fd/64] &^= 1 << (fd % 64)
	t.open--
	if t.quota != nil {
		t.quota.Give()
	}
	return f
}

// Remove closes fd. Errors: EBADF; the error of closing the file if this was its last descriptor.
func (t *Table) Remove(fd uint32) error {
	f := t.remove(fd)
	if f == nil {
		return wasip1.EBADF
	}
	return f.release()
}

// remove makes fd free and returns what it stood for, or nil. The descriptor's hold is the
// caller's.
func (t *Table) remove(fd uint32) *OpenFile {
	t.mu.Lock()
	f := t.take(fd)
	t.mu.Unlock()
	return f
}

// Dup duplicates fd to the lowest free number. Errors: EBADF, EMFILE.
func (t *Table) Dup(fd uint32) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.get(fd)
	if f == nil || !f.acquire() {
		return 0, wasip1.EBADF
	}
	to, err := t.lowest()
	if err != nil {
		atomic.AddInt32(&f.refs, -1) // never the last: the descriptor fd has one
		return 0, err
	}
	t.put(to, f)
	return to, nil
}

// Share gives the open file of fd the number at in another Table too. It closes the file that had
// that number before. Errors: EBADF for fd, and for a number at or above the other Table's limit;
// ENFILE.
func (t *Table) Share(fd uint32, to *Table, at uint32) error {
	t.share()
	to.share()
	t.mu.Lock()
	f := t.get(fd)
	held := f != nil && f.acquire()
	t.mu.Unlock()
	if !held {
		return wasip1.EBADF
	}
	err := to.InsertAt(at, f)
	if err != nil && to.Get(at) != f {
		return errors.Join(err, f.release())
	}
	return err
}

// Renumber closes the descriptor to and moves from to that number. Both must be open. Errors:
// EBADF.
func (t *Table) Renumber(from, to uint32) error {
	t.mu.Lock()
	f, old := t.get(from), t.get(to)
	if f == nil || old == nil {
		t.mu.Unlock()
		return wasip1.EBADF
	}
	if from == to {
		t.mu.Unlock()
		return nil
	}
	t.take(from)
	t.put(to, f)
	t.mu.Unlock()
	// What closing the old one says is nobody's business: the guest's numbers have changed.
	old.release()
	return nil
}

// Descriptor describes one descriptor.
type Descriptor struct {
	Fd               uint32
	Type             wasip1.Filetype
	Path             string
	Preopened        bool
	Flags            wasip1.Fdflags
	Rights           wasip1.Rights
	RightsInheriting wasip1.Rights
	Offset           int64 // -1 if a call is using the position at the moment
	File             *OpenFile
}

// Len returns the number of open descriptors.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// List returns the open descriptors in the order of their numbers.
func (t *Table) List() []Descriptor {
	var list []Descriptor
	t.share()
	t.mu.Lock()
	for i, word := range t.used {
		for ; word != 0; word &= word - 1 {
			fd := uint32(i*64 + bits.TrailingZeros64(word))
			list = append(list, Descriptor{Fd: fd, File: t.get(fd)})
		}
	}
	t.mu.Unlock()
	for i := range list {
		// Without the table's lock, and without waiting for a file that is being read.
		d, f := &list[i], list[i].File
		d.Type, d.Path, d.Preopened, d.Flags, d.Offset = f.kind, f.Path(), f.preopened, f.Flags(), -1
		if off, ok := f.current(); ok {
			d.Offset = off
		}
		d.Rights, d.RightsInheriting = f.Rights()
	}
	return list
}

// Close closes all descriptors and refuses new ones. It returns the first error.
func (t *Table) Close() error {
	t.mu.Lock()
	t.closed = true
	var files []*OpenFile
	for i, word := range t.used {
		for ; word != 0; word &= word - 1 {
			files = append(files, t.take(uint32(i*64+bits.TrailingZeros64(word))))
		}
	}
	t.mu.Unlock()
	return releaseAll(files)
}

// releaseAll releases all files and returns the first error. Where closing one panics the panic
// goes on when the others are closed.
func releaseAll(files []*OpenFile) (first error) {
	defer func() {
		if len(files) > 0 {
			releaseAll(files)
		}
	}()
	for len(files) > 0 {
		f := files[0]
		files = files[1:]
		if err := f.release(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Pollable returns the object to wait for at fd. Errors: EBADF; ENOTCAPABLE without
// RightPollFdReadwrite.
func (t *Table) Pollable(fd uint32, want poll.Events) (poll.Pollable, wasip1.Errno) {
	f := t.get(fd)
	switch {
	case f == nil:
		return nil, wasip1.EBADF
	case !f.can(wasip1.RightPollFdReadwrite):
		return nil, wasip1.ENOTCAPABLE
	case f.stream != nil && f.late.Load() == nil:
		return f.stream, wasip1.ESUCCESS
	}
	t.share()
	return f, wasip1.ESUCCESS
}
