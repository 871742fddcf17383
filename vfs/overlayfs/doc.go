// Package overlayfs shows two file systems as one: what is read comes from the lower, what is
// changed goes to the upper, and the lower is never touched. It takes any [vfs.FS] for either: a
// directory of the host below and memory above gives a guest a tree that it may change as it likes,
// and host code the difference ([FS.Diff]).
//
// # What is where
//
// New files, and files of the lower whose content was changed, stand in the upper under the names
// that guests see. Content is copied up with the first write, not when a file is opened for
// writing, in chunks and without the lock on names; who has the file open for reading then sees the
// new content, as POSIX demands. A truncation copies only what stays.
//
// There are no whiteout files, and nothing is copied in vain. The FS keeps everything else about
// the difference in memory:
//
//   - removed names of the lower (whiteouts), and directories that hide one of the lower of the
//     same name (opaque);
//   - renames: a file or a whole tree of the lower under a new name is still read from where it is
//     in the lower;
//   - further names of a file of the lower (hard links);
//   - changed times and permissions of what was not copied up.
//
// A quota above the overlay ([vfs.Keeper]) charges this memory to its metadata: the length of a
// removed name and 96 bytes, 256 bytes for each file or directory that differs, 512 bytes for each
// directory that the upper has to get.
//
// The upper alone is therefore not the whole difference. [FS.Diff] lists it, [FS.ExportTar] writes
// it as a layer of an OCI image, [FS.Apply] makes the same changes to another file system (or to
// the lower itself), and [FS.Discard] throws it away. An upper that is not empty at the start is
// shown merged, and belongs to the difference. Names in its root that start with
// ".wasivirt-overlay-" are the overlay's own.
//
// # Identities
//
// Inode numbers are the overlay's own. A file keeps its number when it is copied up or renamed, and
// all names that a file has in the lower keep showing one file.
//
// The lower layer opens and describes unchanged files in one step if it can (vfs.PlainOpener) and
// no link lies on the way. Other paths are walked name by name.
//
// Do not change a layer while the overlay is in use. The overlay keeps memory for each changed
// file. It keeps descriptors of the machine (nodes of the layers that are vfs.Releaser) only while
// a guest has the node, and finds the node again by its path afterwards. A listing keeps nothing.
//
// # Forks
//
// A fork ([FS.ForkFS]) shares what the overlay has written down of the difference, and makes inodes
// of it when they are looked at. The overlay writes down what has changed when it is forked. So a
// fork costs what was changed since the fork before, and a fork of a fork that nobody has changed,
// as those of a snapshot are, takes constant time.
//
// # Locks
//
// In this order: file.copying (one copy-up of a file at a time), FS.mu (names, attributes), file.io
// (the open layers of a file, held for reading during reads and writes). Layers are called with any
// of them held and never call back.
package overlayfs
