package wasip1

import "syscall"

// The numbers of Winsock and of Win32 that package syscall gives no name to
// (winerror.h, winsock2.h).
const (
	errorInvalidData       syscall.Errno = 13
	errorNotSameDevice     syscall.Errno = 17
	errorWriteProtect      syscall.Errno = 19
	errorSharingViolation  syscall.Errno = 32
	errorLockViolation     syscall.Errno = 33
	errorHandleDiskFull    syscall.Errno = 39
	errorNotSupported      syscall.Errno = 50
	errorInvalidParameter  syscall.Errno = 87
	errorDiskFull          syscall.Errno = 112
	errorInvalidName       syscall.Errno = 123
	errorNegativeSeek      syscall.Errno = 131
	errorBusy              syscall.Errno = 170
	errorFilenameTooLong   syscall.Errno = 206
	errorPipeBusy          syscall.Errno = 231
	errorNoData            syscall.Errno = 232
	errorDirectory         syscall.Errno = 267
	errorTooManyLinks      syscall.Errno = 1142
	errorCantResolveName   syscall.Errno = 1921
	errorNotAReparsePoint  syscall.Errno = 4390
	errorTooManyOpenFiles  syscall.Errno = 4
	errorNotReady          syscall.Errno = 21
	errorInvalidHandle     syscall.Errno = 6
	errorInvalidFunction   syscall.Errno = 1
	errorCommitmentLimit   syscall.Errno = 1455
	errorNoSystemResources syscall.Errno = 1450
)

// winsock are the numbers of Winsock: 10000 and the number of the BSD socket error.
var winsock = map[syscall.Errno]Errno{
	10004: EINTR, 10009: EBADF, 10013: EACCES, 10014: EFAULT, 10022: EINVAL,
	10024: EMFILE, 10035: EAGAIN, 10036: EINPROGRESS, 10037: EALREADY,
	10038: ENOTSOCK, 10039: EDESTADDRREQ, 10040: EMSGSIZE, 10041: EPROTOTYPE,
	10042: ENOPROTOOPT, 10043: EPROTONOSUPPORT, 10044: EPROTONOSUPPORT,
	10045: ENOTSUP, 10046: EAFNOSUPPORT, 10047: EAFNOSUPPORT, 10048: EADDRINUSE,
	10049: EADDRNOTAVAIL, 10050: ENETDOWN, 10051: ENETUNREACH, 10052: ENETRESET,
	10053: ECONNABORTED, 10054: ECONNRESET, 10055: ENOBUFS, 10056: EISCONN,
	10057: ENOTCONN, 10058: EPIPE, 10060: ETIMEDOUT, 10061: ECONNREFUSED,
	10062: ELOOP, 10063: ENAMETOOLONG, 10064: EHOSTUNREACH, 10065: EHOSTUNREACH,
	10066: ENOTEMPTY, 10069: EDQUOT, 10070: ESTALE,
}

// sysErrno is an error of the operating system.
type sysErrno = syscall.Errno

