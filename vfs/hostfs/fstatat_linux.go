//go:build linux && !(amd64 || arm64 || riscv64 || loong64 || ppc64le || s390x)

package hostfs

import "golang.org/x/sys/unix"

func fstatat(dir int, name string, st *unix.Stat_t, flags int) error {
	return again(func() error { return unix.Fstatat(dir, name, st, flags) })
}
