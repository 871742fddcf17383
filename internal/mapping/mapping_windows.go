package mapping

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func reserve(n int) ([]byte, error) {
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return nil, err
	}
	// The address is that of memory outside Go's heap, which never moves; going through a pointer
	// to it is what keeps vet from taking it for a stale Go pointer.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), n), nil
}

// explained says what to do about err, which is its own text here.
func explained(err error) error { return err }

func commit(b []byte) error {
	_, err := windows.VirtualAlloc(address(b), uintptr(len(b)), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

func release(b []byte) error { return windows.VirtualFree(address(b), 0, windows.MEM_RELEASE) }

// discard gives pages back and takes others, which hold zeros.
func discard(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := windows.VirtualFree(address(b), uintptr(len(b)), windows.MEM_DECOMMIT); err != nil {
		return err
	}
	return commit(b)
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// AddressSpace is how many bytes of addresses one mapping should reserve at most.
func AddressSpace() uint64 {
	if unsafe.Sizeof(uintptr(0)) == 4 {
		return 1 << 24
	}
	return 1 << 32
}
