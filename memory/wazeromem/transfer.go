package wazeromem

import (
	"bytes"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// window returns the n bytes at ptr of a guest's memory, or EFAULT. (api.Memory.Read
// panics on a range that ends at 4 GiB exactly.)
func window(mem api.Memory, ptr, n uint32) ([]byte, wasip1.Errno) {
	v := memory.NewView(FromModule(mem))
	return v.Window(ptr, n)
}

func faultError(ptr, n uint32, errno wasip1.Errno) error {
	return fmt.Errorf("%d bytes at %#x of the guest: %w", n, ptr, errno)
}

// ReadBytes returns a copy of the n bytes at ptr of a guest. The error matches
// wasip1.EFAULT if they do not lie in its memory.
func ReadBytes(mem api.Memory, ptr, n uint32) ([]byte, error) {
	b, errno := window(mem, ptr, n)
	if errno != wasip1.ESUCCESS {
		return nil, faultError(ptr, n, errno)
	}
	return bytes.Clone(b), nil
}

// ReadString returns a copy of the n bytes at ptr of a guest, whatever they are. The
// error matches wasip1.EFAULT if they do not lie in its memory.
func ReadString(mem api.Memory, ptr, n uint32) (string, error) {
	b, errno := window(mem, ptr, n)
	if errno != wasip1.ESUCCESS {
		return "", faultError(ptr, n, errno)
	}
	return string(b), nil
}

// ReadCString returns a copy of the bytes at ptr of a guest up to the first NUL, which
// is looked for among the first limit bytes. The error matches wasip1.EFAULT if the memory
// ends before the NUL and wasip1.EOVERFLOW if there is none within limit.
func ReadCString(mem api.Memory, ptr, limit uint32) (string, error) {
	b := FromModule(mem)
	if uint64(ptr) >= uint64(len(b)) {
		return "", fmt.Errorf("reading a C string at %#x of the guest: %w", ptr, wasip1.EFAULT)
	}
	b = b[ptr:]
	cut := uint64(len(b)) > uint64(limit)
	if cut {
		b = b[:limit]
	}
	i := bytes.IndexByte(b, 0)
	switch {
	case i >= 0:
		return string(b[:i]), nil
	case cut:
		return "", fmt.Errorf("reading a C string at %#x of the guest has no NUL in %d bytes: %w", ptr, limit, wasip1.EOVERFLOW)
	}
	return "", fmt.Errorf("reading a C string at %#x of the guest runs out of its memory: %w", ptr, wasip1.EFAULT)
}

// WriteAt copies b to ptr of a guest. The error matches wasip1.EFAULT, and nothing is
// written, if it does not fit there.
func WriteAt(mem api.Memory, ptr uint32, b []byte) error {
	if uint64(len(b)) > 1<<32-1 {
		return fmt.Errorf("%d bytes for a guest: %w", len(b), wasip1.EFAULT)
	}
	w, errno := window(mem, ptr, uint32(len(b)))
	if errno != wasip1.ESUCCESS {
		return faultError(ptr, uint32(len(b)), errno)
	}
	copy(w, b)
	return nil
}

// Copy copies n bytes from srcPtr of one guest to dstPtr of another, or within one,
// where the two ranges may overlap. The error matches wasip1.EFAULT, and nothing is
// written, if either range does not lie in its memory.
func Copy(dst api.Memory, dstPtr uint32, src api.Memory, srcPtr, n uint32) error {
	from, errno := window(src, srcPtr, n)
	if errno != wasip1.ESUCCESS {
		return fmt.Errorf("copy between guests: source: %w", faultError(srcPtr, n, errno))
	}
	to, errno := window(dst, dstPtr, n)
	if errno != wasip1.ESUCCESS {
		return fmt.Errorf("copy between guests: destination: %w", faultError(dstPtr, n, errno))
	}
	copy(to, from)
	return nil
}