// fromSyscall maps a number of Win32, of Winsock, or one that package syscall made up
// for a POSIX name that Windows lacks. (Its ENOENT and ENOTDIR are
// ERROR_FILE_NOT_FOUND and ERROR_PATH_NOT_FOUND, and both mean that nothing is there.)
func fromSyscall(e syscall.Errno) Errno {
	switch e {
	case 0:
		return ESUCCESS
	case syscall.ERROR_FILE_NOT_FOUND, syscall.ERROR_PATH_NOT_FOUND, syscall.ERROR_ENVVAR_NOT_FOUND:
		return ENOENT
	case syscall.ERROR_ACCESS_DENIED, errorSharingViolation, errorLockViolation:
		return EACCES
	case syscall.ERROR_PRIVILEGE_NOT_HELD:
		return EPERM
	case syscall.ERROR_ALREADY_EXISTS, syscall.ERROR_FILE_EXISTS:
		return EEXIST
	case syscall.ERROR_DIR_NOT_EMPTY:
		return ENOTEMPTY
	case syscall.ERROR_BROKEN_PIPE, errorNoData:
		return EPIPE
	case syscall.ERROR_OPERATION_ABORTED:
		return ECANCELED
	case syscall.ERROR_NOT_FOUND:
		return ENOENT
	case syscall.ERROR_MORE_DATA, syscall.ERROR_INSUFFICIENT_BUFFER, syscall.ERROR_BUFFER_OVERFLOW:
		return EOVERFLOW
	case errorTooManyOpenFiles:
		return EMFILE
	case errorInvalidHandle:
		return EBADF
	case errorInvalidFunction, errorNotSupported:
		return ENOTSUP
	case errorInvalidData, errorInvalidParameter, errorNegativeSeek, errorNotAReparsePoint:
		return EINVAL
	case errorInvalidName:
		return ENOENT
	case errorNotSameDevice:
		return EXDEV
	case errorWriteProtect:
		return EROFS
	case errorHandleDiskFull, errorDiskFull:
		return ENOSPC
	case errorBusy, errorPipeBusy, errorNotReady:
		return EBUSY
	case errorFilenameTooLong:
		return ENAMETOOLONG
	case errorDirectory:
		return ENOTDIR
	case errorTooManyLinks:
		return EMLINK
	case errorCantResolveName:
		return ELOOP
	case errorCommitmentLimit, errorNoSystemResources:
		return ENOMEM
	case syscall.WAIT_TIMEOUT:
		return ETIMEDOUT
	case syscall.EWOULDBLOCK:
		return EAGAIN
	case syscall.EOPNOTSUPP:
		return ENOTSUP
	case syscall.ESHUTDOWN:
		return EPIPE
	case syscall.EHOSTDOWN:
		return EHOSTUNREACH
	case syscall.EPFNOSUPPORT:
		return EAFNOSUPPORT
	case syscall.ESOCKTNOSUPPORT:
		return EPROTONOSUPPORT
	case syscall.E2BIG:
		return E2BIG
	case syscall.EACCES:
		return EACCES
	case syscall.EADDRINUSE:
		return EADDRINUSE
	case syscall.EADDRNOTAVAIL:
		return EADDRNOTAVAIL
	case syscall.EAFNOSUPPORT:
		return EAFNOSUPPORT
	case syscall.EAGAIN:
		return EAGAIN
	case syscall.EALREADY:
		return EALREADY
	case syscall.EBADF:
		return EBADF
	case syscall.EBADMSG:
		return EBADMSG
	case syscall.EBUSY:
		return EBUSY
	case syscall.ECANCELED:
		return ECANCELED
	case syscall.ECHILD:
		return ECHILD
	case syscall.ECONNABORTED:
		return ECONNABORTED
	case syscall.ECONNREFUSED:
		return ECONNREFUSED
	case syscall.ECONNRESET:
		return ECONNRESET
	case syscall.EDEADLK:
		return EDEADLK
	case syscall.EDESTADDRREQ:
		return EDESTADDRREQ
	case syscall.EDOM:
		return EDOM
	case syscall.EDQUOT:
		return EDQUOT
	case syscall.EEXIST:
		return EEXIST
	case syscall.EFAULT:
		return EFAULT
	case syscall.EFBIG:
		return EFBIG
	case syscall.EHOSTUNREACH:
		return EHOSTUNREACH
	case syscall.EIDRM:
		return EIDRM
	case syscall.EILSEQ:
		return EILSEQ
	case syscall.EINPROGRESS:
		return EINPROGRESS
	case syscall.EINTR:
		return EINTR
	case syscall.EINVAL:
		return EINVAL
	case syscall.EIO:
		return EIO
	case syscall.EISCONN:
		return EISCONN
	case syscall.EISDIR:
		return EISDIR
	case syscall.ELOOP:
		return ELOOP
	case syscall.EMFILE:
		return EMFILE
	case syscall.EMLINK:
		return EMLINK
	case syscall.EMSGSIZE:
		return EMSGSIZE
	case syscall.EMULTIHOP:
		return EMULTIHOP
	case syscall.ENAMETOOLONG:
		return ENAMETOOLONG
	case syscall.ENETDOWN:
		return ENETDOWN
	case syscall.ENETRESET:
		return ENETRESET
	case syscall.ENETUNREACH:
		return ENETUNREACH
	case syscall.ENFILE:
		return ENFILE
	case syscall.ENOBUFS:
		return ENOBUFS
	case syscall.ENODEV:
		return ENODEV
	case syscall.ENOEXEC:
		return ENOEXEC
	case syscall.ENOLCK:
		return ENOLCK
	case syscall.ENOLINK:
		return ENOLINK
	case syscall.ENOMEM:
		return ENOMEM
	case syscall.ENOMSG:
		return ENOMSG
	case syscall.ENOPROTOOPT:
		return ENOPROTOOPT
	case syscall.ENOSPC:
		return ENOSPC
	case syscall.ENOSYS:
		return ENOSYS
	case syscall.ENOTCONN:
		return ENOTCONN
	case syscall.ENOTEMPTY:
		return ENOTEMPTY
	case syscall.ENOTRECOVERABLE:
		return ENOTRECOVERABLE
	case syscall.ENOTSOCK:
		return ENOTSOCK
	case syscall.ENOTSUP:
		return ENOTSUP
	case syscall.ENOTTY:
		return ENOTTY
	case syscall.ENXIO:
		return ENXIO
	case syscall.EOVERFLOW:
		return EOVERFLOW
	case syscall.EOWNERDEAD:
		return EOWNERDEAD
	case syscall.EPERM:
		return EPERM
	case syscall.EPIPE:
		return EPIPE
	case syscall.EPROTO:
		return EPROTO
	case syscall.EPROTONOSUPPORT:
		return EPROTONOSUPPORT
	case syscall.EPROTOTYPE:
		return EPROTOTYPE
	case syscall.ERANGE:
		return ERANGE
	case syscall.EROFS:
		return EROFS
	case syscall.ESPIPE:
		return ESPIPE
	case syscall.ESRCH:
		return ESRCH
	case syscall.ESTALE:
		return ESTALE
	case syscall.ETIMEDOUT:
		return ETIMEDOUT
	case syscall.ETXTBSY:
		return ETXTBSY
	case syscall.EXDEV:
		return EXDEV
	}
	if s, ok := winsock[e]; ok {
		return s
	}
	return EIO
}
