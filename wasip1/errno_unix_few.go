//go:build unix && !(linux || darwin || solaris || freebsd || netbsd)

package wasip1

import "syscall"

// fromSyscallExtra has nothing to add on the systems with the shortest lists.
func fromSyscallExtra(syscall.Errno) Errno { return EIO }
