// Package hostfs mounts a directory of the machine so that nothing leads out of it: no name, no
// symbolic link, whoever made it, and no race with whoever changes the tree meanwhile.
//
//	host, err := hostfs.New("/srv/data")      // or hostfs.New(dir, hostfs.WithReadOnly())
//	defer host.Close()
//
// # Confinement
//
// On Linux a directory is a held descriptor, and a name is one component that is resolved
// relative to it with O_NOFOLLOW: there is no path that could be swapped between a check and
// its use. Symbolic links are text which the walker in package vfs interprets, inside the mount.
// A path of several components may also be resolved in one step by the kernel, which
// confines it itself (openat2 with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS); kernels without it
// are noticed by New. Elsewhere every operation goes through an [os.Root]. The two are never
// mixed in one file system.
//
// Names that are no single component ("", ".", "..", with '/' or NUL) are refused here too,
// although the walker never passes them on; on Windows also those that the system
// takes for something else: devices (CON, NUL), streams ("a:b"), trailing dots and spaces.
//
// What the machine has mounted below the directory belongs to it. A directory that another process
// moves out of the tree while a guest has it open stays open to that guest.
//
// # What is there and what is not
//
// Regular files, directories and symbolic links are what they are. FIFOs, sockets and devices are
// listed and have attributes, but opening one is refused with ENXIO before it can block (POSIX:
// "the device associated with this special file does not exist": it does not, for the guest). On
// Linux the refusal has no effect on other processes, whoever renames what meanwhile: a file is
// first held without being opened (O_PATH), looked at, and then opened by its descriptor through
// procfs, so that a process that waits at the other end of a FIFO goes on waiting. Without procfs,
// and elsewhere, a file is looked at by its name before it is opened, which leaves a moment for a
// FIFO to take its place.
//
// Permission bits, owners and the umask are the machine's: new files get 0666 and new directories
// 0777 less the umask. Inode numbers are the machine's, mixed with the device's number where a
// mount lies below.
//
// # Descriptors of the machine
//
// A directory node holds one descriptor until Release, two while it is being listed; an open file
// one. Nodes of other types hold none: they are a name in a held directory, which follows renames
// that go through this file system, and stand for whatever regular file has that name when they are
// used; a symbolic link in its place is ELOOP. Once opened, a node means the open file. Directory
// nodes that nobody released are closed by the garbage collector in the end.
//
// # Elsewhere than on Linux
//
// Links have no times of their own on Windows; listing asks for each entry's number; a directory is
// renamed onto an empty one in two steps; appending is indivisible only while the file has its
// name.
//
// Locks: a node's, then a file's; those of the backend come last and no other is taken under them.
package hostfs
