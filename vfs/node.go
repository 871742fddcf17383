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
// Many goroutines use an FS and its nodes at once. Errors should be a wasip1.Errno, or wrap one;
// wasip1.FromError maps all others.
type FS interface {
	// Root returns the root node, the same file each time.
	Root() Node
}

// Env holds what a Host gives to the file systems that are mounted in it.
type Env struct {
	Clock clock.Clock
	// Random fills its argument with random bytes.
	Random func([]byte) error
	// Sleep, if not nil, makes an operation that a guest's thread is in take d on the Clock. Where
	// threads take turns it moves the clock: a wait would keep the turn from those who hold time.
	// Nil where a wait for the Clock's deadline serves.
	Sleep func(d time.Duration)
}

// EnvFS is implemented by a file system that needs time or randomness. Attach is called when it is
// mounted. The first Env that has a clock stays, so that one file system in two Hosts has one time.
type EnvFS interface {
	FS
	Attach(Env)
}

// Releaser is implemented by nodes that hold a resource of the machine, such as a descriptor. The
// caller of Lookup, or of a method that made a node, calls Release once when it has finished with
// the node. Nodes that are no Releaser are left to the garbage collector.
type Releaser interface {
	Release()
}

// Attr holds the attributes of a node. Times are in nanoseconds since 1970-01-01T00:00:00Z.
type Attr struct {
	// Ino is the inode number. It is never 0. Two names have the same Ino exactly if they name the
	// same file.
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

// SetMask is a set of fields of [SetAttr].
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

// Node is a file of any type, independent of its names: what POSIX calls an inode. A Node also
// implements the interface of its type: [Directory], [RegularFile], [Symlink] or [StreamNode].
type Node interface {
	// Type returns the file's type, which never changes.
	Type() wasip1.Filetype

	// Attr returns the attributes.
	Attr() (Attr, error)

	// SetAttr changes the attributes that the mask names, and the change time. Errors: EROFS;
	// EISDIR, EINVAL or EFBIG for an impossible size.
	SetAttr(SetAttr) error
}

// DirEntry is one name in a directory.
type DirEntry struct {
	Name string
	Ino  uint64 // never 0
	Type wasip1.Filetype
	// Next is the cookie to continue after this entry.
	Next uint64
}

// Directory is a node that contains names. A name is one component of a path. It is never empty,
// "." or "..", and contains no '/' and no NUL byte. Names of more than 255 bytes are ENAMETOOLONG.
//
// A name is valid only during the call, because it may lie in a buffer that the next call
// overwrites. To keep a name, copy it (strings.Clone).
//
// A Directory does not follow symbolic links: it returns the link as a node. A directory that has
// been removed returns ENOENT to every call that would add a name.
type Directory interface {
	Node

	// Lookup returns the node called name. Errors: ENOENT.
	Lookup(name string) (Node, error)

	// ReadDir fills entries with the names that follow cookie and returns their number, 0 at the
	// end. Cookie 0 is the start. "." and ".." are not among the names. Cookies stay valid when
	// names are added or removed: a name that exists during the whole reading is returned exactly
	// once. Continuing at a cookie takes the same time everywhere in the directory. Cookies are
	// below 1<<62. If they are below 1<<30, telldir and seekdir work in 32-bit C programs.
	ReadDir(cookie uint64, entries []DirEntry) (int, error)

	// Create makes an empty regular file. Errors: EEXIST, EROFS, ENOSPC.
	Create(name string, perm fs.FileMode) (Node, error)

	// Mkdir makes an empty directory. Errors: EEXIST, EROFS, ENOSPC.
	Mkdir(name string, perm fs.FileMode) (Node, error)

	// Symlink makes a symbolic link. The target is any text. Errors: EEXIST, EROFS, ENOSPC,
	// ENOTSUP.
	Symlink(name, target string) (Node, error)

	// Link gives a file of the same file system another name. Errors: EEXIST, EXDEV for a node of
	// another file system, EPERM for a directory, EMLINK, EROFS, ENOTSUP; ENOENT if the file has no
	// name left.
	Link(name string, node Node) error

	// Unlink removes a name of anything but a directory. Errors: ENOENT, EISDIR, EROFS.
	Unlink(name string) error

	// Rmdir removes an empty directory. Errors: ENOENT, ENOTDIR, ENOTEMPTY, EROFS.
	Rmdir(name string) error

	// Rename atomically moves name to newName in the directory to, as rename(2) does. It replaces a
	// file that has the new name. If both are names of one file, both stay. Errors: ENOENT; EXDEV
	// if to belongs to another file system; EISDIR for a file onto a directory; ENOTDIR for a
	// directory onto a file; ENOTEMPTY for a directory onto one that is not empty; EINVAL for a
	// directory into itself.
	Rename(name string, to Directory, newName string) error
}

// OpenMode says how a file is opened.
type OpenMode uint16

const (
	// OpenRead and OpenWrite: the file will be read or written. Neither: only its attributes are
	// used.
	OpenRead OpenMode = 1 << iota
	OpenWrite
	// OpenTruncate empties the file while opening it.
	OpenTruncate
	// OpenSync and OpenDsync: every write is durable before it returns.
	OpenSync
	OpenDsync
	openAppend
)

// Appends reports whether the file will mostly be written by [Appender]. It may change what that
// costs, and nothing that a call does: WriteAt still writes at its offset. Only a mode with
// OpenWrite says so.
func (m OpenMode) Appends() bool { return m&openAppend != 0 }

// RegularFile is a node with content.
type RegularFile interface {
	Node
	// Open opens the content. A file system whose open files need no state returns the node itself.
	// Errors: EROFS; EACCES; ENOENT if the file is gone; ELOOP if a symbolic link has taken its
	// place.
	Open(mode OpenMode) (File, error)
}

// File is the content of an open regular file. The [OpenFile] above it keeps position, append mode
// and rights.
type File interface {
	// ReadAt is as in [io.ReaderAt], but may return less than was asked for without an error.
	io.ReaderAt
	// WriteAt is as in [io.WriterAt]. Writing beyond the end leaves a hole that reads as zeros.
	// Errors: EFBIG, ENOSPC, EDQUOT. WriteAt then still writes and counts the bytes that fit.
	io.WriterAt
	// Sync makes the content durable and, if dataOnly is false, the attributes too.
	Sync(dataOnly bool) error
	// Close is called once, after the last use.
	Close() error
}

// ErrUnfinished is returned by a [File] that has done one piece of a long operation and has no
// result yet. The caller calls it again with the same arguments, unless the guest has ended
// meanwhile. Example: skipping far ahead in a compressed entry of an archive.
var ErrUnfinished = errors.New("vfs: the work goes on with the next call")

// Appender is implemented by a [File] that can write at its end in one atomic step. For a File that
// is no Appender, the open file description finds the end itself. That is atomic only among the
// guests of one mount.
type Appender interface {
	// Append writes bufs at the end. It returns the number of bytes written and the new end.
	Append(bufs [][]byte) (n int, end int64, err error)
}

// VectorFile is implemented by a File that reads and writes several buffers in one step.
type VectorFile interface {
	ReadVector(bufs [][]byte, off int64) (int, error)
	WriteVector(bufs [][]byte, off int64) (int, error)
}

// Allocator is implemented by a File that can reserve space ahead of writes (fd_allocate). It makes
// the file at least off+n bytes long and never shorter. For a File that is no Allocator,
// fd_allocate only raises the size.
type Allocator interface {
	Allocate(off, n int64) error
}

// Advisor is implemented by a [File] that uses the advice of fd_advise.
type Advisor interface {
	Advise(off, n int64, advice wasip1.Advice) error
}

// Symlink is a symbolic link.
type Symlink interface {
	Node
	Readlink() (string, error)
}

// StreamNode is a node without positions: a character device or a named pipe.
type StreamNode interface {
	Node
	OpenStream(mode OpenMode) (Stream, error)
}

// Stream is a file without positions: a pipe, a terminal, a device, a connection. Its operations
// never wait. They return EAGAIN, and the [OpenFile] above waits with [poll.Block] unless its guest
// set FdNonblock.
type Stream interface {
	poll.Pollable

	// Read reads the bytes that are available, at most len(p). At the end it returns 0 and io.EOF.
	// Errors: EAGAIN if there is nothing yet; EBADF if it is not open for reading.
	Read(p []byte) (int, error)

	// Write writes as many bytes as fit. Errors: EAGAIN if nothing fits now; EPIPE if nobody will
	// read it; EBADF if it is not open for writing.
	Write(p []byte) (int, error)

	// Close is called once, after the last descriptor has gone.
	Close() error
}

// Socket is a stream that is a connection. Other streams answer ENOTSOCK to the sock_* functions.
type Socket interface {
	Stream
	// Recv reads like Read. With peek, the bytes stay in the socket.
	Recv(p []byte, peek bool) (int, error)
	// Shutdown ends one or both directions. Errors: ENOTCONN.
	Shutdown(how wasip1.Sdflags) error
}

// Listener is a socket that waits for connections. It is readable while a connection can be
// accepted.
type Listener interface {
	Stream
	// Accept returns the next connection. Errors: EAGAIN if there is none.
	Accept() (Socket, error)
}

// PathOpener is implemented by directories that can resolve several components in one step and
// confine the resolution to the directory, as Linux does with openat2 and RESOLVE_BENEATH. The
// walker uses it if no mount lies below the directory. If it returns ENOSYS, ELOOP, EXDEV or
// EAGAIN, the walker resolves one component at a time instead and finds the precise error.
type PathOpener interface {
	Directory
	// OpenPath opens path, which may be of any type. With OCreat in flags it makes a regular file
	// if there is none. If follow is false, a symbolic link in the last component is ELOOP. The
	// File is nil unless path is a regular file.
	OpenPath(path string, follow bool, flags wasip1.Oflags, mode OpenMode, perm fs.FileMode) (Node, File, error)
	// AttrPath returns the attributes of the file at path.
	AttrPath(path string, follow bool) (Attr, error)
}

// PlainOpener is implemented by directories that can resolve several components in one step if none
// of them is a symbolic link. An overlay uses it for unchanged files of its lower layer, because a
// link could lead to a changed file. The path has no component "." or "..". Errors: ENOSYS; ELOOP
// for a link on the way or in the last component.
type PlainOpener interface {
	Directory
	// OpenPlain opens path for reading and returns its attributes. The File is nil unless path is a
	// regular file.
	OpenPlain(path string) (Node, File, Attr, error)
	// AttrPlain returns the attributes of the file at path, which may be a symbolic link.
	AttrPlain(path string) (Attr, error)
}
