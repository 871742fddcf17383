package wazerofs

import (
	"errors"
	"io"
	"os"

	"github.com/tetratelabs/wazero/experimental/sys"

	"github.com/wasivirt/wasivirt/wasip1"
)

// errnos are the error numbers of wazero by those of preview1. What is missing is EIO.
var errnos = map[wasip1.Errno]sys.Errno{
	wasip1.ESUCCESS: 0,
	wasip1.EACCES:   sys.EACCES, wasip1.EAGAIN: sys.EAGAIN, wasip1.EBADF: sys.EBADF, wasip1.EEXIST: sys.EEXIST,
	wasip1.EFAULT: sys.EFAULT, wasip1.EINTR: sys.EINTR, wasip1.EINVAL: sys.EINVAL, wasip1.EISDIR: sys.EISDIR,
	wasip1.ELOOP: sys.ELOOP, wasip1.ENAMETOOLONG: sys.ENAMETOOLONG, wasip1.ENOENT: sys.ENOENT, wasip1.ENOSYS: sys.ENOSYS,
	wasip1.ENOTDIR: sys.ENOTDIR, wasip1.ERANGE: sys.ERANGE, wasip1.ENOTEMPTY: sys.ENOTEMPTY, wasip1.ENOTSOCK: sys.ENOTSOCK,
	wasip1.ENOTSUP: sys.ENOTSUP, wasip1.EPERM: sys.EPERM, wasip1.EROFS: sys.EROFS,

	wasip1.ENOTCAPABLE: sys.EPERM, wasip1.EBUSY: sys.EPERM, wasip1.EMLINK: sys.EPERM, wasip1.ETXTBSY: sys.EPERM,
	wasip1.EXDEV: sys.ENOSYS,
	wasip1.EFBIG: sys.EINVAL, wasip1.EILSEQ: sys.EINVAL, wasip1.EOVERFLOW: sys.EINVAL, wasip1.ESPIPE: sys.EINVAL,
	wasip1.ENXIO: sys.ENOENT, wasip1.ENODEV: sys.ENOENT,
}

// errno returns an error as wazero has it. The end of a file is none.
func errno(err error) sys.Errno {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		return sys.EAGAIN
	}
	if e, ok := errnos[wasip1.FromError(err)]; ok {
		return e
	}
	return sys.EIO
}
