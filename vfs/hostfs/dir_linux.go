package hostfs

import (
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dirNode is a directory that is held open.
type dirNode struct {
	fs        *held
	h         *handle
	permanent bool // the root, which only FS.Close lets go
	released  atomic.Bool

	mu   sync.Mutex // guards list
	list *listing
}

var (
	_ vfs.PathOpener  = (*dirNode)(nil)
	_ vfs.PlainOpener = (*dirNode)(nil)
	_ vfs.Releaser    = (*dirNode)(nil)
)

// Release implements [vfs.Releaser].
func (n *dirNode) Release() {
	if !n.permanent {
		n.drop()
	}
}

func (n *dirNode) drop() {
	if n.released.Swap(true) {
		return
	}
	n.mu.Lock()
	if n.list != nil {
		n.list.close()
		n.list = nil
	}
	n.mu.Unlock()
	n.h.release()
}

// use returns the descriptor, good until n.h.release.
func (n *dirNode) use() (int, error) {
	if n.released.Load() || !n.h.acquire() {
		return -1, wasip1.EBADF
	}
	return n.h.fd, nil
}

// add is use for what adds name to the directory.
func (n *dirNode) add(name string) (int, error) {
	if err := checkName(name); err != nil {
		return -1, err
	}
	if n.fs.readOnly {
		_, err := vfs.ReadOnlyDirectory{Names: n}.Create(name, 0)
		return -1, err
	}
	return n.use()
}

// take is use for what takes name away from it.
func (n *dirNode) take(name string) (int, error) {
	if err := checkName(name); err != nil {
		return -1, err
	}
	if n.fs.readOnly {
		return -1, vfs.ReadOnlyDirectory{Names: n}.Unlink(name)
	}
	return n.use()
}

func (n *dirNode) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

func (n *dirNode) Attr() (vfs.Attr, error) {
	fd, err := n.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer n.h.release()
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return vfs.Attr{}, err
	}
	return n.fs.attr(&st), nil
}

func (n *dirNode) SetAttr(s vfs.SetAttr) error {
	if n.fs.readOnly {
		return wasip1.EROFS
	}
	if s.Mask&vfs.SetSize != 0 {
		return wasip1.EISDIR
	}
	fd, err := n.use()
	if err != nil {
		return err
	}
	defer n.h.release()
	if s.Mask&vfs.SetMode != 0 {
		if err := again(func() error { return unix.Fchmodat(fd, ".", uint32(s.Mode.Perm()), 0) }); err != nil {
			return err
		}
	}
	if ts, ok := times(s); ok {
		return again(func() error { return unix.UtimesNanoAt(fd, ".", ts[:], 0) })
	}
	return nil
}

// lookupTries is how often Lookup looks again when another process changes the name between two
// steps.
const lookupTries = 64

func (n *dirNode) Lookup(name string) (vfs.Node, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := n.use()
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	for range lookupTries {
		var st unix.Stat_t
		if err := fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, err
		}
		node, err := n.node(fd, name, filetype(st.Mode))
		switch err {
		case wasip1.ENOTDIR, wasip1.ELOOP, wasip1.EINVAL, wasip1.ENOENT:
			continue // it is something else by now
		}
		return node, err
	}
	return nil, wasip1.ENOENT
}

// node makes the node of a name that was found to be of type t.
func (n *dirNode) node(fd int, name string, t wasip1.Filetype) (vfs.Node, error) {
	switch t {
	case wasip1.FiletypeDirectory:
		return n.subdir(fd, name)
	case wasip1.FiletypeSymbolicLink:
		target, err := readlinkat(fd, name)
		if err != nil {
			return nil, err
		}
		l := &linkNode{target: target}
		l.init(n.fs, n.h, name)
		return l, nil
	case wasip1.FiletypeRegularFile:
		f := &fileNode{}
		f.init(n.fs, n.h, name)
		return f, nil
	}
	s := &specialNode{typ: t}
	s.init(n.fs, n.h, name)
	return s, nil
}

// subdir opens the directory name. ENOTDIR or ELOOP where it is not one.
func (n *dirNode) subdir(fd int, name string) (vfs.Node, error) {
	sub, err := openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &dirNode{fs: n.fs, h: newHandle(sub, false)}, nil
}

func (n *dirNode) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	fd, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	file, err := openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|openFlags(vfs.OpenWrite), uint32(perm.Perm()))
	if err != nil {
		return nil, err
	}
	closeFD(file)
	return n.node(fd, name, wasip1.FiletypeRegularFile)
}

// MakeDir makes a directory without a node for it, which the walker of package vfs prefers.
func (n *dirNode) MakeDir(name string, perm fs.FileMode) error {
	fd, err := n.add(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	return mkdirat(fd, name, uint32(perm.Perm()))
}

func (n *dirNode) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	fd, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	if err := mkdirat(fd, name, uint32(perm.Perm())); err != nil {
		return nil, err
	}
	node, err := n.subdir(fd, name)
	if err == wasip1.ENOTDIR || err == wasip1.ELOOP {
		err = wasip1.ENOENT // made and replaced at once
	}
	return node, err
}

func (n *dirNode) Symlink(name, target string) (vfs.Node, error) {
	fd, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	if err := again(func() error { return unix.Symlinkat(target, fd, name) }); err != nil {
		return nil, err
	}
	l := &linkNode{target: strings.Clone(target)}
	l.init(n.fs, n.h, name)
	return l, nil
}

func (n *dirNode) Link(name string, node vfs.Node) error {
	fd, err := n.add(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	switch node := node.(type) {
	case *dirNode:
		if node.fs == n.fs {
			return wasip1.EPERM
		}
	case *fileNode:
		if node.fs == n.fs {
			return node.linkTo(fd, name)
		}
	case *linkNode:
		if node.fs == n.fs {
			return node.linkTo(fd, name)
		}
	case *specialNode:
		if node.fs == n.fs {
			return node.linkTo(fd, name)
		}
	}
	return wasip1.EXDEV
}

func (n *dirNode) Unlink(name string) error { return n.remove(name, 0) }

func (n *dirNode) Rmdir(name string) error { return n.remove(name, unix.AT_REMOVEDIR) }

func (n *dirNode) remove(name string, flags int) error {
	fd, err := n.take(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	err = unlinkat(fd, name, flags)
	switch err {
	case nil:
		n.fs.unlinked(n.h, name)
	case wasip1.EEXIST:
		return wasip1.ENOTEMPTY // POSIX lets file systems say either
	}
	return err
}

func (n *dirNode) Rename(name string, to vfs.Directory, newName string) error {
	fd, err := n.take(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	dir, ok := to.(*dirNode)
	if !ok || dir.fs != n.fs {
		return wasip1.EXDEV
	}
	toFD, err := dir.add(newName)
	if err != nil {
		return err
	}
	defer dir.h.release()
	err = renameat(fd, name, toFD, newName)
	switch err {
	case nil:
		n.fs.renamed(n.h, name, dir.h, newName)
	case wasip1.EEXIST:
		return wasip1.ENOTEMPTY
	}
	return err
}
