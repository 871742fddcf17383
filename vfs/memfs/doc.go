// Package memfs is a complete file system in memory. It is what a guest gets by default. It can be
// forked in constant time.
//
//	fsys := memfs.New()
//	fsys.WriteFile("etc/hosts", []byte("127.0.0.1 localhost\n"))
//	fork := fsys.Fork() // a copy that goes its own way
//
// # Model
//
// An inode is what a file is: its attributes, and its chunks, its names or its target. The inode
// table maps inode numbers to inodes. A node is the handle of an inode in one file system, and what
// package vfs sees; there is one for each inode, so that nodes can be compared. Names in a
// directory are entries that hold an inode number, never a pointer.
//
// The inode table, the two indexes of a directory (by hash of the name, and by age, which gives the
// cookies) and the chunks of a file are the same kind of tree, of pages with at most 64 slots.
// Every page, inode, bucket and chunk has a tag that says whose it is. A file system changes in
// place what has its own tag and copies everything else first. Fork gives both sides new tags:
// nothing is copied then, everything is shared, and the first change on either side copies the
// inode, the way to it in the tree and the one chunk it touches.
//
// Inode numbers are counted from 1, the root, and never used again. An inode lives as long as it
// has names or is open; a node whose inode has gone answers ENOENT where it would need it.
//
// # Times
//
// Times come from the clock of the Host that the file system is mounted in, or WithClock. Before
// there is one every time is 0, so that trees made before a run do not depend on when they were
// made. The access time is set by the first read after a change (as with Linux's relatime, without
// its rule of one day) and by SetAttr; reading a link leaves it.
//
// # Locks
//
// In this order: FS.mu, for all names and directories, the inode table and the nodes; FS.stripes,
// for files and links, spread by inode number, of which only Fork takes more than one, in ascending
// order. Lookup usually takes none, see nameCache, and how often a file is open is counted without
// one, see node.life.
package memfs
