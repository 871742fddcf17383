package vfs

import (
	"context"
	"math"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Preparer is implemented by a regular file whose first change may need long work: an overlay
// copies the file to its upper layer. A guest's calls prepare a file with the guest's context
// before they change it. The guest's end, timeout and budgets therefore stop that work. A wrapper
// passes the call on. A file system that counts space puts its own charge before that of its
// caller.
type Preparer interface {
	RegularFile
	// Prepare makes the content ready for changes. It keeps the first keep bytes of it; [KeepAll]
	// keeps everything. It costs little if nothing is left to be done.
	//
	// Prepare calls charge, unless it is nil, before it takes space. charge gets the file's inode
	// number, and the numbers of inodes and bytes that the file will take in addition. If charge
	// fails, Prepare returns its error and does nothing. If Prepare fails later, it calls charge
	// again with the numbers negated.
	//
	// Errors: ECANCELED after ctx has ended; the error of charge; ENOSPC or EFBIG if the file
	// system has not enough room.
	Prepare(ctx context.Context, keep int64, charge func(ino uint64, inodes, bytes int64) error) error
}

// Keeper is implemented by nodes of file systems that keep memory for changes of what they do not
// store themselves: an overlay keeps removed names, times and directories of its lower. A wrapper
// that counts what its guests keep changes such nodes through Charging.
type Keeper interface {
	Node
	// Charging returns the node as one whose changes ask charge before they keep anything: with an
	// inode number, and how many bytes of metadata are kept for that inode besides. If charge
	// fails, the change fails with its error. It gets a negative number for what is not kept any
	// more, unless the inode itself is gone, and does not fail then. It must not call the file
	// system.
	Charging(charge KeepCharge) Node
}

// KeepCharge charges a budget for the metadata that is kept for an inode; see [Keeper].
type KeepCharge func(ino uint64, bytes int64) error

// KeepAll is the value of keep in [Preparer.Prepare] for a change that truncates nothing.
const KeepAll = math.MaxInt64

// Sparse is implemented by a [File] that knows where its content has holes.
type Sparse interface {
	// NextData returns the start and the end of the next data at or after off. The bytes between
	// off and start are zeros. Errors: io.EOF if there is no more data; ENOTSUP if the file does
	// not know.
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
