// Package aferofs mounts any [afero.Fs] as a file system for guests.
//
// An afero.Fs is a good store of bytes and a poor POSIX file system. afero's implementations create
// files below files, remove directories that are not empty, rename a directory into itself, and
// know neither links nor inode numbers. The adapter therefore decides all rules of names itself. It
// asks the store only to stat, list, make, remove and rename one checked name, and for ReadAt,
// WriteAt and Truncate on its own handles.
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
// A store in memory keeps a hole as zeros and allocates any size that it is told, even 1<<40 bytes.
// WithMaxFileSize therefore limits the size of files: 1 GiB by default, no limit for OsFs. A larger
// size is EFBIG. Package memfs has no such limit, because it keeps holes without memory.
//
// A store in memory also keeps the memory that a file had when it was larger. So the adapter makes
// a file of a MemMapFs anew when it cuts it to less than half, unless all such files together keep
// 4 MiB at most: a handle that host code has open then stays with the file as it was.
//
// This is not a sandbox: afero works on path strings, and BasePathFs and OsFs follow links in the
// real directory. To give a real directory to an untrusted guest, use package hostfs.
//
// Locks: FS.mu, held during the store's calls for names, then inode.mu, held during reads and
// writes of a file's one shared handle, because handles of MemMapFs move their offset even in
// ReadAt.
package aferofs
