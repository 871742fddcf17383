package random

import (
	"io"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// RandomGet fills the n bytes at buf with random ones (preview1: random_get). It is
// EFAULT if they do not lie in the guest's memory, in which case nothing is drawn, and
// what wasip1.FromError says of an error of src. Then the bytes of the buffer are not
// to be used.
func RandomGet(src Source, v *memory.View, buf, n uint32) wasip1.Errno {
	b, errno := v.Window(buf, n)
	if errno != wasip1.ESUCCESS || n == 0 {
		return errno
	}
	k, err := src.Read(b)
	if err != nil || k != len(b) {
		k, errno = finish(src, b, k, err)
	}
	v.Wrote(buf, uint32(k))
	return errno
}

// finish goes on where a Read of src into b ended early, after k bytes, and returns how
// many there are in the end.
func finish(src Source, b []byte, k int, err error) (int, wasip1.Errno) {
	if k < 0 || k > len(b) {
		return len(b), wasip1.EIO // a broken reader: who knows what it wrote
	}
	if err == nil {
		var more int
		more, err = io.ReadFull(src, b[k:])
		k += more
	}
	if k == len(b) {
		return k, wasip1.ESUCCESS // io.Reader may give an error together with the last bytes
	}
	return k, wasip1.FromError(err)
}
