package mapping

import "golang.org/x/sys/unix"

// discard makes a range hold again what was mapped there: zeros, or the contents of a file.
func discard(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return unix.Madvise(b, unix.MADV_DONTNEED)
}
