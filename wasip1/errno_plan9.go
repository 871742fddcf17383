package wasip1

import "syscall"

// sysErrno is an error of the operating system.
type sysErrno = syscall.ErrorString

func fromSyscall(e syscall.ErrorString) Errno { return fromSyscallIs(e) }
