//go:build unix && !linux

package mapping

// discard makes a range hold zeros. MADV_DONTNEED is advice only on these systems.
func discard(b []byte) error { return replace(b, -1) }
