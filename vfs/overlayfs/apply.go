package overlayfs

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// stagePrefix starts the name in the root of the target below which Apply gathers contents.
const stagePrefix = ".wasivirt-apply-"

// Apply makes the changes ([FS.Diff]) to another file system, which has what the lower has, or to
// the lower itself. All contents are copied into the target first, so that what fails for lack of
// space, say, fails before anything was changed; they are then moved to their places. After
// applying to the lower call [FS.Discard], because the overlay does not see that it shows
// everything twice. No guest should write meanwhile.
func (f *FS) Apply(to vfs.FS) error {
	root, ok := to.Root().(vfs.Directory)
	if !ok {
		return wasip1.ENOTDIR
	}
	deltas, err := f.deltas()
	if err != nil || len(deltas) == 0 {
		return err
	}
	a := &applier{root: root, staged: make(map[node]string)}
	if err := a.open(); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	err = a.run(deltas)
	if e := a.close(); err == nil {
		err = e
	}
	return err
}

// applier carries out an Apply.
type applier struct {
	root   vfs.Directory
	stage  vfs.Directory
	name   string          // of the stage
	staged map[node]string // contents in the stage, and after they were moved the path
	placed map[node]string
	n      int
}

func (a *applier) open() error {
	for i := 0; ; i++ {
		name := stagePrefix + strconv.Itoa(i)
		n, err := a.root.Mkdir(name, 0o700)
		if err == nil {
			a.name, a.stage, a.placed = name, n.(vfs.Directory), make(map[node]string)
			return nil
		}
		if wasip1.FromError(err) != wasip1.EEXIST || i > 1000 {
			return err
		}
	}
}

func (a *applier) close() error {
	err := removeBelow(a.stage)
	wrapfs.Release(a.stage)
	if e := a.root.Rmdir(a.name); err == nil {
		err = e
	}
	return err
}

func (a *applier) run(deltas []delta) error {
	steps := []func(*delta) error{a.copy, a.remove, a.put}
	for _, step := range steps {
		for i := range deltas {
			if err := step(&deltas[i]); err != nil {
				return fmt.Errorf("apply %s: %w", deltas[i].Path, err)
			}
		}
	}
	// Directories last and from below, because what is put into them changes their times.
	for i := len(deltas) - 1; i >= 0; i-- {
		d := &deltas[i]
		if d.Kind != Removed && (d.Type == wasip1.FiletypeDirectory || d.Attributes) {
			if err := a.attributes(d); err != nil {
				return fmt.Errorf("apply %s: %w", d.Path, err)
			}
		}
	}
	return nil
}

// copy brings a content into the stage.
func (a *applier) copy(d *delta) error {
	f, ok := d.node.(*file)
	if !ok || d.Attributes || a.staged[f] != "" {
		return nil
	}
	a.n++
	name := strconv.Itoa(a.n)
	n, c, err := copyFile(context.Background(), f, a.stage, name, whole)
	if err != nil {
		return err
	}
	defer wrapfs.Release(n)
	a.staged[f] = name
	if err := c.Close(); err != nil {
		return err
	}
	return copyAttr(n, f)
}

// copyAttr gives a file the times and permissions of another.
func copyAttr(to, from vfs.Node) error {
	at, err := from.Attr()
	if err != nil {
		return err
	}
	return to.SetAttr(vfs.SetAttr{
		Mask: vfs.SetMode | vfs.SetAtim | vfs.SetMtim, Mode: at.Mode.Perm(), Atim: at.Atim, Mtim: at.Mtim,
	})
}

// remove takes away what was removed, and what stands in the way of a rename.
func (a *applier) remove(d *delta) error {
	if d.Kind != Removed && !d.Replaced {
		return nil
	}
	parent, name, done, err := a.parent(d.Path)
	if err != nil {
		return err
	}
	defer done()
	n, err := find(parent, name)
	if n == nil || err != nil {
		return err
	}
	isDir := n.Type() == wasip1.FiletypeDirectory
	wrapfs.Release(n)
	return removeAll(parent, name, isDir)
}

// put makes what was added or modified.
func (a *applier) put(d *delta) error {
	if d.Kind == Removed || d.Attributes {
		return nil
	}
	parent, name, done, err := a.parent(d.Path)
	if err != nil {
		return err
	}
	defer done()
	if first := a.placed[d.node]; first != "" {
		return a.link(first, parent, name)
	}
	switch n := d.node.(type) {
	case *dir:
		made, err := parent.Mkdir(name, 0o777)
		if err == nil {
			wrapfs.Release(made)
		}
		return err
	case *file:
		a.placed[n] = d.Path
		return a.stage.Rename(a.staged[n], parent, name)
	case *link:
		target, err := n.Readlink()
		if err != nil {
			return err
		}
		made, err := parent.Symlink(name, target)
		if err != nil {
			return err
		}
		defer wrapfs.Release(made)
		a.placed[n] = d.Path
		return copyAttr(made, n)
	}
	return wasip1.ENOTSUP
}

// link gives the file that was put at first another name, in place of what is there.
func (a *applier) link(first string, parent vfs.Directory, name string) error {
	from, base, done, err := a.parent(first)
	if err != nil {
		return err
	}
	defer done()
	n, err := from.Lookup(base)
	if err != nil {
		return err
	}
	defer wrapfs.Release(n)
	if err := ignoreMissing(parent.Unlink(name)); err != nil {
		return err
	}
	return parent.Link(name, n)
}

func (a *applier) attributes(d *delta) error {
	parent, name, done, err := a.parent(d.Path)
	if err != nil {
		return err
	}
	defer done()
	n, err := parent.Lookup(name)
	if err != nil {
		return err
	}
	defer wrapfs.Release(n)
	return copyAttr(n, d.node)
}

// parent returns the directory in the target that a path is in. done releases it.
func (a *applier) parent(p string) (d vfs.Directory, name string, done func(), err error) {
	dirs, name := path.Split(p)
	d, done = a.root, func() {}
	for c := range strings.SplitSeq(strings.Trim(dirs, "/"), "/") {
		if c == "" {
			continue
		}
		n, err := d.Lookup(c)
		done()
		if err != nil {
			return nil, "", nil, err
		}
		sub, ok := n.(vfs.Directory)
		if !ok {
			wrapfs.Release(n)
			return nil, "", nil, wasip1.ENOTDIR
		}
		d, done = sub, func() { wrapfs.Release(n) }
	}
	return d, name, done, nil
}
