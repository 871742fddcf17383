package vfs

import (
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// The path_* functions of WASI preview1 in the order of the specification, with its parameters.
// What all have in common is not repeated:
//
//   - EBADF: fd is not open; ENOTDIR: it is not a directory; ENOTCAPABLE: it lacks the right that
//     is named after the function;
//   - EFAULT: a pointer does not lead to guest memory. Results are checked before anything is done;
//   - EINVAL: the path has a NUL byte in it, or a flag is set that there is not; EILSEQ: the path
//     is not UTF-8;
//   - ENOENT: the path is empty, or a component of it is missing; ENOTDIR: a component is not a
//     directory; ENAMETOOLONG: the path has more than MaxPath bytes, or a component more than
//     MaxName;
//   - EPERM: the path is absolute, or leads above the directory by ".." or a symbolic link; ELOOP:
//     more than MaxLinks links;
//   - EROFS: the mount is read-only; EBUSY: what is to be removed or renamed is a mount point or
//     leads to one.
//
// What the file system says is passed on.

// directory returns the directory that fd stands for.
func (c *Caller) directory(fd uint32, rights wasip1.Rights) (*OpenFile, wasip1.Errno) {
	f := c.Table.get(fd)
	switch {
	case f == nil:
		return nil, wasip1.EBADF
	case f.dir == nil:
		return nil, wasip1.ENOTDIR
	case !f.can(rights):
		return nil, wasip1.ENOTCAPABLE
	}
	return f, wasip1.ESUCCESS
}

// at returns the directory that fd stands for and the path below it.
func (c *Caller) at(fd uint32, rights wasip1.Rights, path, pathLen uint32) (*OpenFile, string, wasip1.Errno) {
	d, e := c.directory(fd, rights)
	if e != wasip1.ESUCCESS {
		return nil, "", e
	}
	p, e := c.View.Path(path, pathLen, &c.scratch)
	return d, p, e
}

// follows decodes lookupflags.
func follows(flags uint32) (bool, wasip1.Errno) {
	if flags&^uint32(wasip1.LookupflagsAll) != 0 {
		return false, wasip1.EINVAL
	}
	return flags&uint32(wasip1.LookupSymlinkFollow) != 0, wasip1.ESUCCESS
}

// PathCreateDirectory makes a directory. Errors: EEXIST, ENOSPC.
func PathCreateDirectory(c *Caller, fd, path, pathLen uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathCreateDirectory, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.mkdir(d, p, 0o777))
}

// PathFilestatGet stores the filestat of a file at result. If flags contain LookupSymlinkFollow, it
// follows a symbolic link in the last component.
func PathFilestatGet(c *Caller, fd, flags, path, pathLen, result uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathFilestatGet, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	follow, e := follows(flags)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(result, wasip1.SizeFilestat) {
		return wasip1.EFAULT
	}
	var a Attr
	dev, err := c.walk.attr(&a, d, p, follow)
	if err != nil {
		return errno(err)
	}
	return c.putFilestat(result, &a, dev)
}

// PathFilestatSetTimes sets the times of a file, see [FdFilestatSetTimes]. Errors: EINVAL for flags
// that select both a value and the current time.
func PathFilestatSetTimes(c *Caller, fd, flags, path, pathLen uint32, atim, mtim uint64, fstflags uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathFilestatSetTimes, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	follow, e := follows(flags)
	if e != wasip1.ESUCCESS {
		return e
	}
	set, e := c.times(atim, mtim, fstflags)
	if e != wasip1.ESUCCESS {
		return e
	}
	if set.Mask == 0 {
		_, err := c.walk.attr(new(Attr), d, p, follow)
		return errno(err)
	}
	return errno(c.walk.setAttr(d, p, follow, set))
}

