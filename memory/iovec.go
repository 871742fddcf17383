package memory

import (
	"unsafe"

	"github.com/wasivirt/wasivirt/wasip1"
)

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

	use *iovecUse // apart, because the compiler keeps a struct in registers up to four words
}

// iovecUse is the size of an IovecList, and the note of how much of it a call used.
type iovecUse struct {
	total uint64

	log  *Log           // nil if nothing is noted
	iovs []wasip1.Iovec // where the buffers lie, for the log
	w    bool           // the call writes to them
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
	// Most calls have one iovec, and nothing notes what it is used for.
	if count == 1 && uint64(ptr)+wasip1.SizeIovec <= v.fast && s.use.log == nil && len(s.bufs) > 0 && v.given == nil {
		iov := wasip1.DecodeIovec(v.b[ptr:])
		end := uint64(iov.Buf) + uint64(iov.Len)
		if end <= v.fast && iov.Len <= MaxIovecTotal {
			s.bufs[0] = v.b[iov.Buf:end:end]
			s.use.total = uint64(iov.Len)
			return IovecList{s.bufs[:1], &s.use}, wasip1.ESUCCESS
		}
	}
	return v.iovecs(ptr, count, s, w)
}

// iovecs is Iovecs for any number.
func (v *View) iovecs(ptr, count uint32, s *Scratch, w bool) (IovecList, wasip1.Errno) {
	if v.given != nil {
		return v.givenIovecs(ptr, count, s, w)
	}
	if count > MaxIovecs {
		return s.noIovecs(wasip1.EINVAL)
	}
	end := uint64(ptr) + uint64(count)*wasip1.SizeIovec
	mem := v.b
	if end > uint64(len(mem)) {
		return s.noIovecs(wasip1.EFAULT)
	}
	if uint32(len(s.bufs)) < count {
		s.bufs = make([][]byte, max(count, 8))
	}
	// Each iovec is read once: another thread may change it meanwhile.
	raw, bufs, total := mem[ptr:end], s.bufs[:count], uint64(0)
	for i := range bufs {
		iov := wasip1.DecodeIovec(raw[i*wasip1.SizeIovec:])
		end := uint64(iov.Buf) + uint64(iov.Len)
		if end > uint64(len(mem)) {
			if iov.Len != 0 {
				return s.noIovecs(wasip1.EFAULT)
			}
			iov.Buf, end = 0, 0
		}
		bufs[i] = mem[iov.Buf:end:end]
		total += uint64(iov.Len)
	}
	if total > MaxIovecTotal {
		return s.noIovecs(wasip1.EINVAL)
	}
	s.use.total = total
	if v.log != nil || s.use.log != nil {
		s.use.track(v, ptr, bufs, w)
	}
	return IovecList{bufs, &s.use}, wasip1.ESUCCESS
}

func (s *Scratch) noIovecs(errno wasip1.Errno) (IovecList, wasip1.Errno) {
	s.use = iovecUse{iovs: s.use.iovs[:0]}
	return IovecList{nil, &s.use}, errno
}

// track notes the array at ptr as read and keeps where its buffers lie.
func (u *iovecUse) track(v *View, ptr uint32, bufs [][]byte, w bool) {
	v.DidRead(ptr, uint32(len(bufs))*wasip1.SizeIovec)
	u.log, u.iovs, u.w = v.log, u.iovs[:0], w
	base := uintptr(unsafe.Pointer(unsafe.SliceData(v.b)))
	for _, b := range bufs {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - base
		u.iovs = append(u.iovs, wasip1.Iovec{Buf: uint32(at), Len: uint32(len(b))})
	}
}

// Total is the sum of the lengths of the buffers in bytes, at most [MaxIovecTotal].
func (l IovecList) Total() uint64 { return l.use.total }

// Note notes in the View's [Log] that the call used the first n bytes of the buffers, in the way
// that Iovecs was told.
func (l IovecList) Note(n uint64) {
	if l.use.log != nil {
		l.use.note(n, l.use.w)
	}
}

// Wrote notes in the View's [Log] that the call wrote the first n bytes of the buffers.
func (l IovecList) Wrote(n uint64) {
	if l.use.log != nil {
		l.use.note(n, true)
	}
}

// DidRead notes in the View's [Log] that the call read the first n bytes of the buffers.
func (l IovecList) DidRead(n uint64) {
	if l.use.log != nil {
		l.use.note(n, false)
	}
}

func (u *iovecUse) note(n uint64, w bool) {
	rs := &u.log.Reads
	if w {
		rs = &u.log.Writes
	}
	for _, iov := range u.iovs {
		if n == 0 {
			return
		}
		k := min(n, uint64(iov.Len))
		note(rs, iov.Buf, uint32(k))
		n -= k
	}
}
