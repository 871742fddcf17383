package virt

import (
	"errors"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// checkpointName is the one function that modules may import from "wasivirt" themselves:
//
//	checkpoint(fn, arg i32) i32
//
// A command calls it when it has warmed up. Where nobody wants a snapshot it returns 0, and the
// command goes on. Where [Guest.Snapshot] runs the command, the call is the last one: what is on
// WebAssembly's stack is lost, memory, globals and files are kept. A guest made of the snapshot
// goes on by calling fn(arg), fn being an index in the module's first table (a function pointer in
// C), and ends when that returns.
const checkpointName = "checkpoint"

// wizerInitialize is the export by which a command is warmed up before its _start is called
// (Wizer).
const wizerInitialize = "wizer.initialize"

// checkpoint is where a command was when it asked for its snapshot.
type checkpoint struct {
	reached bool
	fn, arg uint32
}

// errCheckpoint leaves the code of a command that has reached its checkpoint.
var errCheckpoint = errors.New("the checkpoint was reached")

// checkpoint answers the import of that name.
func (t *thread) checkpoint(p []uint64) {
	c := t.guest.atPoint
	if c == nil || t != t.guest.main {
		p[0] = 0
		return
	}
	c.reached, c.fn, c.arg = true, uint32(p[0]), uint32(p[1])
	panic(errCheckpoint)
}

// captured is what the rewriter exported of the module for snapshots, nil where nothing is.
func (m *Module) captured() *wasmbin.Capture {
	if m.compilation == nil || m.report == nil {
		return nil
	}
	return m.report.Capture
}

// entry is the export that runs a command: _start, or what goes on behind the checkpoint of its
// snapshot.
func (g *Guest) entry() (name string, params []uint64) {
	if s := g.origin; s != nil && s.point.reached {
		return g.module.captured().Resume, []uint64{uint64(s.point.fn), uint64(s.point.arg)}
	}
	return "_start", nil
}
