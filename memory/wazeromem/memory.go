package wazeromem

import (
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// PageSize is the unit in which guest memory is counted and grows, in bytes.
const PageSize = 1 << 16

// maxPages is the most that a 32-bit memory has: 4 GiB.
const maxPages = 1 << 16

// Absent reports whether mem is nil or what wazero's Module.Memory returns for a module
// without a memory: an interface that is not nil around a pointer that is.
func Absent(mem api.Memory) bool {
	// The second word of an interface is the pointer. This is asked at every host
	// call, where package reflect would cost as much as the call.
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&mem))[1] == nil
}

// FromModule returns the whole memory of a guest, to write to and read from, and nil
// if mem is Absent or has no bytes. The slice is the memory itself. It is good until the
// memory grows: fetch it for each host call, and again after a call into the guest.
//
// It is for memories that one thread grows at a time. The length of a shared memory
// may change while it is read here.
func FromModule(mem api.Memory) []byte {
	if Absent(mem) {
		return nil
	}
	n := mem.Size()
	if n == 0 {
		return fromModuleFull(mem)
	}
	b, _ := mem.Read(0, n)
	return b
}

// fromModuleFull is FromModule where Size says 0: of no pages, or of all 65,536, whose
// size in bytes does not fit 32 bits.
func fromModuleFull(mem api.Memory) []byte {
	if pages, _ := mem.Grow(0); pages != maxPages {
		return nil
	}
	b, ok := mem.Read(0, 1<<32-1)
	if !ok {
		return nil
	}
	// Read cannot ask for the last byte with the rest: its count is 32 bits too.
	return full(b)
}

// full lengthens b, all but the last byte of a memory of 4 GiB, by that byte.
func full(b []byte) []byte {
	n := uint64(len(b)) + 1
	if uint64(uint(n)) != n || int(n) <= 0 {
		return b // a host of 32 bits has no such memory
	}
	return unsafe.Slice(unsafe.SliceData(b), int(n))
}

// Pages tells how many pages of 64 KiB a guest's memory has now and how many it may
// grow to, 65,536 at most. Both are 0 if mem is Absent.
func Pages(mem api.Memory) (now, limit uint32) {
	if Absent(mem) {
		return 0, 0
	}
	now, _ = mem.Grow(0)
	limit = maxPages
	// A runtime with a lower limit than the module names counts as well: wazero puts
	// it into Max of a memory without a maximum of its own.
	if d := mem.Definition(); d != nil {
		limit, _ = d.Max()
	}
	return now, min(max(limit, now), maxPages)
}
