package vfs

import (
	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Caller is one thread of a guest as the functions of WASI see it. It names the thread's memory,
// descriptors and clock, and holds buffers that calls reuse instead of allocating. Make one for
// each thread. It must not be copied, and serves one call at a time.
type Caller struct {
	// View is the guest's memory; it is reset before each call.
	View *memory.View
	// Table is the guest's descriptors, the same for all its threads.
	Table *Table
	// Task is the thread, for waiting. If it is nil, a call that would wait returns EAGAIN.
	Task poll.Task
	// Clock tells the time for FstAtimNow and FstMtimNow. If it is nil, these return ENOTSUP.
	Clock clock.Clock

	// alone says that no other Caller uses Table; see package vfslink.
	alone bool

	scratch memory.Scratch
	walk    walker
	walkTo  walker // the second path of path_link and path_rename
	entries []DirEntry
	listing listing
	attr    Attr

	gathered []byte // at most wholeUpTo bytes
	whole    [1][]byte
}

func init() {
	vfslink.Alone = func(c any, alone bool) { c.(*Caller).alone = alone }
	vfslink.Share = func(t any) { t.(*Table).share() }
	vfslink.Limit = func(t any, s vfslink.Semaphore) { t.(*Table).quota = s }
}

// Release drops the references to the guest's memory and files that the buffers of the last calls
// may hold. The Caller can be used again.
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
