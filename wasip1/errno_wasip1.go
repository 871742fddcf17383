package wasip1

import "syscall"

// sysErrno is an error of the operating system.
type sysErrno = syscall.Errno

// fromSyscall changes nothing: the operating system is WASI.
func fromSyscall(e syscall.Errno) Errno { return Errno(e) }
