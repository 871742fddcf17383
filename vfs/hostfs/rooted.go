package hostfs

import (
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// rooted is the backend of os.Root, for all systems but Linux; on Linux it is only tested.
//
// An os.Root follows symbolic links as long as they stay inside, which a node must not: every use
// of a name is preceded by an Lstat that tells what it is, and followed by a comparison
// (os.SameFile) with what was opened. A link that slips in between leads to a file of the same
// mount at worst, and is noticed before anything is read or written through it. A name is always
// used in its own directory's os.Root, except by a rename or link between two directories, which
// os.Root has only below a common root: these use paths, see where.
type rooted struct {
	dir      *rootedDir
	single   *rootedFile // instead of dir
	file     vfs.File    // of single
	readOnly bool
	dev      uint64

	mu     sync.RWMutex              // guards places and what they say; held by renames
	places map[*rootedPlace]struct{} // of all nodes that are not released
}

// rootedPlace is where a node is, as a path below the root. Renames by guests move it, and
// unlinking makes it ""; what others do makes it wrong, which is found out when it is used.
type rootedPlace struct{ path string }

// rootedHandle is a directory that is held, shared by its node and the nodes of names in it.
type rootedHandle struct {
	fs    *rooted
	root  *os.Root // closes itself when it is collected
	place *rootedPlace
	refs  atomic.Int32
}

func openRooted(dir string, o options) (backend, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, wasip1.FromError(err)
	}
	fi, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, wasip1.FromError(err)
	}
	b := &rooted{readOnly: o.readOnly, places: map[*rootedPlace]struct{}{}}
	b.dev = identify(root, ".", fi).dev
	b.dir = &rootedDir{h: b.hold(root, "."), permanent: true}
	return b, nil
}

func openRootedFile(name string) (backend, error) {
	// Before it is opened, so that a FIFO is not even tried.
	fi, err := os.Stat(name)
	if err != nil {
		return nil, wasip1.FromError(err)
	}
	if t := modeType(fi.Mode()); t != wasip1.FiletypeRegularFile {
		return nil, entryError(t)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, wasip1.FromError(err)
	}
	if fi, err = f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, wasip1.ENXIO
	}
	b := &rooted{readOnly: true}
	b.dev = identifyFile(f, fi).dev
	b.single = &rootedFile{rootedEntry: rootedEntry{fs: b}}
	b.file = b.single.attach(newCounted(f), vfs.OpenRead)
	return b, nil
}

func (b *rooted) root() vfs.Node {
	if b.single != nil {
		return b.single
	}
	return b.dir
}

func (b *rooted) close() error {
	if b.single != nil {
		_ = b.file.Close() // EBADF the second time
		return nil
	}
	b.dir.drop()
	return nil
}

// hold makes a handle of root, which is at the path at.
func (b *rooted) hold(root *os.Root, at string) *rootedHandle {
	h := &rootedHandle{fs: b, root: root, place: &rootedPlace{at}}
	h.refs.Store(1)
	b.know(h.place)
	runtime.AddCleanup(h, b.forget, h.place) // the net for nodes that nobody released
	return h
}

func (b *rooted) know(p *rootedPlace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.places[p] = struct{}{}
}

func (b *rooted) forget(p *rootedPlace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.places, p)
}

func (h *rootedHandle) acquire() bool {
	for {
		n := h.refs.Load()
		if n <= 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (h *rootedHandle) release() {
	if h.refs.Add(-1) == 0 {
		h.root.Close()
		h.fs.forget(h.place)
	}
}

// where returns the directory's path below the root, checked to be still its own. ENOENT if another
// process has moved or removed it. b.mu is held.
func (h *rootedHandle) where() (string, error) {
	at := h.place.path
	switch at {
	case ".":
		return at, nil
	case "":
		return "", wasip1.ENOENT
	}
	mine, err := h.root.Stat(".")
	if err != nil {
		return "", wasip1.FromError(err)
	}
	there, err := h.fs.dir.h.root.Stat(at)
	if err != nil || !os.SameFile(mine, there) {
		return "", wasip1.ENOENT
	}
	return at, nil
}

// moved tells the places at and below the path from that they are now at the path to, and those
// that were there that they are nowhere; to is "" if from was removed. b.mu is held.
func (b *rooted) moved(from, to string) {
	for p := range b.places {
		if p.path == to && to != "" {
			p.path = ""
		}
	}
	for p := range b.places {
		if rest, ok := strings.CutPrefix(p.path, from); ok && (rest == "" || rest[0] == '/') {
			p.path = to + rest
			if to == "" {
				p.path = ""
			}
		}
	}
}

// identity is what an fs.FileInfo does not tell by itself.
type identity struct {
	dev, ino, nlink uint64
	atim, ctim      int64
}

func (b *rooted) attr(fi fs.FileInfo, id identity) vfs.Attr {
	a := vfs.Attr{
		Ino:   id.ino,
		Type:  modeType(fi.Mode()),
		Mode:  fi.Mode().Perm(),
		Nlink: id.nlink,
		Size:  uint64(max(fi.Size(), 0)),
		Atim:  id.atim,
		Mtim:  fi.ModTime().UnixNano(),
		Ctim:  id.ctim,
	}
	if id.dev != b.dev || id.ino == 0 {
		a.Ino = mix(id.ino^mix(id.dev)) | 1<<63
	}
	return a
}

func modeType(m fs.FileMode) wasip1.Filetype {
	switch m.Type() {
	case 0:
		return wasip1.FiletypeRegularFile
	case fs.ModeDir:
		return wasip1.FiletypeDirectory
	case fs.ModeSymlink:
		return wasip1.FiletypeSymbolicLink
	case fs.ModeDevice:
		return wasip1.FiletypeBlockDevice
	case fs.ModeDevice | fs.ModeCharDevice:
		return wasip1.FiletypeCharacterDevice
	case fs.ModeSocket:
		return wasip1.FiletypeSocketStream
	}
	return wasip1.FiletypeUnknown
}
