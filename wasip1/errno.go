package wasip1

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// Errno is the result of a WASI function: ESUCCESS, or why it failed.
//
// It is an error and matches the sentinels of the standard library: see [Errno.Is]. Do not return
// ESUCCESS as an error; [Errno.Err] returns nil for it.
type Errno uint16

// preview1: errno. The text beside each is what Error says after the name.
const (
	ESUCCESS        Errno = iota // success
	E2BIG                        // argument list too long
	EACCES                       // permission denied
	EADDRINUSE                   // address already in use
	EADDRNOTAVAIL                // address not available
	EAFNOSUPPORT                 // address family not supported
	EAGAIN                       // resource temporarily unavailable
	EALREADY                     // connection already in progress
	EBADF                        // bad file descriptor
	EBADMSG                      // bad message
	EBUSY                        // device or resource busy
	ECANCELED                    // operation canceled
	ECHILD                       // no child processes
	ECONNABORTED                 // connection aborted
	ECONNREFUSED                 // connection refused
	ECONNRESET                   // connection reset
	EDEADLK                      // resource deadlock would occur
	EDESTADDRREQ                 // destination address required
	EDOM                         // argument out of domain of function
	EDQUOT                       // quota exceeded
	EEXIST                       // file exists
	EFAULT                       // bad address
	EFBIG                        // file too large
	EHOSTUNREACH                 // host is unreachable
	EIDRM                        // identifier removed
	EILSEQ                       // illegal byte sequence
	EINPROGRESS                  // operation in progress
	EINTR                        // interrupted function
	EINVAL                       // invalid argument
	EIO                          // input/output error
	EISCONN                      // socket is connected
	EISDIR                       // is a directory
	ELOOP                        // too many levels of symbolic links
	EMFILE                       // too many open files
	EMLINK                       // too many links
	EMSGSIZE                     // message too large
	EMULTIHOP                    // multihop attempted
	ENAMETOOLONG                 // file name too long
	ENETDOWN                     // network is down
	ENETRESET                    // connection aborted by network
	ENETUNREACH                  // network unreachable
	ENFILE                       // too many open files in system
	ENOBUFS                      // no buffer space available
	ENODEV                       // no such device
	ENOENT                       // no such file or directory
	ENOEXEC                      // executable file format error
	ENOLCK                       // no locks available
	ENOLINK                      // link has been severed
	ENOMEM                       // not enough space
	ENOMSG                       // no message of the desired type
	ENOPROTOOPT                  // protocol not available
	ENOSPC                       // no space left on device
	ENOSYS                       // function not supported
	ENOTCONN                     // socket is not connected
	ENOTDIR                      // not a directory
	ENOTEMPTY                    // directory not empty
	ENOTRECOVERABLE              // state not recoverable
	ENOTSOCK                     // not a socket
	ENOTSUP                      // operation not supported
	ENOTTY                       // inappropriate I/O control operation
	ENXIO                        // no such device or address
	EOVERFLOW                    // value too large to be stored in data type
	EOWNERDEAD                   // previous owner died
	EPERM                        // operation not permitted
	EPIPE                        // broken pipe
	EPROTO                       // protocol error
	EPROTONOSUPPORT              // protocol not supported
	EPROTOTYPE                   // protocol wrong type for socket
	ERANGE                       // result too large
	EROFS                        // read-only file system
	ESPIPE                       // illegal seek
	ESRCH                        // no such process
	ESTALE                       // stale file handle
	ETIMEDOUT                    // connection timed out
	ETXTBSY                      // text file busy
	EXDEV                        // cross-device link
	ENOTCAPABLE                  // capabilities insufficient
)

