package vfs

import (
	"fmt"
	"io"
	"math/bits"
	"reflect"
	"slices"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Forker is implemented by a file system that can be copied in little time, whatever it holds.
// Wrappers implement it by forking the file systems below with [Forking.Fork], so that a stack of
// layers is forked as a whole.
type Forker interface {
	FS
	// ForkFS returns a copy of what the file system holds at this moment; both go their own ways
	// from then on. Errors: ENOTSUP where a file system below cannot be forked.
	ForkFS(*Forking) (Fork, error)
}

// Fork is a copy of a file system.
type Fork struct {
	FS FS
	// Node returns the copy's node for one of the original's, nil where it has none. It is called
	// before the original changes.
	Node func(Node) Node
	// Settle, if not nil, is called when the descriptors that go over have been opened. It drops
	// files without a name that none of them has.
	Settle func()
}

// Storer is implemented by a file system that can be written down whole, with inode numbers and
// places in directories, as package memfs reads it.
type Storer interface {
	FS
	Store(w io.Writer) error
}

// Forking copies file systems that belong together. Whatever several of them share, such as a layer
// or a quota, is copied once. The zero Forking is ready to use. It serves one goroutine.
type Forking struct{ copies map[any]any }

// Fork copies fsys, or returns the copy that it made before. Errors: ENOTSUP where fsys is no
// [Forker], or is not comparable.
func (f *Forking) Fork(fsys FS) (Fork, error) {
	forker, ok := fsys.(Forker)
	if !ok || !reflect.ValueOf(fsys).Comparable() {
		return Fork{}, fmt.Errorf("fork a %T: %w", fsys, wasip1.ENOTSUP)
	}
	if made, ok := f.copies[fsys]; ok {
		return made.(Fork), nil
	}
	made, err := forker.ForkFS(f)
	if err != nil {
		return Fork{}, err
	}
	f.Use(fsys, made)
	return made, nil
}

// Once returns the copy of old, which the first call makes.
func (f *Forking) Once(old any, make func() any) any {
	made, ok := f.copies[old]
	if !ok {
		made = make()
		f.Use(old, made)
	}
	return made
}

// Use makes copy what stands for old in the copies. For a file system it is a [Fork].
func (f *Forking) Use(old, copy any) {
	if f.copies == nil {
		f.copies = map[any]any{}
	}
	f.copies[old] = copy
}

// StandardStream is the key under which a [Forking] has the stream of descriptor 0, 1 or 2 that
// takes the place of the original's.
type StandardStream int

// OpenState is what a descriptor stands for, apart from the machine's own things, so that another
// guest can have one like it.
type OpenState struct {
	Fd uint32
	// Same is the first descriptor that shares this open file description; Fd itself where there is
	// none.
	Same uint32
	Kind wasip1.Filetype
	// Stream is the stream of a description without positions.
	Stream Stream
	// Mount is the path of the mount that the file lies in, "" where there is none, and Node its
	// node there.
	Mount string
	Node  Node
	// Dir says that it is a directory, and Root that it is the root of a tree of mounts.
	Dir, Root        bool
	Mode             OpenMode
	Flags            wasip1.Fdflags
	Base, Inheriting wasip1.Rights
	Offset           int64
	Path             string
	Preopened        bool
}

// States returns what all descriptors stand for, by number. Nothing may use them meanwhile. Errors
// name the descriptor that cannot be described.
func (t *Table) States(ns *Namespace) ([]OpenState, error) {
	var list []OpenState
	first := map[*OpenFile]uint32{}
	t.share()
	t.mu.Lock()
	defer t.mu.Unlock()
	mounts := map[*mount]string{}
	if ns != nil {
		ns.mu.Lock()
		ns.each(func(p *mountPoint, m *mount) { mounts[m] = p.path() })
		ns.mu.Unlock()
	}
	for i, word := range t.used {
		for ; word != 0; word &= word - 1 {
			fd := uint32(i*64 + bits.TrailingZeros64(word))
			f := t.get(fd)
			s := OpenState{Fd: fd, Same: fd, Kind: f.kind, Stream: f.stream, Node: f.node, Mode: f.mode,
				Flags: f.Flags(), Offset: f.offset, Path: f.Path(), Preopened: f.preopened, Dir: f.dir != nil}
			s.Base, s.Inheriting = f.Rights()
			if same, ok := first[f]; ok {
				s.Same = same
			} else {
				first[f] = fd
			}
			if f.dir != nil {
				pos := f.dir.now()
				s.Root = pos.at != nil && pos.at.parent == nil
				s.Node = pos.dir
				if pos.m == pos.m.ns.syntheticMount() && !s.Root {
					return nil, fmt.Errorf("descriptor %d (%s) is a directory in which nothing is mounted itself", fd, f.Path())
				}
				if !s.Root {
					s.Mount = mounts[pos.m]
				}
			} else if f.m != nil {
				s.Mount = mounts[f.m]
			}
			if f.node != nil && s.Mount == "" && !s.Root {
				return nil, fmt.Errorf("descriptor %d (%s) lies in what is not mounted any more", fd, f.Path())
			}
			list = append(list, s)
		}
	}
	return list, nil
}

func (ns *Namespace) syntheticMount() *mount {
	if ns == nil {
		return nil
	}
	return ns.synthetic
}

// Restore makes the Table's descriptors those of states. Streams are taken from streams, by the
// number in OpenState.Fd of the description's first descriptor, which may give what the Table has
// open; nodes, which are those of the file systems mounted in ns, from node. What else the Table
// has open is closed.
func (t *Table) Restore(states []OpenState, ns *Namespace, node func(*OpenState) Node, stream func(*OpenState) *OpenFile) error {
	made := make(map[uint32]*OpenFile, len(states))
	old := t.List()
	restored := make(map[uint32]bool, len(states))
	for i := range states {
		s := &states[i]
		f := made[s.Same]
		if f != nil {
			f.acquire()
		} else {
			var err error
			if f, err = ns.restore(s, node, stream); err != nil {
				return fmt.Errorf("descriptor %d (%s): %w", s.Fd, s.Path, err)
			}
			made[s.Fd] = f
			if slices.ContainsFunc(old, func(d Descriptor) bool { return d.File == f }) {
				f.acquire() // it takes its own place
			}
		}
		restored[s.Fd] = true
		if err := t.InsertAt(s.Fd, f); err != nil {
			f.release()
			return fmt.Errorf("descriptor %d (%s): %w", s.Fd, s.Path, err)
		}
	}
	for _, d := range old {
		if !restored[d.Fd] {
			_ = t.Remove(d.Fd) // it was never used
		}
	}
	return nil
}

// restore opens what s describes.
func (ns *Namespace) restore(s *OpenState, node func(*OpenState) Node, stream func(*OpenState) *OpenFile) (*OpenFile, error) {
	var f *OpenFile
	switch {
	case s.Root:
		for _, p := range ns.preopens() {
			if p.name == s.Path || s.Path == "/" && p == ns.root {
				f = newRootFile(p)
				break
			}
		}
		if f == nil {
			return nil, wasip1.ENOENT
		}
	case s.Stream != nil:
		if f = stream(s); f == nil {
			return nil, wasip1.ENOTSUP
		}
	default:
		m, at := ns.mounted(s.Mount)
		n := node(s)
		if m == nil || n == nil {
			return nil, wasip1.ENOENT
		}
		if s.Dir {
			dir, ok := n.(Directory)
			if !ok {
				return nil, wasip1.ENOTDIR
			}
			pos := position{dir: dir, m: m}
			if n == m.root {
				pos.at = at
			}
			f = newDirectoryFile(pos, s.Base, s.Inheriting)
			break
		}
		regular, ok := n.(RegularFile)
		if !ok {
			return nil, wasip1.ENXIO
		}
		file, err := regular.Open(s.Mode &^ OpenTruncate)
		if err != nil {
			return nil, err
		}
		f = &OpenFile{kind: s.Kind, node: n, m: m, mode: s.Mode}
		_, f.prepares = n.(Preparer)
		f.use(file)
	}
	f.start(s.Flags, s.Base, s.Inheriting)
	f.preopened, f.offset = s.Preopened, s.Offset
	f.setPath("", s.Path)
	return f, nil
}

// mounted returns what is mounted at a path.
func (ns *Namespace) mounted(path string) (found *mount, at *mountPoint) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.each(func(p *mountPoint, m *mount) {
		if p.path() == path {
			found, at = m, p
		}
	})
	return found, at
}
