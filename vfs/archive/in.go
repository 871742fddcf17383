package archive

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FromTar adds the entries of a tar, not compressed, in their order. Entries that are neither
// regular files, directories nor links are ENOTSUP.
func FromTar(fsys vfs.FS, r io.Reader, opts ...Option) error {
	b, err := newBuilder(fsys, newConfig(DefaultMaxBytes, DefaultMaxEntries, opts))
	if err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return b.finish()
		}
		if err != nil {
			return fmt.Errorf("archive: reading a tar after %d entries: %w", b.entries, err)
		}
		if err := b.tarEntry(h, tr); err != nil {
			return entryError(h.Name, err)
		}
	}
}

func (b *builder) tarEntry(h *tar.Header, r io.Reader) error {
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeReg:
		return b.file(h.Name, mode, h.ModTime, h.Size, r)
	case tar.TypeDir:
		return b.dir(h.Name, mode, h.ModTime)
	case tar.TypeSymlink:
		return b.symlink(h.Name, h.Linkname, h.ModTime)
	case tar.TypeLink:
		return b.link(h.Name, h.Linkname)
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("it is of type %q: %w", h.Typeflag, wasip1.ENOTSUP)
	}
}

// FromZip adds the entries of a zip of that many bytes.
func FromZip(fsys vfs.FS, r io.ReaderAt, size int64, opts ...Option) error {
	b, err := newBuilder(fsys, newConfig(DefaultMaxBytes, DefaultMaxEntries, opts))
	if err != nil {
		return err
	}
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return fmt.Errorf("archive: reading a zip: %w", err)
	}
	for _, f := range zr.File {
		if err := b.zipEntry(f); err != nil {
			return entryError(f.Name, err)
		}
	}
	return b.finish()
}

func (b *builder) zipEntry(f *zip.File) error {
	mode := f.Mode()
	if strings.HasSuffix(f.Name, "/") || mode.IsDir() {
		return b.dir(f.Name, mode, f.Modified)
	}
	if mode.Type()&^fs.ModeSymlink != 0 {
		return fmt.Errorf("it is of type %v: %w", mode.Type(), wasip1.ENOTSUP)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if mode.IsRegular() {
		return b.file(f.Name, mode, f.Modified, int64(min(f.UncompressedSize64, math.MaxInt64)), r)
	}
	target, err := io.ReadAll(io.LimitReader(r, vfs.MaxPath+1))
	if err != nil {
		return err
	}
	return b.symlink(f.Name, string(target), f.Modified)
}

// FromFS adds all of src. Symbolic links are kept if src is an [fs.ReadLinkFS].
func FromFS(fsys vfs.FS, src fs.FS, opts ...Option) error {
	return fromFS(fsys, src, newConfig(DefaultMaxBytes, DefaultMaxEntries, opts))
}

func fromFS(fsys vfs.FS, src fs.FS, c config) error {
	b, err := newBuilder(fsys, c)
	if err != nil {
		return err
	}
	// The names under which files with more than one were first met.
	first := make(map[any]string)
	err = fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return entryError(name, err)
		}
		return entryError(name, b.fsEntry(src, name, d, first))
	})
	if err != nil {
		return err
	}
	return b.finish()
}

func (b *builder) fsEntry(src fs.FS, name string, d fs.DirEntry, first map[any]string) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	mode, mtime := info.Mode(), info.ModTime()
	if !mode.IsDir() {
		if key := identity(info); key != nil {
			if old, ok := first[key]; ok {
				return b.link(name, old)
			}
			first[key] = name
		}
	}
	switch {
	case mode.IsDir() && name == ".":
		return nil
	case mode.IsDir():
		return b.dir(name, mode, mtime)
	case mode.IsRegular():
		f, err := src.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return b.file(name, mode, mtime, info.Size(), f)
	case mode.Type() == fs.ModeSymlink:
		target, err := fs.ReadLink(src, name)
		if err != nil {
			return err
		}
		return b.symlink(name, target, mtime)
	default:
		return fmt.Errorf("it is of type %v: %w", mode.Type(), wasip1.ENOTSUP)
	}
}

// FromDir adds all of a directory of the host. Symbolic links are kept, never followed; hard links
// are kept where the host tells of them.
func FromDir(fsys vfs.FS, dir string, opts ...Option) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer root.Close()
	return fromFS(fsys, root.FS(), newConfig(unlimited, unlimited, opts))
}
