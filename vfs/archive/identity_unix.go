//go:build unix

package archive

import (
	"io/fs"
	"syscall"
)

// identity returns what two names of one file have in common, nil for a file with one name.
func identity(info fs.FileInfo) any {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return nil
	}
	return [2]uint64{uint64(st.Dev), uint64(st.Ino)}
}
