package virt

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math"
	"slices"

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

// snapshotMagic begins a snapshot file. The number is the version of the format.
const snapshotMagic = "wasivirt snapshot 1\n"

// Limits of what is read from a snapshot file.
const (
	maxStoredMounts = 1 << 10
	maxStoredFds    = 1 << 20
	maxStoredText   = 1 << 16
)

// storedKind says how a mount is in a snapshot file.
type storedKind uint64

const (
	storedMemory  storedKind = iota // with its contents
	storedDevices                   // the guest's own devices
	storedGiven                     // not at all: the reader gives it
)

// WriteTo writes the snapshot to a file, which [ReadSnapshot] reads, in another process too. It
// holds the pages of the memory that differ from what the module begins with, the globals,
// descriptors, budgets and the files in memory. It is as secret as what the guest has in them.
//
// Read-only mounts, except a memfs.FS, are not in the file: give them again to [ReadSnapshot].
// Errors name a writable mount that is neither a memfs.FS nor the guest's devices, and a descriptor
// that is open in a file system that is not in the file.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	if err := s.use(); err != nil {
		return 0, err
	}
	sum := sha256.New()
	out := binfile.NewWriter(io.MultiWriter(w, sum))
	err := s.store(out)
	n, werr := out.Flush()
	if err = errors.Join(err, werr); err != nil {
		return n, fmt.Errorf("write a snapshot: %w", err)
	}
	tail, err := w.Write(sum.Sum(nil))
	if err != nil {
		return n + int64(tail), fmt.Errorf("write a snapshot: %w", err)
	}
	return n + int64(tail), nil
}

func (s *Snapshot) store(out *binfile.Writer) error {
	_, _ = out.Write([]byte(snapshotMagic)) // the Writer keeps errors
	out.Bytes(s.module.sum[:])
	out.String(s.module.key.options)
	out.Bytes(s.module.rewritten[:])
	out.Bool(s.point.reached)
	out.Uint(uint64(s.point.fn))
	out.Uint(uint64(s.point.arg))
	out.Uint(uint64(len(s.cells)))
	for _, c := range s.cells {
		out.Uint(c.low)
		out.Uint(c.high)
	}
	out.Uint(uint64(len(s.left)))
	for _, b := range slices.Sorted(maps.Keys(s.left)) {
		out.String(string(b))
		out.Int(s.left[b])
	}
	if err := s.storePages(out); err != nil {
		return err
	}
	return s.storeFiles(out)
}

// storePages writes the pages that differ from what the module begins with.
func (s *Snapshot) storePages(out *binfile.Writer) error {
	out.Uint(s.size)
	base := newBasePages(s.module.captured())
	buf := make([]byte, 1<<16)
	last := uint64(0)
	for at := uint64(0); at < s.size; at += uint64(len(buf)) {
		if _, err := s.image.ReadAt(buf, int64(at)); err != nil {
			return err
		}
		for off := 0; off < len(buf); off += mapping.PageSize {
			page, number := buf[off:off+mapping.PageSize], (at+uint64(off))/mapping.PageSize
			if !bytes.Equal(page, base.page(number)) {
				out.Uint(number + 1 - last) // 0 is the end
				_, _ = out.Write(page)
				last = number + 1
			}
		}
	}
	out.Uint(0)
	return nil
}

// basePages are the pages of a memory that hold the module's data.
type basePages map[uint64]*[mapping.PageSize]byte

var zeroPage [mapping.PageSize]byte

func newBasePages(c *wasmbin.Capture) basePages {
	b := basePages{}
	for _, seg := range c.Data {
		for at, rest := uint64(seg.Offset), seg.Bytes; len(rest) > 0; {
			number, off := at/mapping.PageSize, at%mapping.PageSize
			if b[number] == nil {
				b[number] = new([mapping.PageSize]byte)
			}
			n := copy(b[number][off:], rest)
			at, rest = at+uint64(n), rest[n:]
		}
	}
	return b
}

func (b basePages) page(number uint64) []byte {
	if p := b[number]; p != nil {
		return p[:]
	}
	return zeroPage[:]
}

// storeFiles writes mounts and descriptors.
func (s *Snapshot) storeFiles(out *binfile.Writer) error {
	kinds := map[string]storedKind{}
	out.Uint(uint64(len(s.mounts)))
	for i := range s.mounts {
		m := &s.mounts[i]
		kind, fsys, limited, err := s.storedAs(m)
		if err != nil {
			return err
		}
		kinds[m.path] = kind
		out.String(m.path)
		out.Bool(m.readOnly)
		out.Uint(uint64(kind))
		out.Bool(limited)
		if kind == storedMemory {
			if err := fsys.(vfs.Storer).Store(out); err != nil {
				return fmt.Errorf("mount %s: %w", m.path, err)
			}
		}
	}
	out.Uint(uint64(len(s.files)))
	for i := range s.files {
		f := &s.files[i]
		if err := storeFile(out, f, kinds); err != nil {
			return fmt.Errorf("descriptor %d (%s): %w", f.Fd, f.Path, err)
		}
	}
	return nil
}

