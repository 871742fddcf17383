// Package memlink lets package virt give a call other paths and other content than guest memory
// holds. Users of package memory need none of it.
package memlink

import "github.com/wasivirt/wasivirt/wasip1"

// Given is what a call gets instead of what it reads from guest memory. Middleware and policies
// decide by a path or by content; the call has to use what they saw, although another thread may
// change guest memory meanwhile. It is also how they give a call another path or other content
// without writing to guest memory.
//
// The zero Given gives nothing. A Given serves one call.
type Given struct {
	// Paths are the answers of View.Path, in the order of the calls.
	Paths [2]Path
	// Data, if not nil, is what View.Iovecs answers to a call that reads from its buffers, as one
	// buffer.
	Data []byte
	// Limit, if Limited, bounds the bytes of the buffers that View.Iovecs answers. The end is left
	// out.
	Limit   uint64
	Limited bool

	// Asked counts the calls of View.Path.
	Asked int
}

// Path is one path of a [Given].
type Path struct {
	Set   bool
	Path  string
	Errno wasip1.Errno // the answer, unless it is ESUCCESS
}

// SetGiven makes v, a *memory.View, answer what g says, from its beginning. A nil g ends that.
// Package memory sets it when it is initialized.
var SetGiven func(v any, g *Given)
