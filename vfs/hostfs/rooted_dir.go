package hostfs

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// rootedDir is a directory in the backend of os.Root.
type rootedDir struct {
	h         *rootedHandle
	permanent bool
	released  atomic.Bool

	mu      sync.Mutex
	listing []listed // by cookie; replaced, never changed, at each start of a reading
	last    uint64   // the highest cookie given
}

// listed is a name in a listing.
type listed struct {
	name   string
	cookie uint64
}

var (
	_ vfs.Directory = (*rootedDir)(nil)
	_ vfs.Releaser  = (*rootedDir)(nil)
)

// rootedTries is how often a name is looked at again that others change between two steps.
const rootedTries = 64

// Release implements [vfs.Releaser].
func (n *rootedDir) Release() {
	if !n.permanent {
		n.drop()
	}
}

func (n *rootedDir) drop() {
	if !n.released.Swap(true) {
		n.h.release()
	}
}

// use returns the os.Root, good until n.h.release.
func (n *rootedDir) use() (*os.Root, error) {
	if n.released.Load() || !n.h.acquire() {
		return nil, wasip1.EBADF
	}
	return n.h.root, nil
}

// add is use for what adds name to the directory.
func (n *rootedDir) add(name string) (*os.Root, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if n.h.fs.readOnly {
		_, err := vfs.ReadOnlyDirectory{Names: n}.Create(name, 0)
		return nil, err
	}
	return n.use()
}

// take is use for what takes name away from it, and says what that is.
func (n *rootedDir) take(name string) (*os.Root, fs.FileInfo, error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	if n.h.fs.readOnly {
		return nil, nil, vfs.ReadOnlyDirectory{Names: n}.Unlink(name)
	}
	root, err := n.use()
	if err != nil {
		return nil, nil, err
	}
	fi, err := root.Lstat(name)
	if err != nil {
		n.h.release()
		return nil, nil, wasip1.FromError(err)
	}
	return root, fi, nil
}

func (n *rootedDir) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

func (n *rootedDir) Attr() (vfs.Attr, error) {
	root, err := n.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer n.h.release()
	fi, err := root.Stat(".")
	if err != nil {
		return vfs.Attr{}, wasip1.FromError(err)
	}
	return n.h.fs.attr(fi, identify(root, ".", fi)), nil
}

func (n *rootedDir) SetAttr(s vfs.SetAttr) error {
	if n.h.fs.readOnly {
		return wasip1.EROFS
	}
	if s.Mask&vfs.SetSize != 0 {
		return wasip1.EISDIR
	}
	root, err := n.use()
	if err != nil {
		return err
	}
	defer n.h.release()
	return change(root, ".", wasip1.FiletypeDirectory, s)
}

func (n *rootedDir) Lookup(name string) (vfs.Node, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	root, err := n.use()
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	for range rootedTries {
		fi, err := root.Lstat(name)
		if err != nil {
			return nil, wasip1.FromError(err)
		}
		switch t := modeType(fi.Mode()); t {
		case wasip1.FiletypeDirectory:
			if sub := n.subdir(root, name, fi); sub != nil {
				return sub, nil
			}
		case wasip1.FiletypeSymbolicLink:
			if target, err := root.Readlink(name); err == nil {
				l := &rootedLink{target: target}
				l.init(n.h, name)
				return l, nil
			}
		case wasip1.FiletypeRegularFile:
			f := &rootedFile{}
			f.init(n.h, name)
			return f, nil
		default:
			s := &rootedSpecial{typ: t}
			s.init(n.h, name)
			return s, nil
		}
	}
	return nil, wasip1.ENOENT
}

