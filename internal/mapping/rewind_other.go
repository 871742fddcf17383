//go:build !linux

package mapping

// copyBack would keep pages for the next user of the range, which these systems do not list.
func (m *Mapping) copyBack() (kept uint64, ok bool) { return 0, false }

// wipe would keep pages as well.
func (m *Mapping) wipe() (kept uint64, ok bool) { return 0, false }
