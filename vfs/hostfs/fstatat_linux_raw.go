//go:build linux && (amd64 || arm64 || riscv64 || loong64 || ppc64le || s390x)

package hostfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// fstatat is unix.Fstatat without its allocation, where the kernel's stat is unix.Stat_t.
func fstatat(dir int, name string, st *unix.Stat_t, flags int) error {
	var buf [pathBuf]byte
	p, err := cstring(&buf, name)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(st)), uintptr(flags), 0, 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}
