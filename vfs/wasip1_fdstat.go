package vfs

import "github.com/wasivirt/wasivirt/wasip1"

// FdFdstatGet stores the fdstat of fd at result: type, flags, rights.
func FdFdstatGet(c *Caller, fd, result uint32) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil {
		return wasip1.EBADF
	}
	b, e := c.View.Write(result, wasip1.SizeFdstat)
	if e != wasip1.ESUCCESS {
		return e
	}
	base, inheriting := f.Rights()
	s := wasip1.Fdstat{Filetype: f.kind, Flags: f.told(), RightsBase: base, RightsInheriting: inheriting}
	s.Encode(b)
	return wasip1.ESUCCESS
}

// FdFdstatSetFlags replaces all flags of fd, as F_SETFL does. FdSync and FdDsync apply to later
// writes. FdRsync has no effect, because reads see all writes. Errors: EINVAL for an unknown flag.
func FdFdstatSetFlags(c *Caller, fd, flags uint32) wasip1.Errno {
	f, e := c.any(fd, wasip1.RightFdFdstatSetFlags)
	if e != wasip1.ESUCCESS {
		return e
	}
	if flags&^uint32(wasip1.FdflagsAll) != 0 {
		return wasip1.EINVAL
	}
	f.SetFlags(wasip1.Fdflags(flags))
	return wasip1.ESUCCESS
}

// FdFdstatSetRights sets the rights of fd. It can only remove rights. Errors: ENOTCAPABLE for a
// right that fd does not have.
func FdFdstatSetRights(c *Caller, fd uint32, base, inheriting uint64) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil {
		return wasip1.EBADF
	}
	hasBase, hasInheriting := f.Rights()
	if base&^uint64(hasBase) != 0 || inheriting&^uint64(hasInheriting) != 0 {
		return wasip1.ENOTCAPABLE
	}
	f.Restrict(wasip1.Rights(base), wasip1.Rights(inheriting))
	return wasip1.ESUCCESS
}

// FdFilestatGet stores the filestat of fd at result.
func FdFilestatGet(c *Caller, fd, result uint32) wasip1.Errno {
	f, e := c.any(fd, wasip1.RightFdFilestatGet)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(result, wasip1.SizeFilestat) {
		return wasip1.EFAULT
	}
	var dev uint64
	var err error
	if f.self {
		dev, err = f.m.dev, f.lasting.PutAttr(&c.attr)
	} else {
		dev, err = f.attr(&c.attr)
	}
	if err != nil {
		return errno(err)
	}
	return c.putFilestat(result, &c.attr, dev)
}

func (c *Caller) putFilestat(result uint32, a *Attr, dev uint64) wasip1.Errno {
	b, e := c.View.Write(result, wasip1.SizeFilestat)
	if e != wasip1.ESUCCESS {
		return e
	}
	s := wasip1.Filestat{
		Dev: dev, Ino: a.Ino, Filetype: a.Type, Nlink: a.Nlink, Size: a.Size,
		Atim: uint64(a.Atim), Mtim: uint64(a.Mtim), Ctim: uint64(a.Ctim),
	}
	s.Encode(b)
	return wasip1.ESUCCESS
}

// FdFilestatSetSize truncates or extends a file. Extending adds zeros. Errors: EINVAL for a stream,
// EISDIR, EFBIG, EROFS, ENOSPC.
func FdFilestatSetSize(c *Caller, fd uint32, size uint64) wasip1.Errno {
	f, e := c.file(fd, wasip1.RightFdFilestatSetSize, wasip1.EINVAL)
	if e != wasip1.ESUCCESS {
		return e
	}
	if err := c.prepare(f, int64(min(size, KeepAll))); err != nil {
		return errno(err)
	}
	return errno(f.setSize(size))
}

// FdFilestatSetTimes sets the access time and the modification time, in nanoseconds since 1970.
// flags select which times, and whether to take the value or the current time.
//
// Errors: EINVAL for an unknown flag, and for flags that select both the value and the current
// time; EROFS; ENOTSUP for a stream that has no times.
func FdFilestatSetTimes(c *Caller, fd uint32, atim, mtim uint64, flags uint32) wasip1.Errno {
	f, e := c.any(fd, wasip1.RightFdFilestatSetTimes)
	if e != wasip1.ESUCCESS {
		return e
	}
	set, e := c.times(atim, mtim, flags)
	switch {
	case e != wasip1.ESUCCESS:
		return e
	case f.node == nil:
		return wasip1.ENOTSUP
	case set.Mask == 0:
		return wasip1.ESUCCESS
	case f.m.readOnly:
		return wasip1.EROFS
	}
	return errno(f.node.SetAttr(set))
}

// times decodes the parameters of the *_set_times functions.
func (c *Caller) times(atim, mtim uint64, flags uint32) (SetAttr, wasip1.Errno) {
	const (
		atims = uint32(wasip1.FstAtim | wasip1.FstAtimNow)
		mtims = uint32(wasip1.FstMtim | wasip1.FstMtimNow)
		nows  = uint32(wasip1.FstAtimNow | wasip1.FstMtimNow)
	)
	if flags&^uint32(wasip1.FstflagsAll) != 0 || flags&atims == atims || flags&mtims == mtims {
		return SetAttr{}, wasip1.EINVAL
	}
	set := SetAttr{Atim: int64(atim), Mtim: int64(mtim)}
	if flags&nows != 0 {
		if c.Clock == nil {
			return SetAttr{}, wasip1.ENOTSUP
		}
		now := c.Clock.Realtime()
		if flags&uint32(wasip1.FstAtimNow) != 0 {
			set.Atim = now
		}
		if flags&uint32(wasip1.FstMtimNow) != 0 {
			set.Mtim = now
		}
	}
	if flags&atims != 0 {
		set.Mask |= SetAtim
	}
	if flags&mtims != 0 {
		set.Mask |= SetMtim
	}
	return set, wasip1.ESUCCESS
}
