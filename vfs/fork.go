package vfs

import (
	"fmt"
	"io"
	"math/bits"
	"reflect"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Forker is implemented by a file system that can be copied quickly, however much it holds.
// Wrappers implement it by forking the file systems below with [Forking.Fork], so that a stack of
// layers is forked as a whole.
type Forker interface {
	FS
	// ForkFS returns a copy of the file system as it is at this moment. Later changes to one are
	// not seen in the other. Errors: ENOTSUP if a file system below cannot be forked.
	ForkFS(*Forking) (Fork, error)
}

// Fork is a copy of a file system.
type Fork struct {
	FS FS
	// Node returns the copy's node for a node of the original, or nil if there is none. It is
	// called before the original changes.
	Node func(Node) Node
	// Settle, if not nil, is called after the fork's descriptors have been opened. It drops files
	// that have no name and that no descriptor has open.
	Settle func()
}

// Storer is implemented by a file system that can write its whole state, inode numbers and
// directory cookies included, in the form that memfs.Load reads.
type Storer interface {
	FS
	Store(w io.Writer) error
}

// Forking copies file systems that belong together. It copies once what several of them share, such
// as a layer or a quota. The zero Forking is ready to use. Only one goroutine may use it.
type Forking struct{ copies map[any]any }

// Fork copies fsys, or returns the copy that it made before or that [Forking.Use] gave. Errors:
// ENOTSUP if there is none and fsys is no [Forker], or if fsys is not comparable.
func (f *Forking) Fork(fsys FS) (Fork, error) {
	if !reflect.ValueOf(fsys).Comparable() {
		return Fork{}, fmt.Errorf("fork a %T: %w", fsys, wasip1.ENOTSUP)
	}
	if made, ok := f.copies[fsys]; ok {
		return made.(Fork), nil
	}
	forker, ok := fsys.(Forker)
	if !ok {
		return Fork{}, fmt.Errorf("fork a %T: %w", fsys, wasip1.ENOTSUP)
	}
	made, err := forker.ForkFS(f)
	if err != nil {
		return Fork{}, err
	}
	f.Use(fsys, made)
	return made, nil
}

// Once returns the copy of old. The first call makes it with make.
func (f *Forking) Once(old any, make func() any) any {
	made, ok := f.copies[old]
	if !ok {
		made = make()
		f.Use(old, made)
	}
	return made
}

// Use sets the copy of old, in place of one that the Forking would make. For a file system, copy is
// a [Fork].
func (f *Forking) Use(old, copy any) {
	if f.copies == nil {
		f.copies = map[any]any{}
	}
	f.copies[old] = copy
}

// StandardStream is the key in a [Forking] for the stream that replaces descriptor 0, 1 or 2 in the
// fork.
type StandardStream int

// OpenState describes an open descriptor, so that an equal one can be opened for another guest.
type OpenState struct {
	Fd uint32
	// Same is the lowest descriptor that shares this open file description; Fd itself if no lower
	// one does.
	Same uint32
	Kind wasip1.Filetype
	// Stream is the stream of a description without positions.
	Stream Stream
	// Mount is the path of the mount that holds the file, "" if there is none. Node is the file's
	// node there.
	Mount string
	Node  Node
	// Dir is true for a directory, Root for the root of a tree of mounts.
	Dir, Root        bool
	Mode             OpenMode
	Flags            wasip1.Fdflags
	Base, Inheriting wasip1.Rights
	Offset           int64
	Path             string
	Preopened        bool
}

// States describes all descriptors in the order of their numbers. Nothing may use them meanwhile.
// Errors name the descriptor that cannot be described.
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
			at, err := f.position()
			if err != nil {
				return nil, fmt.Errorf("descriptor %d (%s): %w", fd, f.Path(), err)
			}
			s := OpenState{Fd: fd, Same: fd, Kind: f.kind, Stream: f.stream, Node: f.node, Mode: f.mode,
				Flags: f.Flags(), Offset: at, Path: f.Path(), Preopened: f.preopened, Dir: f.dir != nil}
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
					return nil, fmt.Errorf("descriptor %d (%s) is a directory that only leads to mounts: close it, or mount a file system there", fd, f.Path())
				}
				if !s.Root {
					s.Mount = mounts[pos.m]
				}
			} else if f.m != nil {
				s.Mount = mounts[f.m]
			}
			if f.node != nil && s.Mount == "" && !s.Root {
				return nil, fmt.Errorf("descriptor %d (%s) lies in a file system that was unmounted: close it before", fd, f.Path())
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

// Restore replaces the Table's descriptors by those that states describe. stream returns the open
// file for a state that is a stream; it may return one that the Table has open. node returns the
// node for a file in a file system of ns. Restore closes the Table's other descriptors.
func (t *Table) Restore(states []OpenState, ns *Namespace, node func(*OpenState) Node, stream func(*OpenState) *OpenFile) error {
	made := make(map[uint32]*OpenFile, len(states))
	old := t.List()
	taken := make(map[*OpenFile]bool, len(old))
	for _, d := range old {
		taken[d.File] = true
	}
	restored := make(map[uint32]bool, len(states))
	r := ns.restorer(node, stream)
	for i := range states {
		s := &states[i]
		f := made[s.Same]
		if f != nil {
			f.acquire()
		} else {
			var err error
			if f, err = r.restore(s); err != nil {
				return fmt.Errorf("descriptor %d (%s): %w", s.Fd, s.Path, err)
			}
			made[s.Fd] = f
			if taken[f] {
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

// restorer opens what states describe. It knows what is mounted, since there may be many of both.
type restorer struct {
	ns       *Namespace
	node     func(*OpenState) Node
	stream   func(*OpenState) *OpenFile
	mounts   map[string]mounted // nil until it is asked for
	preopens map[string]*mountPoint
	root     *mountPoint
}

// mounted is a mount and its place.
type mounted struct {
	m  *mount
	at *mountPoint
}

func (ns *Namespace) restorer(node func(*OpenState) Node, stream func(*OpenState) *OpenFile) *restorer {
	r := &restorer{ns: ns, node: node, stream: stream, preopens: map[string]*mountPoint{}}
	if ns == nil {
		return r
	}
	for _, p := range ns.preopens() {
		if p == ns.root {
			r.root = p
		}
		if r.preopens[p.name] == nil {
			r.preopens[p.name] = p
		}
	}
	return r
}

// mounted returns what is mounted at a path.
func (r *restorer) mounted(path string) mounted {
	if r.mounts == nil {
		r.mounts = map[string]mounted{}
		r.ns.mu.Lock()
		defer r.ns.mu.Unlock()
		r.ns.each(func(p *mountPoint, m *mount) { r.mounts[p.path()] = mounted{m, p} })
	}
	return r.mounts[path]
}

// restore opens what s describes.
func (r *restorer) restore(s *OpenState) (*OpenFile, error) {
	var f *OpenFile
	switch {
	case s.Root:
		p := r.preopens[s.Path]
		if s.Path == "/" && r.root != nil {
			p = r.root
		}
		if p == nil {
			return nil, wasip1.ENOENT
		}
		f = newRootFile(p)
	case s.Stream != nil:
		if f = r.stream(s); f == nil {
			return nil, wasip1.ENOTSUP
		}
	default:
		found := r.mounted(s.Mount)
		m, at := found.m, found.at
		n := r.node(s)
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
