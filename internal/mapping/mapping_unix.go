//go:build unix

package mapping

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps addresses that nothing can be read from or written to, so that what is beyond the
// length faults instead of silently taking memory.
func reserve(n int) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// explained says what to do about err.
func explained(err error) error {
	if runtime.GOOS == "linux" && errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("%w: free memory, or close guests, or raise vm.max_map_count (each guest takes two mappings)", err)
	}
	return err
}

func commit(b []byte) error { return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE) }

func release(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// replace maps something else at the addresses of b, which hold zeros for fd -1, else what the file
// has from its beginning.
func replace(b []byte, fd int) error {
	if len(b) == 0 {
		return nil
	}
	flags := unix.MAP_PRIVATE | unix.MAP_FIXED
	if fd < 0 {
		flags |= unix.MAP_ANON
	}
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)), unix.PROT_READ|unix.PROT_WRITE, flags)
	return err
}

// uncover takes an image away.
func uncover(b []byte) error { return replace(b, -1) }

// AddressSpace is how many bytes of addresses one mapping should reserve at most: a part of what
// the process may have (RLIMIT_AS), of which Go's heap needs the most.
var AddressSpace = sync.OnceValue(func() uint64 {
	if strconv.IntSize == 32 {
		return 1 << 24
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil || uint64(limit.Cur) >= math.MaxInt64 {
		return 1 << 32
	}
	return uint64(limit.Cur) / 64
})
