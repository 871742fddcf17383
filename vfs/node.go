package vfs

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is a file system: a tree of nodes below a root. The root is usually a [Directory];
// a file system that is a single file has that file for its root.
//
// An FS and its nodes are used by many goroutines at once. Errors are Go errors, best
// a [wasip1.Errno]; whatever else is returned is mapped by [wasip1.FromError].
type FS interface {
	// Root returns the root node, the same file each time.
	Root() Node
}

// Env is what a file system takes from the Host that it is mounted in.
type Env struct {
	Clock clock.Clock
	// Random fills its argument with random bytes.
	Random func([]byte) error
	// Sleep, if not nil, makes an operation that a guest's thread is in take d on the Clock. Where threads take turns it moves the
	// clock: a wait would keep the turn from those who hold time. Nil where a wait for the Clock's deadline serves.
	Sleep func(d time.Duration)
}

// EnvFS is implemented by a file system that wants time or randomness. Attach is called
// when it is mounted; a file system made before its Host gets the Host's clock this way.
// The first Env that has a clock stays, so that one file system in two Hosts keeps one time.
type EnvFS interface {
	FS
	Attach(Env)
}

// Releaser is implemented by nodes that hold something of the machine, a descriptor say. Whoever
// got a node from Lookup or a creating call releases it once when done with it. Nodes that
// do not implement it are left to the garbage collector.
type Releaser interface {
	Release()
}

// Attr is what a node tells of itself. Times are in nanoseconds since 1970-01-01T00:00:00Z.
type Attr struct {
	// Ino is the inode number: never 0, and the same for two names exactly if they name one file.
	Ino  uint64
	Type wasip1.Filetype
	// Mode holds the permission bits, for views from the host and for archives. Guests do not see
	// it.
	Mode  fs.FileMode
	Nlink uint64
	// Size is in bytes; for a symbolic link the length of its target.
	Size             uint64
	Atim, Mtim, Ctim int64
}

// SetMask says which fields of a [SetAttr] are meant.
type SetMask uint8

const (
	SetSize SetMask = 1 << iota
	SetAtim
	SetMtim
	SetMode
)

// SetAttr is a change of a node's attributes.
type SetAttr struct {
	Mask       SetMask
	Size       uint64
	Atim, Mtim int64
	Mode       fs.FileMode
}

// Node is a file, of any type, apart from its names: what POSIX calls an inode. It also
// implements the interface that belongs to its type: [Directory], [RegularFile], [Symlink]
// or [StreamNode].
type Node interface {
	// Type returns the file's type, which never changes.
	Type() wasip1.Filetype

	// Attr returns the attributes.
	Attr() (Attr, error)

	// SetAttr changes those attributes that the mask names, and the change time.
	// Errors: EROFS; EISDIR, EINVAL or EFBIG for a size that cannot be.
	SetAttr(SetAttr) error
}

// DirEntry is one name in a directory.
type DirEntry struct {
	Name string
	Ino  uint64 // never 0
	Type wasip1.Filetype
	// Next is the cookie with which reading goes on after this entry.
	Next uint64
}

// Directory is a node that has names in it. A name is one component: never empty, ".", "..",
// never with a '/' or a NUL byte; at most 255 bytes, or the answer is ENAMETOOLONG.
//
// A name is only lent for the call: whoever keeps one keeps a copy (strings.Clone), because it
// may lie in a buffer that the next call overwrites.
//
// A name is never resolved further: a symbolic link is returned as a node, not followed.
// Directories that have been removed answer ENOENT to everything that would add a name.
type Directory interface {
	Node

	// Lookup returns the node that name stands for. Errors: ENOENT.
	Lookup(name string) (Node, error)

	// ReadDir fills entries with the names that follow cookie, 0 being the start, and returns
	// how many there were: 0 at the end. "." and ".." are not among them. A cookie stays good
	// whatever is added or removed: each name that is there during the whole reading is met exactly
	// once. Going on at a cookie takes the same time anywhere. Cookies stay below 1<<62;
	// where they stay below 1<<30, the telldir and seekdir of 32-bit C programs work.
	ReadDir(cookie uint64, entries []DirEntry) (int, error)

	// Create makes an empty regular file. Errors: EEXIST, EROFS, ENOSPC.
	Create(name string, perm fs.FileMode) (Node, error)

	// Mkdir makes an empty directory. Errors: EEXIST, EROFS, ENOSPC.
	Mkdir(name string, perm fs.FileMode) (Node, error)

	// Symlink makes a symbolic link. The target is any text. Errors: EEXIST, EROFS, ENOSPC,
	// ENOTSUP.
	Symlink(name, target string) (Node, error)

	// Link gives a file of the same file system another name. Errors: EEXIST, EXDEV for a
	// node of another file system, EPERM for a directory, EMLINK, EROFS, ENOTSUP; ENOENT where
	// the file has no name left.
	Link(name string, node Node) error

	// Unlink removes a name that is not a directory's. Errors: ENOENT, EISDIR, EROFS.
	Unlink(name string) error

	// Rmdir removes an empty directory. Errors: ENOENT, ENOTDIR, ENOTEMPTY, EROFS.
	Rmdir(name string) error

	// Rename moves what name stands for to newName in the directory to, as rename(2) does,
	// atomically: what stood there before is replaced, two names of one file are left both. Errors:
	// ENOENT, EXDEV where to belongs to another file system, EISDIR for a file onto a directory,
	// ENOTDIR for a directory onto a file, ENOTEMPTY for one onto a directory with names in it,
	// EINVAL for one into itself.
	Rename(name string, to Directory, newName string) error
}

// OpenMode says how a file is opened.
type OpenMode uint16

