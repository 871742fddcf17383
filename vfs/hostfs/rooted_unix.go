//go:build unix

package hostfs

import (
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps the opening of a FIFO that takes a file's place from waiting.
const nonblock = syscall.O_NONBLOCK

func identify(_ *os.Root, _ string, fi fs.FileInfo) identity { return identifyFile(nil, fi) }

func identifyFile(_ *os.File, fi fs.FileInfo) identity {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{nlink: 1}
	}
	atim, ctim := statTimes(st)
	return identity{
		dev:   uint64(st.Dev),
		ino:   uint64(st.Ino),
		nlink: uint64(st.Nlink),
		atim:  atim,
		ctim:  ctim,
	}
}