// subdir opens the directory name, which Lstat said is fi; nil if it is something else by now.
func (n *rootedDir) subdir(root *os.Root, name string, fi fs.FileInfo) vfs.Node {
	sub, err := root.OpenRoot(name)
	if err != nil {
		return nil
	}
	now, err := sub.Stat(".")
	if err != nil || !os.SameFile(fi, now) {
		sub.Close()
		return nil
	}
	b := n.h.fs
	b.mu.RLock()
	at := path.Join(n.h.place.path, name)
	b.mu.RUnlock()
	return &rootedDir{h: b.hold(sub, at)}
}

func (n *rootedDir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	root, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|nonblock, perm.Perm())
	if err != nil {
		return nil, wasip1.FromError(err)
	}
	f.Close()
	node := &rootedFile{}
	node.init(n.h, name)
	return node, nil
}

func (n *rootedDir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	root, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	if err := root.Mkdir(name, perm.Perm()); err != nil {
		return nil, wasip1.FromError(err)
	}
	if fi, err := root.Lstat(name); err == nil && fi.IsDir() {
		if sub := n.subdir(root, name, fi); sub != nil {
			return sub, nil
		}
	}
	return nil, wasip1.ENOENT // made and replaced at once
}

func (n *rootedDir) Symlink(name, target string) (vfs.Node, error) {
	root, err := n.add(name)
	if err != nil {
		return nil, err
	}
	defer n.h.release()
	switch {
	case target == "":
		return nil, wasip1.ENOENT // POSIX: symlink
	case strings.IndexByte(target, 0) >= 0:
		return nil, wasip1.EINVAL
	}
	if err := root.Symlink(target, name); err != nil {
		return nil, wasip1.FromError(err)
	}
	l := &rootedLink{target: strings.Clone(target)}
	l.init(n.h, name)
	return l, nil
}

func (n *rootedDir) Link(name string, node vfs.Node) error {
	root, err := n.add(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	var old *rootedEntry
	switch node := node.(type) {
	case *rootedDir:
		if node.h.fs == n.h.fs {
			return wasip1.EPERM
		}
	case *rootedFile:
		old = &node.rootedEntry
		if err := node.named(); err != nil {
			return err
		}
	case *rootedLink:
		old = &node.rootedEntry
	case *rootedSpecial:
		old = &node.rootedEntry
	}
	if old == nil || old.fs != n.h.fs {
		return wasip1.EXDEV
	}
	h, oldName, err := old.use()
	if err != nil {
		return err
	}
	defer h.release()
	if _, err := h.root.Lstat(oldName); err != nil {
		return wasip1.FromError(err)
	}
	if h == n.h {
		return failed(root.Link(oldName, name))
	}
	b := n.h.fs
	b.mu.RLock()
	defer b.mu.RUnlock()
	a, err := h.where()
	if err != nil {
		return err
	}
	z, err := n.h.where()
	if err != nil {
		return err
	}
	return failed(b.dir.h.root.Link(path.Join(a, oldName), path.Join(z, name)))
}

// failed maps an error, which must not become a nil Errno in an interface.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return wasip1.FromError(err)
}

