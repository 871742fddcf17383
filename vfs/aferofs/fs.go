package aferofs

import (
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/afero"
	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
)

// DefaultMaxFileSize is the size in bytes beyond which files do not grow unless [WithMaxFileSize]
// says otherwise.
const DefaultMaxFileSize = 1 << 30

// FS is an [afero.Fs] as a [vfs.FS]. See the package comment for what it adds.
type FS struct {
	store    afero.Fs
	lstater  afero.Lstater // store, if it is one
	base     string        // where the root is in the store
	max      int64
	readOnly bool

	// keepsOpen: the store's handles outlive the name.
	keepsOpen bool
	// memory: the store is a MemMapFs, which takes "a" and "/a" for two files, lists fast, and has
	// no times of its own for directories.
	memory bool

	clock atomic.Pointer[clock.Clock]

	mu   sync.Mutex
	root *dir
	// rootData is what the root was found to be since mu was taken, in a store in memory. Host code
	// may put another directory in its place.
	rootData *mem.FileData
	spare    int64 // what files that were cut keep beyond their sizes, in a store in memory
	lastIno  uint64
	orphans  uint64 // how many hidden names were given out
	nolinks  bool   // the store has no symbolic links that can be used
}

// Option changes what [New] makes.
type Option func(*FS)

// WithMaxFileSize sets the largest size of a file in bytes; a write or a truncation beyond it is
// answered EFBIG. Values below 1 mean no limit, which a store in memory does not survive when a
// guest asks for a size of 1<<60.
func WithMaxFileSize(n int64) Option {
	return func(f *FS) {
		if n < 1 {
			n = math.MaxInt64
		}
		f.max = n
	}
}

// WithReadOnly makes every change answer EROFS. A store made by [afero.NewReadOnlyFs] needs no such
// option.
func WithReadOnly() Option { return func(f *FS) { f.readOnly = true } }

// WithRoot makes the directory dir of the store the root, instead of the store's own "/".
func WithRoot(dir string) Option { return func(f *FS) { f.base = dir } }

// New returns the file system that store holds. It touches the store only when it is used.
func New(store afero.Fs, opts ...Option) *FS {
	f := &FS{store: store, base: sep, max: DefaultMaxFileSize}
	switch store.(type) {
	case *afero.MemMapFs:
		f.keepsOpen, f.memory, f.nolinks = true, true, true
	case *afero.OsFs:
		f.keepsOpen = runtime.GOOS != "windows"
		f.max = math.MaxInt64
	case *afero.ReadOnlyFs:
		f.readOnly = true
	}
	f.lstater, _ = store.(afero.Lstater)
	for _, o := range opts {
		o(f)
	}
	f.base = cleanBase(f.base)
	f.root = new(dir)
	f.initialise(&f.root.inode, typeDir)
	return f
}

// Root returns the root directory.
func (f *FS) Root() vfs.Node { return f.root }

// Attach gives the file system the clock from which it takes times. Before that it uses the
// system's.
func (f *FS) Attach(env vfs.Env) {
	if env.Clock != nil {
		c := env.Clock // not &env.Clock, which keeps all of env, the guest that mounted f included
		f.clock.CompareAndSwap(nil, &c)
	}
}

// UsesMachine implements [vfs.MachineUser]. A store uses the machine if it is a [vfs.MachineUser]
// that says so, or if its root opens as an [os.File], through any of afero's own wrappers.
func (f *FS) UsesMachine() bool {
	if m, ok := f.store.(vfs.MachineUser); ok {
		return m.UsesMachine()
	}
	root, err := f.store.Open(f.base)
	if err != nil {
		return false
	}
	defer root.Close()
	return onMachine(root)
}

func onMachine(h afero.File) bool {
	switch h := h.(type) {
	case *os.File:
		return true
	case *afero.BasePathFile:
		return onMachine(h.File)
	case *afero.UnionFile:
		return onMachine(h.Base) || onMachine(h.Layer)
	}
	return false
}

func (f *FS) now() int64 {
	if c := f.clock.Load(); c != nil {
		return (*c).Realtime()
	}
	return time.Now().UnixNano()
}

// lock takes mu.
func (f *FS) lock() {
	f.mu.Lock()
	f.rootData = nil
}

// initialise gives a new inode its number. FS.mu is held.
func (f *FS) initialise(n *inode, t filetype) {
	f.lastIno++
	n.fs, n.ino, n.typ = f, f.lastIno, t
}

// hiddenPrefix starts the names in the root that hold unlinked files which are open.
const hiddenPrefix = ".wasivirt-unlinked-"

func (d *dir) hides(name string) bool {
	return d == d.fs.root && strings.HasPrefix(name, hiddenPrefix)
}
