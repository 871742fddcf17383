package virt

import "github.com/wasivirt/wasivirt/vfs"

// lender is a stream that can tell who makes it ready, where it is told who uses it: see
// [pipe.Reader.Lend].
type lender interface{ Lend(to any) }

// note keeps s in mind where it is to be told.
func (g *Guest) note(s vfs.Stream) {
	if l, ok := s.(lender); ok {
		g.lent = append(g.lent, l)
	}
}

// lend tells the streams that were given to the guest that threads of h, and nobody else, use them.
// A guest that does not run has lent them to nobody: host code is about to run it, or to close it.
func (g *Guest) lend(h *Host) {
	for _, l := range g.lent {
		if h == nil {
			l.Lend(nil)
		} else {
			l.Lend(h)
		}
	}
}