// errnos has the name and the text of each Errno at its own index.
var errnos = [...]struct{ name, text string }{
	ESUCCESS:        {"ESUCCESS", "success"},
	E2BIG:           {"E2BIG", "argument list too long"},
	EACCES:          {"EACCES", "permission denied"},
	EADDRINUSE:      {"EADDRINUSE", "address already in use"},
	EADDRNOTAVAIL:   {"EADDRNOTAVAIL", "address not available"},
	EAFNOSUPPORT:    {"EAFNOSUPPORT", "address family not supported"},
	EAGAIN:          {"EAGAIN", "resource temporarily unavailable"},
	EALREADY:        {"EALREADY", "connection already in progress"},
	EBADF:           {"EBADF", "bad file descriptor"},
	EBADMSG:         {"EBADMSG", "bad message"},
	EBUSY:           {"EBUSY", "device or resource busy"},
	ECANCELED:       {"ECANCELED", "operation canceled"},
	ECHILD:          {"ECHILD", "no child processes"},
	ECONNABORTED:    {"ECONNABORTED", "connection aborted"},
	ECONNREFUSED:    {"ECONNREFUSED", "connection refused"},
	ECONNRESET:      {"ECONNRESET", "connection reset"},
	EDEADLK:         {"EDEADLK", "resource deadlock would occur"},
	EDESTADDRREQ:    {"EDESTADDRREQ", "destination address required"},
	EDOM:            {"EDOM", "argument out of domain of function"},
	EDQUOT:          {"EDQUOT", "quota exceeded"},
	EEXIST:          {"EEXIST", "file exists"},
	EFAULT:          {"EFAULT", "bad address"},
	EFBIG:           {"EFBIG", "file too large"},
	EHOSTUNREACH:    {"EHOSTUNREACH", "host is unreachable"},
	EIDRM:           {"EIDRM", "identifier removed"},
	EILSEQ:          {"EILSEQ", "illegal byte sequence"},
	EINPROGRESS:     {"EINPROGRESS", "operation in progress"},
	EINTR:           {"EINTR", "interrupted function"},
	EINVAL:          {"EINVAL", "invalid argument"},
	EIO:             {"EIO", "input/output error"},
	EISCONN:         {"EISCONN", "socket is connected"},
	EISDIR:          {"EISDIR", "is a directory"},
	ELOOP:           {"ELOOP", "too many levels of symbolic links"},
	EMFILE:          {"EMFILE", "too many open files"},
	EMLINK:          {"EMLINK", "too many links"},
	EMSGSIZE:        {"EMSGSIZE", "message too large"},
	EMULTIHOP:       {"EMULTIHOP", "multihop attempted"},
	ENAMETOOLONG:    {"ENAMETOOLONG", "file name too long"},
	ENETDOWN:        {"ENETDOWN", "network is down"},
	ENETRESET:       {"ENETRESET", "connection aborted by network"},
	ENETUNREACH:     {"ENETUNREACH", "network unreachable"},
	ENFILE:          {"ENFILE", "too many open files in system"},
	ENOBUFS:         {"ENOBUFS", "no buffer space available"},
	ENODEV:          {"ENODEV", "no such device"},
	ENOENT:          {"ENOENT", "no such file or directory"},
	ENOEXEC:         {"ENOEXEC", "executable file format error"},
	ENOLCK:          {"ENOLCK", "no locks available"},
	ENOLINK:         {"ENOLINK", "link has been severed"},
	ENOMEM:          {"ENOMEM", "not enough space"},
	ENOMSG:          {"ENOMSG", "no message of the desired type"},
	ENOPROTOOPT:     {"ENOPROTOOPT", "protocol not available"},
	ENOSPC:          {"ENOSPC", "no space left on device"},
	ENOSYS:          {"ENOSYS", "function not supported"},
	ENOTCONN:        {"ENOTCONN", "socket is not connected"},
	ENOTDIR:         {"ENOTDIR", "not a directory"},
	ENOTEMPTY:       {"ENOTEMPTY", "directory not empty"},
	ENOTRECOVERABLE: {"ENOTRECOVERABLE", "state not recoverable"},
	ENOTSOCK:        {"ENOTSOCK", "not a socket"},
	ENOTSUP:         {"ENOTSUP", "operation not supported"},
	ENOTTY:          {"ENOTTY", "inappropriate I/O control operation"},
	ENXIO:           {"ENXIO", "no such device or address"},
	EOVERFLOW:       {"EOVERFLOW", "value too large to be stored in data type"},
	EOWNERDEAD:      {"EOWNERDEAD", "previous owner died"},
	EPERM:           {"EPERM", "operation not permitted"},
	EPIPE:           {"EPIPE", "broken pipe"},
	EPROTO:          {"EPROTO", "protocol error"},
	EPROTONOSUPPORT: {"EPROTONOSUPPORT", "protocol not supported"},
	EPROTOTYPE:      {"EPROTOTYPE", "protocol wrong type for socket"},
	ERANGE:          {"ERANGE", "result too large"},
	EROFS:           {"EROFS", "read-only file system"},
	ESPIPE:          {"ESPIPE", "illegal seek"},
	ESRCH:           {"ESRCH", "no such process"},
	ESTALE:          {"ESTALE", "stale file handle"},
	ETIMEDOUT:       {"ETIMEDOUT", "connection timed out"},
	ETXTBSY:         {"ETXTBSY", "text file busy"},
	EXDEV:           {"EXDEV", "cross-device link"},
	ENOTCAPABLE:     {"ENOTCAPABLE", "capabilities insufficient"},
}

