// Package vfs holds the files of a virtual operating system: mounts, paths and descriptors. It
// answers the fd_*, path_* and sock_* functions of WASI preview1.
//
// An embedder mounts file systems (package memfs, hostfs and others) in a [Namespace], or lets
// virt.WithMount do it, and reads and writes files through a [Root].
//
// # The model
//
// The package distinguishes three things, as a kernel does:
//
//   - A [Node] is a file itself, what POSIX calls an inode. A file system ([FS]) is a tree of
//     nodes. It answers for one name in one [Directory].
//   - An [OpenFile] is an open file description: position, flags, rights. File systems know nothing
//     of these.
//   - A descriptor is a small number in the [Table] of a guest. It names an open file.
//
// A [Namespace] maps paths to file systems. All absolute mounts form one tree, which a guest sees
// through one preopened directory, "/". Each relative name is a preopened directory of its own.
// Listings of a parent directory show mount points, even if the file system below has no such
// directory.
//
// One walker resolves every path, one component at a time. It follows symbolic links and crosses
// mounts. No "..", link or rename leads it out of the directory in which it started. [Root] is the
// same walker for host code.
//
// # The functions of WASI
//
// FdRead, PathOpen and the others take a [Caller], the state of one guest thread, and the
// parameters of the specification in its order. They check pointers, rights and flags, do the work
// and return a wasip1.Errno. Inside the package errors are Go errors; these functions map them to
// an Errno.
//
// # Rights
//
// Rights are enforced. A call that needs a right which its descriptor lacks returns ENOTCAPABLE.
// Toolchains ask path_open for more rights than the directory can pass on. path_open therefore
// grants those that the directory passes on and that the type of the file can use. Only reading and
// writing have to be granted if the guest asks for them.
//
// # Locks
//
// Locks are taken in this order: Table.mu, OpenFile.mu, volume.appendMu, locks of the file system.
// Namespace.mu guards only mounting; walkers read the tree of mounts by atomic loads. No lock is
// held while a thread waits for a stream. OpenFile.mu is held during a read or write of a file, so
// that fd_tell waits for a slow disk.
//
// # File systems that wait
//
// Operations have no context. A file system whose operations wait is made for one guest, by
// virt.WithMountFunc, with a context that ends with the guest; see RATIONALE.md.
package vfs
