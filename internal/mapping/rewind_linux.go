package mapping

import (
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageScan is the argument of the call PAGEMAP_SCAN, which Linux has since 6.7.
type pageScan struct {
	size, flags, start, end, walkEnd, regions, maxRegions, maxPages, inverted, mask, anyOf, wanted uint64
}

// pageRegion is a part of its answer: pages that are alike; the last field says how.
type pageRegion struct{ start, end, _ uint64 }

// Kinds of pages.
const (
	pageFile    = 1 << 2 // a file's own, not a copy of it
	pagePresent = 1 << 3
	pageSwapped = 1 << 4
	pageZero    = 1 << 5 // the system's page of zeros, for what was read and never written to
)

const pagemapScan = 0xc0606610

// pagemap is a descriptor of the list of the process's pages, -1 where there is none. It stays
// open.
var pagemap = sync.OnceValue(func() int {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

var regionLists = sync.Pool{New: func() any { return new([256]pageRegion) }}

// eachWritten calls f with the parts of b whose pages belong to the range alone: whatever was
// written to is in them. It reports whether those are all, and no more than limit bytes.
func eachWritten(b []byte, limit uint64, f func(from, to uint64)) (total uint64, ok bool) {
	if len(b) == 0 || pagemap() < 0 {
		return 0, len(b) == 0
	}
	regions := regionLists.Get().(*[256]pageRegion) // on the heap, which does not move
	defer regionLists.Put(regions)
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	end := base + uint64(len(b))
	for at := base; at < end; {
		scan := pageScan{start: at, end: end, regions: uint64(uintptr(unsafe.Pointer(regions))), maxRegions: uint64(len(regions)),
			inverted: pageFile | pageZero, mask: pageFile | pageZero, anyOf: pagePresent | pageSwapped, wanted: pagePresent}
		scan.size = uint64(unsafe.Sizeof(scan))
		n, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(pagemap()), pagemapScan, uintptr(unsafe.Pointer(&scan)))
		runtime.KeepAlive(regions)
		if err != 0 || scan.walkEnd <= at {
			return 0, false
		}
		at = scan.walkEnd
		for _, r := range regions[:n] {
			if total += r.end - r.start; total > limit {
				return 0, false
			}
			f(r.start-base, r.end-base)
		}
	}
	return total, true
}

// copyBack makes the range hold its image again, and zeros behind it, by writing to the pages that
// are its own. It goes on holding those, kept bytes, so that nothing faults when they are written
// to again. It reports whether it did: there may be more than Kept bytes of them, and older systems
// do not tell which they are.
func (m *Mapping) copyBack() (kept uint64, ok bool) {
	size := m.image.size
	looked := m.image.store.look(size, func(original []byte) {
		kept, ok = eachWritten(m.whole[:m.committed], Kept, func(from, to uint64) {
			if shown := min(to, size); from < shown {
				copy(m.whole[from:shown], original[from:shown])
			}
			if from = max(from, size); from < to {
				clear(m.whole[from:to])
			}
		})
	})
	return kept, looked && ok
}

// wipe writes zeros to the pages that are the range's own, which shows no image, and goes on
// holding them. It reports whether it did, as copyBack does.
func (m *Mapping) wipe() (kept uint64, ok bool) {
	return eachWritten(m.whole[:m.committed], Kept, func(from, to uint64) { clear(m.whole[from:to]) })
}

// rewind makes the range hold its image again, and zeros behind it.
func (m *Mapping) rewind() error {
	if _, ok := m.copyBack(); ok {
		return nil
	}
	return discard(m.whole[:m.committed])
}
