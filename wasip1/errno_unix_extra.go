//go:build linux || darwin || solaris || freebsd || netbsd

package wasip1

import "syscall"

// fromSyscallExtra maps the numbers that not every unix has.
func fromSyscallExtra(e syscall.Errno) Errno {
	switch e {
	case syscall.EBADMSG:
		return EBADMSG
	case syscall.EMULTIHOP:
		return EMULTIHOP
	case syscall.ENOLINK:
		return ENOLINK
	case syscall.EPROTO:
		return EPROTO
	}
	return fromSyscallMutex(e)
}
