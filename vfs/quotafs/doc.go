// Package quotafs limits what guests can put into any [vfs.FS]: bytes, inodes, the size of a file,
// the names in a directory.
//
//	disk := quotafs.New(memfs.New(), quotafs.Limits{Bytes: 64 << 20, Inodes: 10_000})
//
// What an FS may hold by its own limits is like a disk: beyond it is ENOSPC. A [Quota] shared by
// several ([WithQuota]) is like a user's: beyond it is EDQUOT. A size beyond Limits.FileSize is
// EFBIG. A write that fits in part writes that part; its error says why no more.
//
// # What is counted
//
// Bytes are the growth of files by calls through the wrapper: writes, truncations to a larger size,
// allocations. A hole counts as if it were written, so that no guest can promise itself more than
// there is. A symbolic link counts the length of its target. Inodes are files, directories and
// links that were made through the wrapper. What was there before is free of charge, unless
// [FS.Count] is called, and gives nothing back when it is removed.
//
// Names and inodes are metadata, with a budget that Limits.Bytes implies: [vfs.NameCost] for each
// name that was made or linked through the wrapper, [vfs.InodeBytes] for each inode. Without it a
// guest could have files without content, and hard links, without end. A rename needs what the new
// name costs more than the old one.
//
// A file that an overlay below copies before its first change is charged with an inode and what it
// keeps of its size, before the copy is begun.
//
// Bytes come back when a file gets shorter, and when its last name is gone and its last opening
// closed. Names in directories are counted as they are.
//
// # Exact at every moment
//
// A change first takes what it needs from the quotas, in one step each, then acts, then gives back
// what it did not use: at no moment is more in use than the limit, and what is used and what is
// free add up to it. To know how much a write needs, writes to one file through the wrapper take
// turns.
//
// # Locks
//
// FS.names (changes of names, one at a time; shared by openings of whole paths), then inode.mu
// (growth of one file), then FS.mu (the table of inodes) and Quota.mu, which are held for a few
// instructions only.
package quotafs