// storedAs says how a mount is written, and what it is without the budgets of disk before it.
func (s *Snapshot) storedAs(m *forked) (kind storedKind, fsys vfs.FS, limited bool, err error) {
	fsys = m.fs
	for {
		layer, ok := fsys.(interface {
			CountsTo(*quotafs.Quota) bool
			Unwrap() vfs.FS
		})
		if !ok || !layer.CountsTo(s.disk.own) && !layer.CountsTo(s.disk.shared) {
			break
		}
		fsys, limited = layer.Unwrap(), true
	}
	switch f := fsys.(type) {
	case vfs.Storer:
		return storedMemory, fsys, limited, nil
	case interface{ Standard() bool }:
		if f.Standard() {
			return storedDevices, fsys, false, nil
		}
	}
	if m.readOnly {
		return storedGiven, nil, false, nil
	}
	return 0, nil, false, fmt.Errorf("mount %s: the layer %T, which guests can change, is not written to files: take the snapshot of a guest with a memfs there (archive.FromFS fills one), or mount it vfs.WithReadOnly and give it to ReadSnapshot", m.path, fsys)
}

func storeFile(out *binfile.Writer, f *vfs.OpenState, kinds map[string]storedKind) error {
	out.Uint(uint64(f.Fd))
	out.Uint(uint64(f.Same))
	out.Uint(uint64(f.Kind))
	out.Bool(f.Stream != nil)
	out.Bool(f.Dir)
	out.Bool(f.Root)
	out.Uint(uint64(f.Mode))
	out.Uint(uint64(f.Flags))
	out.Uint(uint64(f.Base))
	out.Uint(uint64(f.Inheriting))
	out.Int(f.Offset)
	out.String(f.Path)
	out.Bool(f.Preopened)
	if f.Stream != nil || f.Root {
		return nil
	}
	if kinds[f.Mount] != storedMemory {
		return fmt.Errorf("it is open in %s, which is not in the file: close it before", f.Mount)
	}
	a, err := f.Node.Attr()
	if err != nil {
		return err
	}
	if f.Dir && a.Nlink == 0 {
		return errors.New("its directory has been removed: close it before")
	}
	out.String(f.Mount)
	out.Uint(a.Ino)
	return nil
}

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
// file. The memory is mapped, and shared by the guests until they write to it.
//
// The file may come from an untrusted source. A damaged file is an error, and ReadSnapshot takes no
// more memory than the length of the file and the guest's limits allow. The state in the file
// counts as a state that the guest reached by itself. Budgets continue with what was left, but
// never with more than the options give.
//
// Errors: [ErrSnapshotMismatch], with what differs, where the file is of another module, of other
// options or of another version of this library; damage; a file system that has to be mounted again
// and is not among opts, by its path.
func ReadSnapshot(m *Module, r io.Reader, opts ...GuestOption) (_ *Snapshot, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read a snapshot: %w", err)
		}
	}()
	if m.captured() == nil || len(m.captured().Refused) > 0 {
		return nil, errors.New("the module has no snapshots: inspect.Module says why")
	}
	c := m.host.config
	c.forGuest = true
	if err := errors.Join(apply(&c, opts)...); err != nil {
		return nil, err
	}
	src := &hashedSource{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	l := &snapshotReader{Reader: binfile.NewReader(src), s: &Snapshot{module: m, config: c, given: c.mounts, left: map[Budget]int64{}}}
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
	s *Snapshot
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
		return fmt.Errorf("%w: the Host that wrote it rewrote modules with %.500q, this one with %q: build the Host with the same options (fuel, call depth, scheduler)", ErrSnapshotMismatch, options, m.key.options)
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
	stored := map[string]*memfs.FS{}
	nodes := map[string]func(vfs.Node) vfs.Node{}
	for range l.Uint("mounts", maxStoredMounts) {
		l.mount(stored, nodes)
		if l.Err() != nil {
			return
		}
	}
	for range l.Uint("descriptors", maxStoredFds) {
		f := l.file(stored, nodes)
		if l.Err() != nil {
			return
		}
		s.files = append(s.files, f)
	}
}

