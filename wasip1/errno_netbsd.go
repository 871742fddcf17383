package wasip1

import "syscall"

// fromSyscallMutex has nothing to add: NetBSD has no robust mutexes.
func fromSyscallMutex(syscall.Errno) Errno { return EIO }
