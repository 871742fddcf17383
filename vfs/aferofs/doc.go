// Package aferofs mounts any [afero.Fs] as a file system for guests.
//
// An afero.Fs is a fine store of bytes and a poor POSIX file system: its own implementations let a
// file be created below a file, remove directories that are not empty, rename a directory into
// itself, know neither links nor inode numbers and grow a file to whatever offset they are told.
// So the adapter decides everything that has to do with names before it asks the store, and asks
// it only for what stores agree on: stat, list, make, remove and rename one name that it has
// checked, and ReadAt, WriteAt and Truncate on handles that it opened itself.
//
// # What the store keeps and what the adapter keeps
//
// The store keeps files, directories, contents, permission bits and modification times, all at the
// paths under which guests see them, so that host code can prepare and inspect them with any afero
// helper, at any time: each look-up is validated against the store, a file that host code makes
// appears, one that it removes is gone. The adapter keeps, in memory and for as long as it lives:
//
//   - inode numbers, access and change times;
//   - hard links: one name is the stored one, the others are aliases known here only. When the stored name
//     is unlinked, the store's file is renamed to the next;
//   - symbolic links, unless the store has them ([afero.Symlinker], as afero.OsFs) and gives back
//     the target it was given;
//   - files that are unlinked but open: stores whose handles outlive the name (MemMapFs, OsFs) simply keep
//     them; in others they stand below a name in the root that starts with ".wasivirt-unlinked-", which guests
//     never see, until they are closed.
//
// A file that host code replaces by another of the same type is recognised where the store can tell
// (MemMapFs, OsFs), else it is taken for the same file with new content. Aliases and symbolic links kept here go
// with the stored file or directory that host code removes; a stored name hides one kept here.
//
// Reading does not change the access time. A directory's Nlink is exact for a MemMapFs and 1, which
// means "not counted", elsewhere.
//
// # Limits
//
// The sizes that guests ask for reach a store in memory as allocations. [MaxFileSize] bounds them, by default
// at 1 GiB (not for OsFs); beyond is EFBIG.
//
// # Not a sandbox
//
// afero goes by path strings, and BasePathFs and OsFs follow what links stand in the
// real directory when they are asked: between the look-up and the use another process can swap one in. To
// give a real directory to a guest that is not trusted use hostfs.
//
// # Locks
//
// One lock for the namespace of an FS (FS.mu), held during the store's namespace calls, then one per file
// (inode.mu), held during reads and writes of its one shared handle because handles of MemMapFs move their
// offset even in ReadAt. A method that needs both takes them in this order.
package aferofs
