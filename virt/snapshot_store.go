package virt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/wasivirt/wasivirt/internal/binfile"
	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
)

// snapshotMagic begins a snapshot file. The number is the version of the format.
const snapshotMagic = "wasivirt snapshot 1\n"

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
		counted := ok && (layer.CountsTo(s.disk.own) || layer.CountsTo(s.disk.shared))
		if !counted && !(ok && layer.CountsTo(s.disk.usual)) {
			break
		}
		fsys, limited = layer.Unwrap(), limited || counted
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
