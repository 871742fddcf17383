package overlayfs

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// OCI image specification, "Layer filesystem changeset": a file of this prefix removes the name
// that follows, and one of this name hides all that lower layers have in its directory.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// ExportTar writes the difference ([FS.Diff]) as a tar archive in the form of a layer of an OCI
// image: what was added or modified with its content, what was removed as an empty file ".wh.NAME",
// and in a directory that replaced one a file ".wh..wh..opq". Further names of a file are hard
// links. The archive depends on nothing but the difference: owners are 0, entries are sorted by
// path.
//
// No guest should write meanwhile; a file whose size changes while it is written is an error. So is
// a name that starts with ".wh.", which would be taken for a whiteout.
func (f *FS) ExportTar(w io.Writer) error {
	deltas, err := f.deltas()
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	first := make(map[node]string)
	for _, d := range deltas {
		if err := d.export(t, first); err != nil {
			return fmt.Errorf("export %s: %w", d.Path, err)
		}
	}
	return t.Close()
}

func (d *delta) export(t *tar.Writer, first map[node]string) error {
	parent, name := path.Split(d.Path)
	if strings.HasPrefix(name, whiteout) {
		return wasip1.EINVAL
	}
	if d.Kind == Removed {
		return t.WriteHeader(&tar.Header{Name: parent + whiteout + name, Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX})
	}
	a, err := d.node.Attr()
	if err != nil {
		return err
	}
	h := &tar.Header{
		Name: d.Path, Mode: int64(a.Mode.Perm()), Format: tar.FormatPAX,
		ModTime: time.Unix(0, a.Mtim).UTC(),
	}
	if p, ok := first[d.node]; ok {
		h.Typeflag, h.Linkname = tar.TypeLink, p
		return t.WriteHeader(h)
	}
	first[d.node] = d.Path
	switch n := d.node.(type) {
	case *dir:
		h.Typeflag, h.Name = tar.TypeDir, d.Path+"/"
	case *link:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = n.Readlink(); err != nil {
			return err
		}
	case *file:
		h.Typeflag, h.Size = tar.TypeReg, int64(a.Size)
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		return n.writeTo(t, h.Size)
	default:
		h.Typeflag = tar.TypeChar
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir && d.Replaced && d.wasType == wasip1.FiletypeDirectory {
		return t.WriteHeader(&tar.Header{Name: d.Path + "/" + opaque, Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX})
	}
	return nil
}

// writeTo writes the content, which has to be size bytes.
func (f *file) writeTo(w io.Writer, size int64) error {
	c, err := f.Open(vfs.OpenRead)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := io.Copy(w, io.NewSectionReader(c, 0, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
