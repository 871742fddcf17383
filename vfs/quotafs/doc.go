// Package quotafs limits what guests can put into any [vfs.FS]: bytes, inodes, the size of a file,
// the names in a directory.
//
//	disk := quotafs.New(memfs.New(), quotafs.Limits{Bytes: 64 << 20, Inodes: 10_000})
//
// An FS's own limits are like the size of a disk: a change that exceeds them returns ENOSPC. A
// Quota that several share (WithQuota) is like a user's quota: a change that exceeds it returns
// EDQUOT. A size beyond Limits.FileSize returns EFBIG. A write that fits in part writes that part
// and returns the error.
//
// # What is counted
//
// Bytes are the growth of files by calls through the wrapper: writes, truncations to a larger size,
// allocations. A hole counts as if it were written. A symbolic link counts the length of its
// target. Inodes are files, directories and links that were made through the wrapper. Files that
// were there before cost nothing and return nothing when they are removed, unless FS.Count is
// called.
//
// Names and inodes are metadata, with a budget that Limits.Bytes implies: [vfs.NameCost] for each
// name that was made or linked through the wrapper, [vfs.InodeBytes] for each inode. It bounds
// empty files and hard links. A rename to a longer name costs the difference.
//
// A file that an overlay below copies before its first change is charged with an inode and what it
// keeps of its size, before the copy is begun.
//
// Bytes are returned when a file gets shorter, and when its last name is removed and its last
// descriptor closed. Limits.DirEntries counts the names that a directory has at the moment.
//
// # Exact at every moment
//
// A change first takes what it needs from each quota, then acts, then returns what it did not use.
// The amount in use never exceeds the limit, and the used and the free amount add up to it. Writes
// to one file take turns, because a write has to know how much the file grows.
//
// # Locks
//
// FS.names (changes of names, one at a time; shared by openings of whole paths), then inode.mu
// (growth of one file), then FS.mu (the table of inodes) and Quota.mu, which are held for a few
// instructions only.
package quotafs
