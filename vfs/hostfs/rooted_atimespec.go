//go:build darwin || freebsd || netbsd

package hostfs

import "syscall"

func statTimes(st *syscall.Stat_t) (atim, ctim int64) {
	return st.Atimespec.Nano(), st.Ctimespec.Nano()
}