const (
	// OpenRead and OpenWrite: what will be done with it. Neither: only its attributes are wanted.
	OpenRead OpenMode = 1 << iota
	OpenWrite
	// OpenTruncate empties the file while opening it.
	OpenTruncate
	// OpenSync and OpenDsync: every write is on the store before it returns.
	OpenSync
	OpenDsync
)

// RegularFile is a node with content.
type RegularFile interface {
	Node
	// Open makes the content accessible. A file system whose nodes need no state for it returns the
	// node itself. Errors: EROFS, EACCES, ENOENT where the file has gone meanwhile,
	// ELOOP where a symbolic link has taken its place.
	Open(mode OpenMode) (File, error)
}

// File is the content of an open regular file. Offsets, append mode and rights are kept by the
// open file description above it, not here.
type File interface {
	// ReadAt is as in [io.ReaderAt], but may return less than was asked for without an error.
	io.ReaderAt
	// WriteAt is as in [io.WriterAt]. Writing beyond the end leaves a hole that reads as zeros.
	// Errors: EFBIG, ENOSPC, EDQUOT; what fits is written and counted.
	io.WriterAt
	// Sync puts content on the store, and with dataOnly false the attributes too.
	Sync(dataOnly bool) error
	// Close is called once, after the last use.
	Close() error
}

// ErrUnfinished is what a File answers that has done a piece of a long piece of work, and nothing
// that could be told: it is called again, with the same arguments, unless the guest has ended
// meanwhile. An archive's entry that is read far behind the position it stands at is such work.
var ErrUnfinished = errors.New("vfs: the work goes on with the next call")

// Appender is implemented by a File that can write at its end in one indivisible step. For
// others the open file description finds the end itself, which is indivisible only among the guests
// of one mount.
type Appender interface {
	// Append writes bufs at the end, and returns what was written and the end after it.
	Append(bufs [][]byte) (n int, end int64, err error)
}

// VectorFile is implemented by a File that reads and writes several buffers in one step.
type VectorFile interface {
	ReadVector(bufs [][]byte, off int64) (int, error)
	WriteVector(bufs [][]byte, off int64) (int, error)
}

// Allocator is implemented by a File that can reserve space ahead of writes (fd_allocate). It makes
// the file at least off+n bytes long and never shorter. For others the size alone is raised.
type Allocator interface {
	Allocate(off, n int64) error
}

// Advisor is implemented by a File that can make use of fd_advise.
type Advisor interface {
	Advise(off, n int64, advice wasip1.Advice) error
}

// Symlink is a symbolic link.
type Symlink interface {
	Node
	Readlink() (string, error)
}

// StreamNode is a node without positions: a character device, a pipe with a name.
type StreamNode interface {
	Node
	OpenStream(mode OpenMode) (Stream, error)
}

// Stream is what an open file description without positions reads and writes: a pipe, a terminal, a
// device, a connection. Its operations never wait: they answer EAGAIN, and the description above
// waits with [poll.Block] where its guest did not ask for FdNonblock.
type Stream interface {
	poll.Pollable

	// Read reads what there is, at most len(p) bytes. At the end it returns 0 and io.EOF.
	// Errors: EAGAIN when there is nothing yet; EBADF where it is not open for reading.
	Read(p []byte) (int, error)

	// Write writes what fits. Errors: EAGAIN when nothing fits now; EPIPE when nobody will
	// read it; EBADF where it is not open for writing.
	Write(p []byte) (int, error)

	// Close is called once, after the last descriptor has gone.
	Close() error
}

// Socket is a stream that is a connection. Other streams answer ENOTSOCK to the sock_* functions.
type Socket interface {
	Stream
	// Recv reads like Read; with peek what was read stays.
	Recv(p []byte, peek bool) (int, error)
	// Shutdown ends one or both directions. Errors: ENOTCONN.
	Shutdown(how wasip1.Sdflags) error
}

// Peered is implemented by a Stream that knows who is at its other end. Wrappers of streams pass it
// on.
type Peered interface {
	// Peer returns the other end's address, such as "10.0.0.2:80". It may be called at any time.
	Peer() string
}

// Listener is a socket that waits for connections. It is readable when one can be accepted.
type Listener interface {
	Stream
	// Accept returns the next connection. Errors: EAGAIN when there is none.
	Accept() (Socket, error)
}

// PathOpener is implemented by directories of a file system that can resolve several components in
// one step and confine that resolution to the directory by itself, as Linux does with openat2 and
// RESOLVE_BENEATH. The walker uses it where no mount lies below. An answer of ENOSYS, ELOOP, EXDEV
// or EAGAIN makes the walker go component by component instead, which then finds the precise error.
type PathOpener interface {
	Directory
	// OpenPath opens what path stands for, which may be of any type; with flags OCreat it makes a
	// regular file where there is none. follow says what happens to a symbolic link in the last
	// place: where false, ELOOP. The File is nil for what is not a regular file.
	OpenPath(path string, follow bool, flags wasip1.Oflags, mode OpenMode, perm fs.FileMode) (Node, File, error)
	// AttrPath returns the attributes of what path stands for.
	AttrPath(path string, follow bool) (Attr, error)
}

// PlainOpener is implemented by directories of a file system that can resolve several components in
// one step where no symbolic link lies on the way. An overlay uses it for what it shows of such a
// file system unchanged: a link could lead to what was changed. The path has no component "." or
// "..". Errors: ENOSYS, or ELOOP for a link on the way or in the last place.
type PlainOpener interface {
	Directory
	// OpenPlain opens what path stands for, for reading, and returns its attributes. The File is
	// nil for what is not a regular file.
	OpenPlain(path string) (Node, File, Attr, error)
	// AttrPlain returns the attributes of what path stands for, which may be a symbolic link.
	AttrPlain(path string) (Attr, error)
}
