//go:build unix && !(darwin || freebsd || netbsd)

package hostfs

import "syscall"

func statTimes(st *syscall.Stat_t) (atim, ctim int64) { return st.Atim.Nano(), st.Ctim.Nano() }
