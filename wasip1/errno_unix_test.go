//go:build unix

package wasip1_test

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/wasivirt/wasivirt/wasip1"
)

func TestNumbersOfUnixKeepTheirNames(t *testing.T) {
	for _, tt := range []struct {
		e    syscall.Errno
		want wasip1.Errno
	}{
		{0, wasip1.ESUCCESS}, {syscall.E2BIG, wasip1.E2BIG}, {syscall.EACCES, wasip1.EACCES}, {syscall.EADDRINUSE, wasip1.EADDRINUSE},
		{syscall.EAGAIN, wasip1.EAGAIN}, {syscall.EWOULDBLOCK, wasip1.EAGAIN}, {syscall.EBADF, wasip1.EBADF}, {syscall.EBUSY, wasip1.EBUSY},
		{syscall.ECONNRESET, wasip1.ECONNRESET}, {syscall.EDQUOT, wasip1.EDQUOT}, {syscall.EEXIST, wasip1.EEXIST}, {syscall.EFBIG, wasip1.EFBIG},
		{syscall.EILSEQ, wasip1.EILSEQ}, {syscall.EINTR, wasip1.EINTR}, {syscall.EISDIR, wasip1.EISDIR}, {syscall.ELOOP, wasip1.ELOOP},
		{syscall.EMFILE, wasip1.EMFILE}, {syscall.ENFILE, wasip1.ENFILE}, {syscall.EMLINK, wasip1.EMLINK}, {syscall.ENAMETOOLONG, wasip1.ENAMETOOLONG},
		{syscall.ENOENT, wasip1.ENOENT}, {syscall.ENOMEM, wasip1.ENOMEM}, {syscall.ENOSPC, wasip1.ENOSPC}, {syscall.ENOSYS, wasip1.ENOSYS},
		{syscall.ENOTDIR, wasip1.ENOTDIR}, {syscall.ENOTEMPTY, wasip1.ENOTEMPTY}, {syscall.ENOTSUP, wasip1.ENOTSUP}, {syscall.EOPNOTSUPP, wasip1.ENOTSUP},
		{syscall.ENXIO, wasip1.ENXIO}, {syscall.EPERM, wasip1.EPERM}, {syscall.EPIPE, wasip1.EPIPE}, {syscall.EROFS, wasip1.EROFS},
		{syscall.ESPIPE, wasip1.ESPIPE}, {syscall.ESTALE, wasip1.ESTALE}, {syscall.ETIMEDOUT, wasip1.ETIMEDOUT}, {syscall.ETXTBSY, wasip1.ETXTBSY},
		{syscall.EXDEV, wasip1.EXDEV}, {syscall.ESHUTDOWN, wasip1.EPIPE}, {9999, wasip1.EIO},
	} {
		e, want := tt.e, tt.want
		for _, err := range []error{e, &fs.PathError{Err: e}, os.NewSyscallError("x", e), fmt.Errorf("x: %w", &os.LinkError{Err: e})} {
			if e == 0 && err != error(e) {
				continue // NewSyscallError and friends have no success to carry
			}
			if got := wasip1.FromError(err); got != want {
				t.Errorf("%v (%T) is %v, want %v", err, err, got.Name(), want.Name())
			}
		}
	}
}
