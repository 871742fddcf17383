package wasip1

import "syscall"

// sysErrno is an error of the operating system.
type sysErrno = syscall.Errno

func fromSyscall(e syscall.Errno) Errno { return fromSyscallIs(e) }