// PathLink gives a file another name (a hard link). Errors: EEXIST; EPERM for a directory; EXDEV
// across mounts; ENOENT for a new path that ends with a slash; EMLINK, ENOTSUP.
func PathLink(c *Caller, oldFd, oldFlags, oldPath, oldPathLen, newFd, newPath, newPathLen uint32) wasip1.Errno {
	from, oldName, e := c.at(oldFd, wasip1.RightPathLinkSource, oldPath, oldPathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	to, newName, e := c.at(newFd, wasip1.RightPathLinkTarget, newPath, newPathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	follow, e := follows(oldFlags)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.linkTo(from, oldName, follow, &c.walkTo, to, newName))
}

// PathOpen opens a file and stores its descriptor, the lowest free one, at opened. dirflags are
// lookupflags. The open file gets the requested rights that the directory passes on and that the
// type of file can use.
//
// Errors: EEXIST with OExcl; ENOTDIR with ODirectory; ELOOP for a symbolic link that is not
// followed; EISDIR for a directory with RightFdWrite, OCreat or OTrunc; EINVAL for OCreat with
// ODirectory; ENOTCAPABLE for OCreat without RightPathCreateFile, OTrunc without
// RightPathFilestatSetSize, and for reading or writing if the directory does not pass that right
// on; EMFILE; ENOSPC.
func PathOpen(c *Caller, fd, dirflags, path, pathLen, oflags uint32, base, inheriting uint64, fdflags, opened uint32) wasip1.Errno {
	need := wasip1.RightPathOpen
	if oflags&uint32(wasip1.OCreat) != 0 {
		need |= wasip1.RightPathCreateFile
	}
	if oflags&uint32(wasip1.OTrunc) != 0 {
		need |= wasip1.RightPathFilestatSetSize
	}
	d, p, e := c.at(fd, need, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	follow, e := follows(dirflags)
	if e != wasip1.ESUCCESS {
		return e
	}
	if oflags&^uint32(wasip1.OflagsAll) != 0 || fdflags&^uint32(wasip1.FdflagsAll) != 0 {
		return wasip1.EINVAL
	}
	if !c.View.Has(opened, 4) {
		return wasip1.EFAULT
	}
	o := opening{
		follow: follow, oflags: wasip1.Oflags(oflags), fdflags: wasip1.Fdflags(fdflags), perm: 0o666,
	}
	if e := o.grant(d, wasip1.Rights(base), wasip1.Rights(inheriting)); e != wasip1.ESUCCESS {
		return e
	}
	if oflags&uint32(wasip1.OCreat|wasip1.OTrunc) != 0 && !c.Table.room() {
		return wasip1.EMFILE // before anything is done
	}
	f, err := c.walk.open(d, p, &o)
	if err != nil {
		return errno(err)
	}
	f.again = c.alone && f.file != nil
	number, err := c.Table.Insert(f)
	if err != nil {
		f.release()
		return errno(err)
	}
	return c.View.PutUint32(opened, number)
}

// grant decides which of the rights asked for can be had through d.
func (o *opening) grant(d *OpenFile, base, inheriting wasip1.Rights) wasip1.Errno {
	has, passes := d.Rights()
	if base&^passes&(wasip1.RightFdRead|wasip1.RightFdWrite) != 0 {
		return wasip1.ENOTCAPABLE
	}
	o.base, o.inheriting = base&passes, inheriting&passes
	// Go's os.Root opens directories without the right to cut files by a path and then creates and
	// cuts files through them. Who may open and write files there may cut them as well, as long as
	// the parent may.
	if o.base&wasip1.RightPathOpen != 0 && o.inheriting&wasip1.RightFdWrite != 0 {
		o.base |= has & passes & wasip1.RightPathFilestatSetSize
	}
	return wasip1.ESUCCESS
}

// PathReadlink stores the target of a symbolic link at buf, without a NUL, truncated to bufLen
// bytes. It stores the number of bytes at bufused. Errors: EINVAL for a file that is not a symbolic
// link.
func PathReadlink(c *Caller, fd, path, pathLen, buf, bufLen, bufused uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathReadlink, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	b, e := c.View.Window(buf, bufLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(bufused, 4) {
		return wasip1.EFAULT
	}
	target, err := c.walk.readlink(d, p)
	if err != nil {
		return errno(err)
	}
	n := uint32(copy(b, target))
	c.View.Wrote(buf, n)
	return c.View.PutUint32(bufused, n)
}

// PathRemoveDirectory removes an empty directory. Errors: ENOTDIR, ENOTEMPTY; EINVAL for a path
// that ends in ".".
func PathRemoveDirectory(c *Caller, fd, path, pathLen uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathRemoveDirectory, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.rmdir(d, p))
}

// PathRename renames a file or a directory. It replaces a file, or an empty directory, that has the
// new name. Errors: EXDEV across mounts; EISDIR for a file onto a directory; ENOTDIR for a
// directory onto a file; ENOTEMPTY; EINVAL for a directory into itself; EBUSY for a path that ends
// in "." or "..".
func PathRename(c *Caller, fd, oldPath, oldPathLen, newFd, newPath, newPathLen uint32) wasip1.Errno {
	from, oldName, e := c.at(fd, wasip1.RightPathRenameSource, oldPath, oldPathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	to, newName, e := c.at(newFd, wasip1.RightPathRenameTarget, newPath, newPathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.renameTo(from, oldName, &c.walkTo, to, newName))
}

// PathSymlink makes a symbolic link at newPath whose target is oldPath. Errors: EEXIST; EPERM for
// an absolute target, see [WithAbsoluteLinks]; ENOENT for an empty target and for a new path that
// ends with a slash; ENOTSUP, ENOSPC.
func PathSymlink(c *Caller, oldPath, oldPathLen, fd, newPath, newPathLen uint32) wasip1.Errno {
	d, e := c.directory(fd, wasip1.RightPathSymlink)
	if e != wasip1.ESUCCESS {
		return e
	}
	target, e := c.View.Path(oldPath, oldPathLen, &c.scratch)
	if e != wasip1.ESUCCESS {
		return e
	}
	p, e := c.View.Path(newPath, newPathLen, &c.scratch)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.symlink(strings.Clone(target), d, p))
}

// PathUnlinkFile removes a name of a file or of a symbolic link. Errors: EISDIR for a directory.
func PathUnlinkFile(c *Caller, fd, path, pathLen uint32) wasip1.Errno {
	d, p, e := c.at(fd, wasip1.RightPathUnlinkFile, path, pathLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	return errno(c.walk.unlink(d, p))
}
