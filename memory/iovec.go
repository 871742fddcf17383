package memory

import "github.com/wasivirt/wasivirt/wasip1"

const (
	// MaxIovecs is the largest number of iovecs in a call (POSIX: IOV_MAX).
	MaxIovecs = 1024

	// MaxIovecTotal is the largest sum of the lengths of the iovecs in a call, in
	// bytes: what a 32-bit ssize_t can count.
	MaxIovecTotal = 1<<31 - 1
)

// IovecList is a decoded array of iovecs. It lies in the Scratch it was decoded with
// and is good until that is used for the next one.
type IovecList struct {
	// Bufs are the parts of guest memory, in order. They may be empty and may overlap.
	Bufs [][]byte

	// Total is the sum of their lengths, at most MaxIovecTotal.
	Total uint64

	v    *View
	iovs []wasip1.Iovec
	w    bool
}

// Iovecs decodes the array of count iovecs at ptr: w tells whether the call is going to
// write to the buffers (fd_read) or to read from them (fd_write).
//
// It is EINVAL if count is more than MaxIovecs, EFAULT if the array or a buffer does
// not lie in the memory, and EINVAL if the sum of the lengths is more than
// MaxIovecTotal (POSIX: readv). A buffer of length 0 may have any address, for
// languages leave the address of an empty slice undefined.
//
// The array is noted as read. The buffers are not: the call says by Note how much of
// them it used.
func (v *View) Iovecs(ptr, count uint32, s *Scratch, w bool) (IovecList, wasip1.Errno) {
	if count > MaxIovecs {
		return IovecList{}, wasip1.EINVAL
	}
	raw, errno := v.Read(ptr, count*wasip1.SizeIovec)
	if errno != wasip1.ESUCCESS {
		return IovecList{}, errno
	}
	if int(count) > cap(s.bufs) {
		s.bufs = make([][]byte, max(count, 8))
		s.iovs = make([]wasip1.Iovec, max(count, 8))
	}
	bufs, iovs := s.bufs[:count], s.iovs[:count]
	mem, total := v.b, uint64(0)
	for i := range bufs {
		iov := wasip1.DecodeIovec(raw[i*wasip1.SizeIovec:])
		end := uint64(iov.Buf) + uint64(iov.Len)
		switch {
		case iov.Len == 0:
			bufs[i] = nil
		case end > uint64(len(mem)):
			return IovecList{}, wasip1.EFAULT
		default:
			bufs[i] = mem[iov.Buf:end:end]
			total += uint64(iov.Len)
		}
		iovs[i] = iov
	}
	if total > MaxIovecTotal {
		return IovecList{}, wasip1.EINVAL
	}
	return IovecList{Bufs: bufs, Total: total, v: v, iovs: iovs, w: w}, wasip1.ESUCCESS
}

// Note notes the first n bytes of the buffers as written or as read, whichever Iovecs
// was told.
func (l *IovecList) Note(n uint64) {
	if l.w {
		l.Wrote(n)
	} else {
		l.DidRead(n)
	}
}

// Wrote notes the first n bytes of the buffers as written.
func (l *IovecList) Wrote(n uint64) {
	if l.v != nil && l.v.log != nil {
		l.note(&l.v.log.Writes, n)
	}
}

// DidRead notes the first n bytes of the buffers as read.
func (l *IovecList) DidRead(n uint64) {
	if l.v != nil && l.v.log != nil {
		l.note(&l.v.log.Reads, n)
	}
}

func (l *IovecList) note(rs *[]Range, n uint64) {
	for _, iov := range l.iovs {
		if n == 0 {
			return
		}
		k := min(n, uint64(iov.Len))
		note(rs, iov.Buf, uint32(k))
		n -= k
	}
}
