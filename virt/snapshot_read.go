package virt

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/binfile"
	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Limits of what is read from a snapshot file.
const (
	maxStoredMounts = 1 << 10
	maxStoredFds    = 1 << 20
	maxStoredText   = 1 << 16
)

// hashedSource is what a snapshot file is read from: its checksum is that of what was read so far.
type hashedSource struct {
	r   *bufio.Reader
	sum hash.Hash
	one [1]byte
}

func (h *hashedSource) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	return n, err
}

func (h *hashedSource) ReadByte() (byte, error) {
	b, err := h.r.ReadByte()
	if err == nil {
		h.one[0] = b
		h.sum.Write(h.one[:])
	}
	return b, err
}

// ReadSnapshot reads what [Snapshot.WriteTo] wrote, to the end of r. m is the module that the
// snapshot was taken of, compiled under the same options of the Host. opts are options of the
// guests that are made of the snapshot; those of the guest that it was taken of are not in the
// file. A mount among opts takes the place of the one at its path; what was open there is closed.
// Mounts of the Host serve where the file has none. The memory is mapped, and shared by the guests
// until they write to it.
//
// The file may come from an untrusted source. A damaged file is an error, and ReadSnapshot takes no
// more memory than the length of the file and the guest's limits allow. The state in the file
// counts as a state that the guest reached by itself. Budgets continue with what was left, but
// never with more than the options give. The file systems in the file hold at most 256 MiB
// together, or [Limits].DiskBytes if that is more, and all of it counts to the budgets of disk that
// the guests have.
//
// Errors: [ErrSnapshotMismatch], with what differs, where the file is of another module, of other
// options or of another version of this library; damage; a file system that has to be mounted again
// and is neither among opts nor the Host's, by its path.
func ReadSnapshot(m *Module, r io.Reader, opts ...GuestOption) (_ *Snapshot, err error) {
	defer func() {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: the file ends too early: write it again", err)
		}
		if err != nil {
			err = fmt.Errorf("read a snapshot: %w", err)
		}
	}()
	switch c := m.captured(); {
	case c == nil:
		return nil, errors.New("the Host runs modules as they are: build it without WithoutPreemption")
	case len(c.Refused) > 0:
		return nil, fmt.Errorf("the module has no snapshots: %s", strings.Join(c.Refused, "; "))
	}
	c := m.host.config
	c.forGuest, c.mounts = true, nil
	if err := errors.Join(apply(&c, opts)...); err != nil {
		return nil, err
	}
	src := &hashedSource{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	l := &snapshotReader{
		Reader: binfile.NewReader(src), s: &Snapshot{module: m, config: c, given: c.mounts, left: map[Budget]int64{}},
		mounts: map[string]*storedMount{}, opened: map[uint32]bool{},
		most: int64(min(max(c.limits.DiskBytes, m.host.config.shared.DiskBytes, defaultDiskBytes), math.MaxInt64)),
	}
	for _, mount := range m.host.config.mounts {
		if !l.given(mount.path) {
			l.host = append(l.host, mount)
		}
	}
	defer func() {
		if err != nil && l.s.image != nil {
			_ = l.s.image.Close() // the first error tells more
		}
	}()
	if err := l.header(); err != nil {
		return nil, err
	}
	l.read()
	want := src.sum.Sum(nil)
	got := make([]byte, len(want))
	if l.Full(got) && !bytes.Equal(want, got) {
		l.Fail("the checksum is another: the file is damaged")
	}
	if _, err := src.r.ReadByte(); err == nil {
		l.Fail("something follows the end: the file is damaged")
	} else if err != io.EOF {
		l.Fail("%w", err)
	}
	if l.Err() != nil {
		return nil, l.Err()
	}
	l.s.initHash()
	return l.s, nil
}

// ErrSnapshotMismatch means that a file for [ReadSnapshot] is of another module, or was written by
// a Host with other options.
var ErrSnapshotMismatch = errors.New("the file does not fit")

