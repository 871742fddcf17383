package hostfs

import (
	"io/fs"
	"os"
	"syscall"
)

const nonblock = 0

// identify opens name, because Windows tells a file's number only of what is open. A file that may
// not be opened, and a symbolic link, which would be followed, is identified by its name alone.
func identify(root *os.Root, name string, fi fs.FileInfo) identity {
	if fi.Mode().IsRegular() || fi.IsDir() {
		if f, err := root.Open(name); err == nil {
			defer f.Close()
			if now, err := f.Stat(); err == nil && os.SameFile(fi, now) {
				return identifyFile(f, fi)
			}
		}
	}
	id := identity{nlink: 1}
	for i := range len(name) {
		id.ino = mix(id.ino ^ uint64(name[i]))
	}
	addTimes(&id, fi)
	return id
}

func identifyFile(f *os.File, fi fs.FileInfo) identity {
	id := identity{nlink: 1}
	addTimes(&id, fi)
	var d syscall.ByHandleFileInformation
	if syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &d) == nil {
		id.dev = uint64(d.VolumeSerialNumber)
		id.ino = uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)
		id.nlink = uint64(d.NumberOfLinks)
	}
	return id
}

// addTimes takes the last change for that of the attributes, which Windows does not pass on.
func addTimes(id *identity, fi fs.FileInfo) {
	id.ctim = fi.ModTime().UnixNano()
	id.atim = id.ctim
	if d, ok := fi.Sys().(*syscall.Win32FileAttributeData); ok {
		id.atim = d.LastAccessTime.Nanoseconds()
	}
}
