// Package vfs is the files of a virtual operating system: what a guest reaches by a path or
// by a descriptor, and the fd_*, path_* and sock_* functions of WASI preview1.
//
// # The model
//
// Three notions are kept apart, as in a kernel:
//
//   - a [Node] is what a file is; a file system ([FS]) is a tree of nodes and answers for one
//     name in one [Directory];
//   - an [OpenFile] is an open file description: position, flags, rights. A file system knows
//     nothing of these;
//   - a descriptor is a small number in the [Table] of a guest, which stands for an open file.
//
// A [Namespace] says which file system is seen where. All absolute mounts form one tree that a
// guest sees through one preopened directory, "/"; each relative name is a preopened directory of
// its own. Mount points are found in the listings of their parents, also where no directory stands
// there.
//
// One walker resolves every path, component by component: it follows symbolic links itself, crosses
// mounts, and leaves the directory it started from by no "..", link or rename. [Root] is the
// same walker for host code.
//
// # The functions of WASI
//
// FdRead, PathOpen and the others take a [Caller], the state of one guest thread, and the
// parameters of the specification in its order. They check pointers, rights and flags, do the work
// and answer a [wasip1.Errno]. Errors inside are Go errors; they are mapped once, there.
//
// # Rights
//
// Rights are enforced: what a descriptor lacks the right for is ENOTCAPABLE. path_open is lenient
// where toolchains ask for more than can be had: it grants what the directory may pass on and the
// type of the file can use. Only reading and writing must be had if asked for.
//
// # Locks
//
// In this order: Table.mu, OpenFile.mu, volume.appendMu, locks of the file system. Namespace.mu
// guards mounting alone: walkers read the tree of mounts by atomic loads. No lock is held while a
// thread waits for a stream. OpenFile.mu is held during a read or write of a file, so that fd_tell
// waits for a slow disk.
//
// # File systems that wait
//
// Operations have no context. A file system whose operations wait is made for one guest, by
// virt.WithMountFunc, with a context that ends with the guest; see RATIONALE.md.
package vfs