type snapshotReader struct {
	*binfile.Reader
	s       *Snapshot
	host    []mount // those of the Host that are not in the file, and not given
	mounts  map[string]*storedMount
	limited bool            // a mount says that it counted to the guest's budget of disk
	opened  map[uint32]bool // descriptors that others may be copies of

	most        int64 // how many bytes the file systems may hold together
	bytes, meta int64 // what those hold that were read
}

// given reports whether options give a mount.
func (l *snapshotReader) given(path string) bool { return mountsAt(l.s.given, path) }

func mountsAt(all []mount, path string) bool {
	return slices.ContainsFunc(all, func(m mount) bool { return samePath(m.path, path) })
}

// header reads what the file is bound to.
func (l *snapshotReader) header() error {
	magic := make([]byte, len(snapshotMagic))
	if l.Full(magic) && string(magic) != snapshotMagic {
		if bytes.HasPrefix(magic, []byte("wasivirt snapshot ")) {
			return fmt.Errorf("%w: its format is version %q, and this library reads %q: write it again", ErrSnapshotMismatch, magic[18:], snapshotMagic[18:])
		}
		return errors.New("it is no snapshot file")
	}
	m := l.s.module
	sum, options, rewritten := l.Bytes("a checksum", 32), l.String("options", maxStoredText), l.Bytes("a checksum", 32)
	switch {
	case l.Err() != nil:
		return l.Err()
	case !bytes.Equal(sum, m.sum[:]):
		return fmt.Errorf("%w: it is of a module with SHA-256 %x, and this one has %x: read it with the module that it was taken of", ErrSnapshotMismatch, sum, m.sum)
	case options != m.key.options:
		return fmt.Errorf("%w: it is of a Host with other options (%s): build the Host with the same options", ErrSnapshotMismatch, differences(options, m.key.options))
	case !bytes.Equal(rewritten, m.rewritten[:]):
		return fmt.Errorf("%w: another version of this library wrote it: write it again", ErrSnapshotMismatch)
	}
	return nil
}

func (l *snapshotReader) read() {
	s := l.s
	s.point.reached = l.Bool("a checkpoint")
	s.point.fn = uint32(l.Uint("a function", math.MaxUint32))
	s.point.arg = uint32(l.Uint("an argument", math.MaxUint32))
	if s.point.reached && s.module.captured().Resume == "" {
		l.Fail("it is at a checkpoint, and the module has none")
	}
	l.cells()
	for range l.Uint("budgets", 1<<8) {
		b := Budget(l.String("a budget", 1<<8))
		if s.left[b] = l.Int("what is left of a budget"); s.left[b] < 0 {
			l.Fail("%d is left of the budget %q", s.left[b], string(b))
		}
		if l.Err() != nil {
			return
		}
	}
	l.pages()
	l.files()
}

// cells reads globals. Those that the Host's checks work with get no value with which a check would
// never come.
func (l *snapshotReader) cells() {
	m := l.s.module
	globals := m.report.Globals
	if n := l.Uint("globals", uint64(len(globals))); l.Err() == nil && n != uint64(len(globals)) {
		l.Fail("it has %d globals, and the module %d", n, len(globals))
	}
	most := max(int64(m.host.config.period), wasmbin.DefaultPeriod, fuelSlice)
	for i := range globals {
		v := cell{l.Uint("a global", math.MaxUint64), l.Uint("a global", math.MaxUint64)}
		if l.Err() != nil {
			return
		}
		g := &globals[i]
		narrow := g.Type == wasmbin.ValueI32 || g.Type == wasmbin.ValueF32
		if narrow && v.low > math.MaxUint32 || v.high != 0 && g.Type != wasmbin.ValueV128 {
			l.Fail("the global %s has a value that its type has not", g.Export)
		}
		count := int64(v.low)
		if narrow {
			count = int64(int32(v.low))
		}
		if g.Added && (count < -most || count > most) {
			l.Fail("the count %s is %d, which none comes to", g.Export, count)
		}
		l.s.cells = append(l.s.cells, v)
	}
}

