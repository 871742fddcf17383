//go:build linux || darwin || solaris || freebsd

package wasip1

import "syscall"

// fromSyscallMutex maps the numbers of robust mutexes.
func fromSyscallMutex(e syscall.Errno) Errno {
	switch e {
	case syscall.ENOTRECOVERABLE:
		return ENOTRECOVERABLE
	case syscall.EOWNERDEAD:
		return EOWNERDEAD
	}
	return EIO
}