// Unlink looks before it removes, since os.Root removes both. A directory that another process puts
// there in between is removed if it is empty.
func (n *rootedDir) Unlink(name string) error {
	root, fi, err := n.take(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	if fi.IsDir() {
		return wasip1.EISDIR
	}
	return n.removed(name, failed(root.Remove(name)))
}

// removed takes the name away from the nodes that had it, if err is nil.
func (n *rootedDir) removed(name string, err error) error {
	if err == nil {
		b := n.h.fs
		b.mu.Lock()
		defer b.mu.Unlock()
		b.moved(path.Join(n.h.place.path, name), "")
	}
	return err
}

func (n *rootedDir) Rmdir(name string) error {
	root, fi, err := n.take(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	if !fi.IsDir() {
		return wasip1.ENOTDIR
	}
	return n.removed(name, notEmpty(root.Remove(name)))
}

// notEmpty maps what systems say of a directory with names in it.
func notEmpty(err error) error {
	if err = failed(err); err == wasip1.EEXIST {
		return wasip1.ENOTEMPTY
	}
	return err
}

func (n *rootedDir) Rename(name string, to vfs.Directory, newName string) error {
	root, fi, err := n.take(name)
	if err != nil {
		return err
	}
	defer n.h.release()
	dir, ok := to.(*rootedDir)
	if !ok || dir.h.fs != n.h.fs {
		return wasip1.EXDEV
	}
	toRoot, err := dir.add(newName)
	if err != nil {
		return err
	}
	defer dir.h.release()

	b := n.h.fs
	b.mu.Lock()
	defer b.mu.Unlock()
	from, err := n.h.where()
	if err != nil {
		return err
	}
	target := from
	same := dir.h.place.path == n.h.place.path
	if !same {
		if target, err = dir.h.where(); err != nil {
			return err
		}
	}
	from, target = path.Join(from, name), path.Join(target, newName)
	if fi.IsDir() && strings.HasPrefix(target, from+"/") {
		return wasip1.EINVAL
	}
	// What stands there decides the error, which os.Root does not tell apart on every system.
	if there, err := toRoot.Lstat(newName); err == nil {
		switch {
		case os.SameFile(fi, there) && !(same && name != newName && strings.EqualFold(name, newName)):
			return nil // two names of one file stay both (POSIX: rename)
		case os.SameFile(fi, there): // another spelling, where spelling does not matter
		case fi.IsDir() && !there.IsDir():
			return wasip1.ENOTDIR
		case !fi.IsDir() && there.IsDir():
			return wasip1.EISDIR
		case fi.IsDir():
			// os.Root renames no directory onto another, even an empty one.
			if err := notEmpty(toRoot.Remove(newName)); err != nil {
				return err
			}
		}
	}
	if same {
		err = root.Rename(name, newName)
	} else {
		err = b.dir.h.root.Rename(from, target)
	}
	if err == nil {
		b.moved(from, target)
	}
	return notEmpty(err)
}

// ReadDir reads all names when cookie is 0, and otherwise goes on in what was read then. A name
// keeps its cookie as long as it is there. Each name is asked for its type and number: os does not
// pass on what the system lists.
func (n *rootedDir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	root, err := n.use()
	if err != nil {
		return 0, err
	}
	defer n.h.release()
	listing, err := n.list(root, cookie == 0)
	if err != nil {
		return 0, err
	}
	i, found := slices.BinarySearchFunc(listing, cookie, func(l listed, c uint64) int { return cmp.Compare(l.cookie, c) })
	if found {
		i++
	}
	count := 0
	for ; i < len(listing) && count < len(entries); i++ {
		l := listing[i]
		fi, err := root.Lstat(l.name)
		if err != nil {
			continue // removed meanwhile
		}
		a := n.h.fs.attr(fi, identify(root, l.name, fi))
		entries[count] = vfs.DirEntry{Name: l.name, Ino: a.Ino, Type: a.Type, Next: l.cookie}
		count++
	}
	return count, nil
}

func (n *rootedDir) list(root *os.Root, fresh bool) ([]listed, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !fresh && n.listing != nil {
		return n.listing, nil
	}
	f, err := root.Open(".")
	if err != nil {
		return nil, wasip1.FromError(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil && wasip1.FromError(err) != wasip1.ENOENT { // which means removed
		return nil, wasip1.FromError(err)
	}
	known := make(map[string]uint64, len(n.listing))
	for _, l := range n.listing {
		known[l.name] = l.cookie
	}
	listing := make([]listed, 0, len(names))
	for _, name := range names {
		if checkName(name) != nil {
			continue
		}
		cookie := known[name]
		if cookie == 0 {
			n.last++
			cookie = n.last
		}
		listing = append(listing, listed{name, cookie})
	}
	slices.SortFunc(listing, func(a, b listed) int { return cmp.Compare(a.cookie, b.cookie) })
	n.listing = listing
	return listing, nil
}
