// Package aferofs mounts any [afero.Fs] as a file system for guests.
//
// An afero.Fs is a fine store of bytes and a poor POSIX file system: its own implementations let a
// file be created below a file, remove directories that are not empty, rename a directory into
// itself, and know neither links nor inode numbers. So the adapter decides all that has to do with
// names before it asks the store, and asks it only for what stores agree on: stat, list, make,
// remove and rename one name that it has checked, and ReadAt, WriteAt and Truncate on handles of
// its own.
//
// # Who keeps what
//
// The store keeps files, directories, contents, permission bits and modification times, at the
// paths under which guests see them, for host code to prepare and inspect with any afero helper at
// any time: each look-up is validated against the store. The adapter keeps in memory, as long as it
// lives:
//
//   - inode numbers, access and change times;
//   - hard links: one name is the stored one, the others are aliases. When that is unlinked, the
//     file is renamed to the next;
//   - symbolic links, unless the store has them ([afero.Symlinker], as afero.OsFs) and gives back
//     the target it was given;
//   - files that are unlinked but open, in stores whose handles do not outlive the name (MemMapFs'
//     and OsFs' do), as ".wasivirt-unlinked-N" in the root, which guests never see, until they are
//     closed.
//
// A file that host code replaces by another of its type is recognised where the store can tell
// (MemMapFs, OsFs), else taken for the same with new content. Aliases and links kept here go with
// the stored file or directory that host code removes. Reading does not change the access time. A
// directory's Nlink is exact for a MemMapFs and 1, "not counted", elsewhere.
//
// # Limits
//
// A store in memory holds a hole as zeros, and allocates whatever size it is told, 1<<40 as well.
// The adapter cannot keep holes in its place, since then host code would not find in the store what
// guests wrote. So [WithMaxFileSize] bounds files, by default at 1 GiB (not for OsFs), and beyond
// is EFBIG: the one thing that memfs, which is sparse, can do and this cannot.
//
// A store in memory also keeps the memory that a file had when it was larger. So the adapter makes
// a file of a MemMapFs anew when it cuts it to less than half: a handle that host code has open
// then stays with the file as it was.
//
// Not a sandbox: afero goes by path strings, and BasePathFs and OsFs follow the links that stand in
// the real directory when they are asked. To give a real directory to a guest that is not trusted
// use hostfs.
//
// Locks: FS.mu, held during the store's calls for names, then inode.mu, held during reads and
// writes of a file's one shared handle, because handles of MemMapFs move their offset even in
// ReadAt.
package aferofs
