package wasip1

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
)

// FromError returns the Errno that a guest sees for err. It is ESUCCESS for nil.
//
// It looks for the following in err and in the errors that err wraps (Unwrap, *fs.PathError,
// *os.LinkError, *os.SyscallError, *net.OpError). The first that is found decides:
//
//  1. an Errno;
//  2. an error number of the operating system, by its name: EMFILE is EMFILE;
//  3. a sentinel of the standard library: fs.ErrNotExist ENOENT, fs.ErrExist EEXIST,
//     fs.ErrPermission EACCES, fs.ErrInvalid EINVAL, fs.ErrClosed and net.ErrClosed
//     EBADF, io.ErrClosedPipe EPIPE, context.Canceled ECANCELED,
//     errors.ErrUnsupported ENOTSUP, …;
//  4. an error of package net: unknown names are ENOENT, bad addresses EINVAL;
//  5. an error whose Timeout method returns true: ETIMEDOUT.
//
// Everything else is EIO, io.EOF and io.ErrUnexpectedEOF included. In preview1 the end of a file is
// no error: a read returns 0 bytes. Handle io.EOF before you call FromError.
func FromError(err error) Errno {
	// The first rounds without errors.As, which walks by reflection: nearly every
	// error on the way of a call is an Errno or a PathError around one.
	for {
		switch e := err.(type) {
		case nil:
			return ESUCCESS
		case Errno:
			return e
		case sysErrno:
			return fromSyscall(e)
		case *fs.PathError:
			if e.Err == nil {
				return EIO
			}
			if isEscape(e.Err) {
				return EPERM
			}
			err = e.Err
			continue
		case *os.LinkError:
			if e.Err == nil {
				return EIO
			}
			if isEscape(e.Err) {
				return EPERM
			}
			err = e.Err
			continue
		case *os.SyscallError:
			if e.Err == nil {
				return EIO
			}
			err = e.Err
			continue
		}
		break
	}
	if e, ok := errors.AsType[Errno](err); ok {
		return e
	}
	if e, ok := errors.AsType[sysErrno](err); ok {
		return fromSyscall(e)
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.errno
		}
	}
	if e := fromNet(err); e != ESUCCESS {
		return e
	}
	if e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && e.Timeout() {
		return ETIMEDOUT
	}
	// A PathError deeper inside than the loop above looked.
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Err != nil && isEscape(e.Err) {
		return EPERM
	}
	return EIO
}

// sentinels are the errors of the standard library that name a condition, in the
// order in which they are tried.
var sentinels = [...]struct {
	err   error
	errno Errno
}{
	{context.Canceled, ECANCELED},
	{context.DeadlineExceeded, ETIMEDOUT},
	{os.ErrDeadlineExceeded, ETIMEDOUT},
	{fs.ErrNotExist, ENOENT},
	{fs.ErrExist, EEXIST},
	{fs.ErrPermission, EACCES},
	{fs.ErrClosed, EBADF},
	{fs.ErrInvalid, EINVAL},
	{net.ErrClosed, EBADF},
	{io.ErrClosedPipe, EPIPE},
	{errors.ErrUnsupported, ENOTSUP},
	{os.ErrNoDeadline, ENOTSUP},
	{os.ErrProcessDone, ESRCH},
	{io.EOF, EIO},
	{io.ErrUnexpectedEOF, EIO},
	{io.ErrShortWrite, EIO},
	{io.ErrNoProgress, EIO},
	{io.ErrShortBuffer, EOVERFLOW},
}

// fromNet maps the errors of package net that carry no number of the operating
// system, and returns ESUCCESS for all others.
func fromNet(err error) Errno {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return ENOENT
		case e.IsTimeout:
			return ETIMEDOUT
		case e.IsTemporary:
			return EAGAIN
		}
		return EIO
	}
	if _, ok := errors.AsType[net.UnknownNetworkError](err); ok {
		return EAFNOSUPPORT
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return EINVAL
	}
	if _, ok := errors.AsType[net.InvalidAddrError](err); ok {
		return EINVAL
	}
	if _, ok := errors.AsType[*net.ParseError](err); ok {
		return EINVAL
	}
	return ESUCCESS
}

// isEscape recognises what os.Root says of a path that leads out of it. The error has
// no name in package os and no number, so that its text is all there is.
func isEscape(err error) bool {
	switch err.(type) {
	case Errno, sysErrno:
		return false
	}
	return err.Error() == "path escapes from parent"
}
