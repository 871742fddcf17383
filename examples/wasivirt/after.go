package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
)

// maxArchive is how many bytes of content -export and -diff write at most. A guest can make a file
// seem to have 1<<62, and an archive has no holes.
const maxArchive = 64 << 30

// changed is a writable mount of which -diff tells what a run changed.
type changed struct {
	guest string
	fsys  *overlayfs.FS
	to    vfs.FS // where the changes are made after the run; nil if nowhere
}

// afterwards makes the files for what is asked for after the run, so that a run is not for nothing
// where that is not possible.
func (w *world) afterwards() error {
	w.archives = map[string]*os.File{}
	make := func(flag, name string) error {
		_, err := os.Lstat(name)
		fresh := errors.Is(err, fs.ErrNotExist)
		f, err := os.Create(name)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		w.archives[flag] = f
		w.closers = append(w.closers, func() error {
			info, err := f.Stat()
			err = errors.Join(err, f.Close())
			if fresh && err == nil && info.Size() == 0 {
				err = os.Remove(name) // nothing came of it
			}
			return err
		})
		return nil
	}
	for _, spec := range w.exports {
		from, to, ok := strings.Cut(spec, "=")
		if !ok || from == "" || to == "" {
			return fmt.Errorf("-export %q: want GUEST=FILE.tar", spec)
		}
		if err := make("-export "+spec, to); err != nil {
			return err
		}
	}
	if w.diff != "" {
		return make("-diff", w.diff)
	}
	return nil
}

// finish does what is asked for after the run.
func (w *world) finish(guest *virt.Guest) error {
	for _, spec := range w.exports {
		if err := w.export(guest, spec); err != nil {
			return fmt.Errorf("-export %q: %w", spec, err)
		}
	}
	if w.diff == "" {
		return nil
	}
	defer progress(w.stderr, still("writing -diff %s", w.diff))()
	if err := w.writeDiff(w.archives["-diff"]); err != nil {
		return fmt.Errorf("-diff %s: %w", w.diff, err)
	}
	for _, c := range w.changes {
		if c.to == nil {
			continue
		}
		if err := c.fsys.Apply(c.to); err != nil {
			return fmt.Errorf("make the changes of %s: %w", c.guest, err)
		}
	}
	return nil
}

// export writes the tree at a path of the guest to the file of an -export.
func (w *world) export(guest *virt.Guest, spec string) error {
	defer progress(w.stderr, still("writing -export %s", spec))()
	from, _, _ := strings.Cut(spec, "=")
	root := guest.Namespace().Root()
	if !path.IsAbs(from) {
		var err error
		if root, err = guest.Namespace().Preopen(from); err != nil {
			return err
		}
		from = "/"
	}
	tree, err := root.FS(from)
	if err != nil {
		return err
	}
	return archive.ToTar(tree, w.archives["-export "+spec], archive.WithMaxBytes(maxArchive), archive.WithLinksOut(), archive.WithoutDevices())
}

// writeDiff writes the differences of all mounts as one archive, in which each stands below its
// mount's path.
func (w *world) writeDiff(f io.Writer) error {
	out := tar.NewWriter(f)
	for _, c := range w.changes {
		if err := c.write(out); err != nil {
			return fmt.Errorf("%s: %w", c.guest, err)
		}
	}
	return out.Close()
}

func (c changed) write(out *tar.Writer) error {
	r, pipe := io.Pipe()
	go func() { pipe.CloseWithError(c.fsys.ExportTar(pipe)) }()
	defer r.Close()
	prefix := strings.Trim(c.guest, "/")
	left := int64(maxArchive)
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("the changes have more than %d bytes of content: a limit (-disk) keeps a guest from that", int64(maxArchive))
		}
		directory := strings.HasSuffix(h.Name, "/")
		h.Name = path.Join(prefix, h.Name)
		if directory {
			h.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			h.Linkname = path.Join(prefix, h.Linkname)
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
