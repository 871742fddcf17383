package memory

// Range is a part of guest memory: Len bytes at Ptr.
type Range struct {
	Ptr, Len uint32
}

// Log is the note of what calls touched in guest memory, in the order in which they
// did. A range that starts where the one before it ended lengthens that one; empty
// ranges are left out. Ranges may overlap. The zero Log is empty and ready.
type Log struct {
	Reads, Writes []Range
}

// Reset empties the Log and keeps its room.
func (l *Log) Reset() { l.Reads, l.Writes = l.Reads[:0], l.Writes[:0] }

// SetLog makes the View note in l what is touched from now on; nil ends it.
func (v *View) SetLog(l *Log) {
	v.log = l
	v.Reset(v.b)
}

// Log returns the Log that the View notes in, or nil.
func (v *View) Log() *Log { return v.log }

// DidRead notes that the n bytes at ptr were read.
func (v *View) DidRead(ptr, n uint32) {
	if v.log != nil {
		note(&v.log.Reads, ptr, n)
	}
}

// Wrote notes that the n bytes at ptr were written.
func (v *View) Wrote(ptr, n uint32) {
	if v.log != nil {
		note(&v.log.Writes, ptr, n)
	}
}

func note(rs *[]Range, ptr, n uint32) {
	if n == 0 {
		return
	}
	if i := len(*rs) - 1; i >= 0 {
		last := &(*rs)[i]
		if uint64(last.Ptr)+uint64(last.Len) == uint64(ptr) && last.Len+n > n {
			last.Len += n
			return
		}
	}
	*rs = append(*rs, Range{Ptr: ptr, Len: n})
}