func (l *snapshotReader) mount(stored map[string]*memfs.FS, nodes map[string]func(vfs.Node) vfs.Node) {
	s := l.s
	m := forked{path: l.String("a path", vfs.MaxPath), readOnly: l.Bool("a mark")}
	kind, limited := storedKind(l.Uint("a kind of mount", uint64(storedGiven))), l.Bool("a mark")
	if l.Err() != nil {
		return
	}
	if nodes[m.path] != nil {
		l.Fail("it has two mounts at %.50q", m.path)
		return
	}
	nodes[m.path] = func(n vfs.Node) vfs.Node { return n }
	switch kind {
	case storedGiven:
		if !slices.ContainsFunc(s.given, func(g mount) bool { return samePath(g.path, m.path) }) {
			l.Fail("the mount at %.200q is not in the file: give it by WithMount", m.path)
		}
		return
	case storedDevices:
		m.fs = devfs.New(devfs.WithStreams(stdio.Discard{}, stdio.Discard{}, stdio.Discard{}))
	default:
		fsys, err := memfs.Load(l.Source(), memfs.WithMaxBytes(defaultDiskBytes))
		if err != nil {
			l.Fail("mount %.200q: %w", m.path, err)
			return
		}
		m.fs, stored[m.path] = fsys, fsys
		if limited {
			m.fs, nodes[m.path] = l.counted(fsys)
		}
	}
	if !slices.ContainsFunc(s.given, func(g mount) bool { return samePath(g.path, m.path) }) {
		s.mounts = append(s.mounts, m)
	}
}

// counted makes the files of the snapshot count to the budgets of the guests made of it.
func (l *snapshotReader) counted(fsys vfs.FS) (vfs.FS, func(vfs.Node) vfs.Node) {
	d := &l.s.disk
	if d.own == nil {
		d.own = quotafs.NewQuota(0, 0)
	}
	f := quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(d.own))
	if err := f.Count(); err != nil {
		l.Fail("count files: %w", err)
	}
	return f, f.NodeAbove
}

func (l *snapshotReader) file(stored map[string]*memfs.FS, nodes map[string]func(vfs.Node) vfs.Node) vfs.OpenState {
	f := vfs.OpenState{Fd: uint32(l.Uint("a descriptor", math.MaxInt32)), Same: uint32(l.Uint("a descriptor", math.MaxInt32)),
		Kind: wasip1.Filetype(l.Uint("a type", math.MaxUint8))}
	stream := l.Bool("a mark")
	f.Dir, f.Root = l.Bool("a mark"), l.Bool("a mark")
	f.Mode, f.Flags = vfs.OpenMode(l.Uint("a mode", math.MaxUint8)), wasip1.Fdflags(l.Uint("flags", 31))
	f.Base, f.Inheriting = wasip1.Rights(l.Uint("rights", 1<<30-1)), wasip1.Rights(l.Uint("rights", 1<<30-1))
	f.Offset, f.Path, f.Preopened = l.Int("an offset"), l.String("a path", maxStoredText), l.Bool("a mark")
	known := func(fd uint32) bool {
		return slices.ContainsFunc(l.s.files, func(o vfs.OpenState) bool { return o.Fd == fd && o.Same == fd })
	}
	switch n := len(l.s.files); {
	case l.Err() != nil:
	case n > 0 && f.Fd <= l.s.files[n-1].Fd:
		l.Fail("descriptor %d follows %d", f.Fd, l.s.files[n-1].Fd)
	case f.Same != f.Fd && !known(f.Same):
		l.Fail("descriptor %d is a copy of %d, which is none", f.Fd, f.Same)
	case stream && (f.Offset < 0 || f.Offset > 2 || f.Dir || f.Root):
		l.Fail("descriptor %d is the stream %d", f.Fd, f.Offset)
	case !stream && f.Offset < 0:
		l.Fail("descriptor %d is at %d", f.Fd, f.Offset)
	case stream:
		f.Stream = stdio.Discard{} // for the guest's own
	case !f.Root:
		l.node(&f, stored, nodes)
	}
	return f
}

// node finds the file that a descriptor is open on.
func (l *snapshotReader) node(f *vfs.OpenState, stored map[string]*memfs.FS, nodes map[string]func(vfs.Node) vfs.Node) {
	f.Mount = l.String("a path", vfs.MaxPath)
	ino := l.Uint("an inode number", math.MaxUint64)
	fsys := stored[f.Mount]
	if l.Err() != nil {
		return
	}
	if fsys == nil {
		l.Fail("descriptor %d lies in %.200q, where nothing is mounted", f.Fd, f.Mount)
		return
	}
	n := fsys.Inode(ino)
	if n == nil || (n.Type() == wasip1.FiletypeDirectory) != f.Dir || n.Type() == wasip1.FiletypeSymbolicLink {
		l.Fail("descriptor %d is open on inode %d, which is no such file", f.Fd, ino)
		return
	}
	f.Node, f.Kind = nodes[f.Mount](n), n.Type()
}
