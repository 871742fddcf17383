package virt

import (
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Bytes is the content at a pointer parameter.
//
// Of what a guest writes (fd_write, fd_pwrite, sock_send: "iovs", "si_data") it is at most
// 16 MiB, and the layers below write exactly these, even if another thread changes
// guest memory meanwhile. The slice belongs to the call: a change in it changes what is written.
//
// Of what the function stores (the buffers of fd_read, fd_readdir, random_get; a filestat) it is a
// copy of what is in guest memory now, as many bytes as the function said it stored.
//
// Errors: EFAULT; EINVAL for too many buffers.
func (c *Call) Bytes(name string) ([]byte, wasip1.Errno) {
	p, i := c.param(name, "content", func(k abi.Kind) bool { return !k.Value() && k != abi.KindPath && !k.Number() })
	v, ptr := c.View(), uint32(c.p[i])
	switch p.Kind {
	case abi.KindCiovs:
		return c.content(i)
	case abi.KindIovs:
		list, errno := v.Iovecs(ptr, uint32(c.p[i+1]), &c.scratch, true)
		if errno != wasip1.ESUCCESS {
			return nil, errno
		}
		n := min(uint64(c.stored(maxContent)), list.Total(), maxContent)
		list.DidRead(n)
		return gather(list.Bufs, int(n)), wasip1.ESUCCESS
	}
	n := stored(p.Kind)
	switch p.Kind {
	case abi.KindOutBuffer:
		n = min(uint32(c.p[i+1]), c.stored(uint32(c.p[i+1])))
	case abi.KindSubscriptions, abi.KindOutEvents:
		count := c.stored(0)
		if p.Kind == abi.KindSubscriptions {
			_, at := c.f.Only(abi.KindSize)
			count = uint32(c.p[at])
		}
		size := uint64(count) * wasip1.SizeSubscription
		if p.Kind == abi.KindOutEvents {
			size = uint64(count) * wasip1.SizeEvent
		}
		if size > v.Len() {
			return nil, wasip1.EFAULT
		}
		n = uint32(size)
	}
	b, errno := v.Read(ptr, n)
	return append([]byte(nil), b...), errno
}

// stored is the number of bytes or events that the function said it stored; otherwise, where it
// does not say, all.
func (c *Call) stored(all uint32) uint32 {
	p, i := c.f.Only(abi.KindOutSize)
	if p == nil {
		return all
	}
	n, errno := c.View().Uint32(uint32(c.p[i]))
	if errno != wasip1.ESUCCESS {
		return 0
	}
	return n
}

// content takes hold of what the guest writes.
func (c *Call) content(i int) ([]byte, wasip1.Errno) {
	if c.given.Data != nil {
		return c.given.Data, wasip1.ESUCCESS
	}
	list, errno := c.View().Iovecs(uint32(c.p[i]), uint32(c.p[i+1]), &c.scratch, false)
	if errno != wasip1.ESUCCESS {
		return nil, errno
	}
	n := min(list.Total(), maxContent)
	list.DidRead(n)
	c.given.Data, c.full = gather(list.Bufs, int(n)), int(n)
	return c.given.Data, wasip1.ESUCCESS
}

// gather returns a copy of the first n bytes of bufs; it is never nil.
func gather(bufs [][]byte, n int) []byte {
	all := make([]byte, 0, n)
	for _, b := range bufs {
		all = append(all, b[:min(len(b), n-len(all))]...)
	}
	return all
}

// SetBytes changes content, and returns how much of b was taken.
//
// For data that a guest writes, the layers below write b instead; guest memory stays as it is. The
// guest is told that all its bytes were written if all of b was written, otherwise at most as many
// as it gave.
//
// For output parameters, SetBytes writes b into guest memory instead of, or over, the function's
// own result, truncated to the guest's buffer, and updates nread or bufused. A struct must have its
// exact size.
//
// Errors: EFAULT; EINVAL for too many buffers and a struct of another size; ENOTSUP for
// subscriptions.
func (c *Call) SetBytes(name string, b []byte) (int, wasip1.Errno) {
	p, i := c.param(name, "content", func(k abi.Kind) bool { return !k.Value() && k != abi.KindPath && !k.Number() })
	n := 0
	switch p.Kind {
	case abi.KindCiovs:
		if _, errno := c.content(i); errno != wasip1.ESUCCESS {
			return 0, errno
		}
		c.given.Data, c.changed = append([]byte{}, b...), true
		return len(b), wasip1.ESUCCESS
	case abi.KindIovs:
		list, errno := c.View().Iovecs(uint32(c.p[i]), uint32(c.p[i+1]), &c.scratch, true)
		if errno != wasip1.ESUCCESS {
			return 0, errno
		}
		for _, to := range list.Bufs {
			n += copy(to, b[n:])
		}
		list.Wrote(uint64(n))
	case abi.KindOutBuffer:
		b = b[:min(len(b), int(uint32(c.p[i+1])))]
		if errno := store(c.View(), uint32(c.p[i]), b); errno != wasip1.ESUCCESS {
			return 0, errno
		}
		n = len(b)
	default:
		switch size := stored(p.Kind); {
		case size == 0:
			return 0, wasip1.ENOTSUP
		case int(size) != len(b):
			return 0, wasip1.EINVAL
		}
		return len(b), store(c.View(), uint32(c.p[i]), b)
	}
	if size, at := c.f.Only(abi.KindOutSize); size != nil {
		return n, c.View().PutUint32(uint32(c.p[at]), uint32(n))
	}
	return n, wasip1.ESUCCESS
}

func store(v *memory.View, ptr uint32, b []byte) wasip1.Errno {
	to, errno := v.Write(ptr, uint32(len(b)))
	copy(to, b)
	return errno
}

// limit makes the layers below transfer no more than n bytes.
func (c *Call) limit(n uint64) {
	c.given.Limit, c.given.Limited, c.changed = n, true, true
}