// Name returns the name in the specification's spelling with a leading E, such as
// "ENOENT", or "Errno(99)" for a number that preview1 does not define.
func (e Errno) Name() string {
	if e.Valid() {
		return errnos[e].name
	}
	return "Errno(" + strconv.Itoa(int(e)) + ")"
}

// String returns the Name.
func (e Errno) String() string { return e.Name() }

// Valid reports whether preview1 defines e.
func (e Errno) Valid() bool { return int(e) < len(errnos) }

// Error returns name and meaning, as in "ENOENT: no such file or directory".
func (e Errno) Error() string {
	if e.Valid() {
		return errnos[e].name + ": " + errnos[e].text
	}
	return e.Name() + ": unknown error"
}

// Err returns e as an error, and nil for ESUCCESS. Use it where a function that returns an error
// calls one that returns an Errno.
func (e Errno) Err() error {
	if e == ESUCCESS {
		return nil
	}
	return e
}

// Is makes errors.Is match e with the sentinels of the standard library:
//
//	fs.ErrNotExist            ENOENT
//	fs.ErrExist               EEXIST, ENOTEMPTY (as syscall.Errno does)
//	fs.ErrPermission          EACCES, EPERM, ENOTCAPABLE
//	fs.ErrClosed              EBADF
//	fs.ErrInvalid             EINVAL
//	errors.ErrUnsupported     ENOSYS, ENOTSUP
//	os.ErrDeadlineExceeded    ETIMEDOUT
//	context.DeadlineExceeded  ETIMEDOUT
//	context.Canceled          ECANCELED
func (e Errno) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e == ENOENT
	case fs.ErrExist:
		return e == EEXIST || e == ENOTEMPTY
	case fs.ErrPermission:
		return e == EACCES || e == EPERM || e == ENOTCAPABLE
	case fs.ErrClosed:
		return e == EBADF
	case fs.ErrInvalid:
		return e == EINVAL
	case errors.ErrUnsupported:
		return e == ENOSYS || e == ENOTSUP
	case os.ErrDeadlineExceeded, context.DeadlineExceeded:
		return e == ETIMEDOUT
	case context.Canceled:
		return e == ECANCELED
	}
	return false
}

// Timeout reports whether e is ETIMEDOUT. With Temporary it makes an Errno a net.Error.
func (e Errno) Timeout() bool { return e == EAGAIN || e == ETIMEDOUT }

// Temporary reports whether the same call may succeed if it is repeated later.
func (e Errno) Temporary() bool {
	return e == EINTR || e == EMFILE || e == ENFILE || e.Timeout()
}
