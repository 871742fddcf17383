//go:build unix

package mapping

import "golang.org/x/sys/unix"

// reserve maps addresses that nothing can be read from or written to, so that what is beyond the length faults
// instead of silently taking memory.
func reserve(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

func commit(b []byte) error { return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE) }

func release(b []byte) error { return unix.Munmap(b) }