// pages reads the memory.
func (l *snapshotReader) pages() {
	s := l.s
	s.size = l.Uint("the memory", 1<<32)
	m := memoryOf(s.module.info)
	if l.Err() != nil {
		return
	}
	if least, most := memoryBounds(m); s.size%pageSize != 0 || s.size < least || s.size > most {
		l.Fail("its memory has %d bytes, and the module's has %d to %d", s.size, least, most)
		return
	}
	b, err := mapping.NewBuilder(s.size)
	if err != nil {
		l.Fail("%w", err)
		return
	}
	base := newBasePages(s.module.captured())
	next := uint64(0)
	page := make([]byte, mapping.PageSize)
	for l.Err() == nil {
		step := l.Uint("the number of a page", s.size/mapping.PageSize)
		if step == 0 {
			break
		}
		number := next + step - 1
		next = number + 1
		if number >= s.size/mapping.PageSize || !l.Full(page) {
			l.Fail("page %d of %d", number, s.size/mapping.PageSize)
			break
		}
		delete(base, number)
		if err := b.Write(page, number*mapping.PageSize); err != nil {
			l.Fail("%w", err)
		}
	}
	for number, p := range base {
		if err := b.Write(p[:], number*mapping.PageSize); err != nil {
			l.Fail("%w", err)
		}
	}
	if l.Err() != nil {
		b.Discard()
		return
	}
	if s.image, err = b.Image(); err != nil {
		l.Fail("%w", err)
	}
}

// memoryOf is the module's memory, nil where it has none.
func memoryOf(m *wasmbin.Module) *wasmbin.Memory {
	if len(m.Memories) == 0 {
		return nil
	}
	return &m.Memories[0]
}

func memoryBounds(m *wasmbin.Memory) (least, most uint64) {
	switch {
	case m == nil:
		return 0, 0
	case m.HasMax:
		return m.Min * pageSize, m.Max * pageSize
	}
	return m.Min * pageSize, 1 << 32
}

// files reads mounts and descriptors.
func (l *snapshotReader) files() {
	s := l.s
	for range l.Uint("mounts", maxStoredMounts) {
		l.mount()
		if l.Err() != nil {
			return
		}
	}
	s.given = append(slices.Clip(s.given), l.host...)
	l.count()
	for range l.Uint("descriptors", maxStoredFds) {
		f := l.file()
		if l.Err() != nil {
			return
		}
		s.files = append(s.files, f)
		if f.Same == f.Fd {
			l.opened[f.Fd] = true
		}
	}
}

// storedMount is a mount that was read.
type storedMount struct {
	files *memfs.FS               // nil where it is no file system in memory
	above func(vfs.Node) vfs.Node // the node for one of files
	mount int                     // its index in the snapshot's, -1 if another is given in its place
}

func (l *snapshotReader) mount() {
	s := l.s
	m := forked{path: l.String("a path", vfs.MaxPath), readOnly: l.Bool("a mark")}
	kind, limited := storedKind(l.Uint("a kind of mount", uint64(storedGiven))), l.Bool("a mark")
	if l.Err() != nil {
		return
	}
	if l.mounts[m.path] != nil {
		l.Fail("it has two mounts at %.50q", m.path)
		return
	}
	at := &storedMount{above: func(n vfs.Node) vfs.Node { return n }, mount: -1}
	l.mounts[m.path] = at
	switch kind {
	case storedGiven:
		if !l.given(m.path) && !mountsAt(l.host, m.path) {
			l.Fail("the mount at %.200q is not in the file: give it by WithMount", m.path)
		}
		return
	case storedDevices:
		m.fs = devfs.New(devfs.WithStreams(stdio.Discard{}, stdio.Discard{}, stdio.Discard{}))
	default:
		fsys, err := memfs.Load(l.Source(), memfs.WithMaxBytes(l.most))
		if err != nil {
			l.Fail("mount %.200q: %w", m.path, err)
			return
		}
		m.fs, at.files = fsys, fsys
		l.limited = l.limited || limited
		u := fsys.Usage()
		if l.bytes, l.meta = l.bytes+u.Bytes, l.meta+u.Metadata; l.bytes > l.most || l.meta > vfs.MetadataLimit(l.most) {
			l.Fail("its file systems hold more than %d bytes together: raise Limits.DiskBytes", l.most)
			return
		}
	}
	l.host = slices.DeleteFunc(l.host, func(h mount) bool { return samePath(h.path, m.path) })
	if !l.given(m.path) {
		at.mount = len(s.mounts)
		s.mounts = append(s.mounts, m)
	}
}

