package vfs

import (
	"context"
	"math"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Preparer is implemented by a regular file whose content may need long work before its first
// change: an overlay copies the file to where it can be changed. The guest's calls prepare a file
// with the guest's context before they change it, so that the guest's end, its timeout and its
// budgets reach that work. A wrapper passes the call on, and a file system that counts what its
// guests keep puts its own charge before that of its caller.
type Preparer interface {
	RegularFile
	// Prepare gets the content ready for changes. At most the first keep bytes stay; [KeepAll] says
	// that all do. It costs little if nothing is left to be done.
	//
	// charge, unless it is nil, is asked before anything is taken. It gets the file's inode number
	// and how many inodes and bytes will be kept for it beside what was kept before. If it fails,
	// Prepare fails with its error and does nothing. If Prepare fails later, it calls charge again
	// with the same numbers, negative.
	//
	// Errors: ECANCELED after ctx has ended; what charge says; ENOSPC or EFBIG where the file
	// system itself has not as much room.
	Prepare(ctx context.Context, keep int64, charge func(ino uint64, inodes, bytes int64) error) error
}

// Keeper is implemented by nodes of file systems that keep memory for changes of what they do not store themselves: an overlay
// keeps removed names, times and directories of its lower. A wrapper that counts what its guests keep changes such nodes through
// Charging.
type Keeper interface {
	Node
	// Charging returns the node as one whose changes ask charge before they keep anything: with an inode number, and how many
	// bytes of metadata are kept for that inode besides. If charge fails, the change fails with its error. It gets a negative
	// number for what is not kept any more, unless the inode itself is gone, and does not fail then. It must not call the file
	// system.
	Charging(charge KeepCharge) Node
}

// KeepCharge is what a [Keeper] asks.
type KeepCharge func(ino uint64, bytes int64) error

// KeepAll is the keep of [Preparer.Prepare] for a change that cuts nothing.
const KeepAll = math.MaxInt64

// Sparse is implemented by a [File] that knows where its content has holes.
type Sparse interface {
	// NextData returns where the next data at or behind off begins and ends. What lies between off
	// and start reads as zeros. At the end of the file it returns io.EOF. Errors: ENOTSUP where the
	// file cannot say.
	NextData(off int64) (start, end int64, err error)
}

// prepare gets f ready for a change that leaves keep bytes of it. f has a file. Errors: ECANCELED
// when the thread has to end.
func (c *Caller) prepare(f *OpenFile, keep int64) error {
	if !f.prepares || f.m.readOnly {
		return nil
	}
	if !f.acquire() {
		return wasip1.EBADF
	}
	defer f.release()
	ctx := context.Background()
	if c.Task != nil {
		ctx = c.Task.Context()
	}
	return f.node.(Preparer).Prepare(ctx, keep, nil)
}
