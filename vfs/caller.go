package vfs

import (
	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Caller is one thread of a guest as the functions of WASI see it: where its memory, its
// descriptors and its time are, and room that calls use again and again so that they allocate
// nothing. It is made once for a thread, must not be copied, and serves one call at a time.
type Caller struct {
	// View is the guest's memory; it is reset before each call.
	View *memory.View
	// Table is the guest's descriptors, the same for all its threads.
	Table *Table
	// Task is the thread, for waiting. Where it is nil nothing waits: what would is EAGAIN.
	Task poll.Task
	// Clock tells the time for FstAtimNow and FstMtimNow. Where it is nil they are ENOTSUP.
	Clock clock.Clock

	// alone says that no other Caller uses Table; see package vfslink.
	alone bool

	scratch memory.Scratch
	walk    walker
	walkTo  walker // the second path of path_link and path_rename
	entries []DirEntry

	gathered []byte // at most wholeUpTo bytes
	whole    [1][]byte
}

func init() {
	vfslink.Alone = func(c any, alone bool) { c.(*Caller).alone = alone }
	vfslink.Share = func(t any) { t.(*Table).share() }
}

// Release lets go of the guest's memory and files, which the room of the last calls may still refer
// to. The Caller can be used again.
func (c *Caller) Release() {
	c.scratch.Release()
	clear(c.walk.inline[:])
	clear(c.walkTo.inline[:])
	c.walk.stack, c.walkTo.stack = nil, nil
	c.walk.start, c.walkTo.start = nil, nil
	c.walk.names, c.walkTo.names = nil, nil
	c.walk.spare = nil
	c.entries = nil
}

// errno maps what an operation says, once, at the edge.
func errno(err error) wasip1.Errno {
	if err == nil {
		return wasip1.ESUCCESS
	}
	if e, ok := err.(wasip1.Errno); ok {
		return e
	}
	return wasip1.FromError(err)
}