// count makes the file systems of the snapshot count to the budgets of the guests made of it. What
// the file says of that is no reason to count less: several count to what one alone may hold.
func (l *snapshotReader) count() {
	s := l.s
	memories := 0
	for _, m := range l.mounts {
		if m.files != nil {
			memories++
		}
	}
	var quotas []quotafs.Option
	add := func(q **quotafs.Quota) {
		*q = quotafs.NewQuota(0, 0)
		quotas = append(quotas, quotafs.WithQuota(*q))
	}
	if l.limited || s.config.limits.DiskBytes != 0 || s.config.limits.Inodes != 0 {
		add(&s.disk.own)
	}
	if s.module.host.budgets.disk != nil {
		add(&s.disk.shared)
	}
	if quotas == nil && memories > 1 {
		add(&s.disk.usual)
	}
	if quotas == nil {
		return
	}
	for path, m := range l.mounts {
		if m.files == nil {
			continue
		}
		f := quotafs.New(m.files, quotafs.Limits{}, quotas...)
		if err := f.Count(); err != nil {
			l.Fail("count the files of %.200q: %w", path, err)
			return
		}
		if m.above = f.NodeAbove; m.mount >= 0 {
			s.mounts[m.mount].fs = f
		}
	}
}

func (l *snapshotReader) file() vfs.OpenState {
	f := vfs.OpenState{Fd: uint32(l.Uint("a descriptor", math.MaxInt32)), Same: uint32(l.Uint("a descriptor", math.MaxInt32)),
		Kind: wasip1.Filetype(l.Uint("a type", math.MaxUint8))}
	stream := l.Bool("a mark")
	f.Dir, f.Root = l.Bool("a mark"), l.Bool("a mark")
	f.Mode, f.Flags = vfs.OpenMode(l.Uint("a mode", math.MaxUint8)), wasip1.Fdflags(l.Uint("flags", 31))
	f.Base, f.Inheriting = wasip1.Rights(l.Uint("rights", 1<<30-1)), wasip1.Rights(l.Uint("rights", 1<<30-1))
	f.Offset, f.Path, f.Preopened = l.Int("an offset"), l.String("a path", maxStoredText), l.Bool("a mark")
	switch n := len(l.s.files); {
	case l.Err() != nil:
	case n > 0 && f.Fd <= l.s.files[n-1].Fd:
		l.Fail("descriptor %d follows %d", f.Fd, l.s.files[n-1].Fd)
	case f.Same != f.Fd && !l.opened[f.Same]:
		l.Fail("descriptor %d is a copy of %d, which is none", f.Fd, f.Same)
	case stream && (f.Offset < 0 || f.Offset > 2 || f.Dir || f.Root):
		l.Fail("descriptor %d is the stream %d", f.Fd, f.Offset)
	case !stream && f.Offset < 0:
		l.Fail("descriptor %d is at %d", f.Fd, f.Offset)
	case stream:
		f.Stream = stdio.Discard{} // for the guest's own
	case !f.Root:
		l.node(&f)
	}
	return f
}

// node finds the file that a descriptor is open on.
func (l *snapshotReader) node(f *vfs.OpenState) {
	f.Mount = l.String("a path", vfs.MaxPath)
	ino := l.Uint("an inode number", math.MaxUint64)
	m := l.mounts[f.Mount]
	if l.Err() != nil {
		return
	}
	if m == nil || m.files == nil {
		l.Fail("descriptor %d lies in %.200q, where nothing is mounted", f.Fd, f.Mount)
		return
	}
	n := m.files.Inode(ino)
	if n == nil || (n.Type() == wasip1.FiletypeDirectory) != f.Dir || n.Type() == wasip1.FiletypeSymbolicLink {
		l.Fail("descriptor %d is open on inode %d, which is no such file", f.Fd, ino)
		return
	}
	f.Node, f.Kind = m.above(n), n.Type()
}
