package virt

import "encoding/binary"

// header is what has to be the same where a recording is replayed.
type header struct {
	module      [32]byte // SHA-256 of the module as the embedder gave it
	period      uint32   // instructions between two looks at the Host
	depth       uint32
	counts      bool // instructions are counted
	turns       bool // threads take turns
	accesses    bool // the turn can be given on at accesses to memory
	unpreempted bool
	resumes     bool // exports can be called after a trap
}

const headerSize = 32 + 4 + 4 + 1

// header returns the encoded header of a guest's recording.
func (h *Host) header(m *Module, c *config) []byte {
	b := append([]byte(nil), m.sum[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.config.period)
	b = binary.LittleEndian.AppendUint32(b, h.config.depth)
	flags := byte(0)
	for i, set := range []bool{h.counts(), h.takesTurns(), h.config.access, h.config.noPreempt, c.resume} {
		if set {
			flags |= 1 << i
		}
	}
	return append(b, flags)
}

// parseHeader reads a header of headerSize bytes.
func parseHeader(b []byte) (h header) {
	copy(h.module[:], b)
	h.period = binary.LittleEndian.Uint32(b[32:])
	h.depth = binary.LittleEndian.Uint32(b[36:])
	flags := b[40]
	h.counts, h.turns, h.accesses, h.unpreempted, h.resumes = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0, flags&16 != 0
	return h
}
