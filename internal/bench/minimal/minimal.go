// Package minimal is a bare file system in memory for wazero's own WASI: what such a file system
// costs that does no more than it must. It has no sandbox, no links, no locks, no limits and no
// times of its own. It is what the file systems of the library are measured against.
package minimal

import (
	"io"
	"io/fs"
	"sort"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	wazerosys "github.com/tetratelabs/wazero/sys"
)

// FS is the file system. It serves one thread.
type FS struct {
	sys.UnimplementedFS
	root *node
	last wazerosys.Inode
}

// node is a file or a directory.
type node struct {
	ino  wazerosys.Inode
	data []byte
	kids map[string]*node // of a directory
}

// New returns an empty file system.
func New() *FS {
	f := &FS{}
	f.root = f.node(true)
	return f
}

// Config mounts the file system at "/".
func (f *FS) Config() wazero.FSConfig {
	return wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(f, "/")
}

// WriteFile makes a file, and the directories that lead to it.
func (f *FS) WriteFile(name string, data []byte) {
	d := f.root
	for {
		first, rest, more := strings.Cut(name, "/")
		if !more {
			break
		}
		if d.kids[first] == nil {
			d.kids[first] = f.node(true)
		}
		d, name = d.kids[first], rest
	}
	n := f.node(false)
	n.data = data
	d.kids[name] = n
}

func (f *FS) node(dir bool) *node {
	f.last++
	n := &node{ino: f.last}
	if dir {
		n.kids = map[string]*node{}
	}
	return n
}

// walk returns the directory that path is in, and the last component; "" for the root.
func (f *FS) walk(path string) (*node, string, sys.Errno) {
	d := f.root
	for {
		for len(path) > 0 && path[0] == '/' {
			path = path[1:]
		}
		i := strings.IndexByte(path, '/')
		if i < 0 {
			if path == "." {
				path = ""
			}
			return d, path, 0
		}
		next := d.kids[path[:i]]
		if next == nil {
			return nil, "", sys.ENOENT
		}
		if next.kids == nil {
			return nil, "", sys.ENOTDIR
		}
		d, path = next, path[i+1:]
	}
}

func (f *FS) find(path string) (*node, sys.Errno) {
	d, name, errno := f.walk(path)
	if errno != 0 || name == "" {
		return d, errno
	}
	if n := d.kids[name]; n != nil {
		return n, 0
	}
	return nil, sys.ENOENT
}

func (f *FS) OpenFile(path string, flag sys.Oflag, _ fs.FileMode) (sys.File, sys.Errno) {
	d, name, errno := f.walk(path)
	if errno != 0 {
		return nil, errno
	}
	n := d
	if name != "" {
		n = d.kids[name]
	}
	switch {
	case n == nil && flag&sys.O_CREAT == 0:
		return nil, sys.ENOENT
	case n == nil:
		n = f.node(false)
		d.kids[strings.Clone(name)] = n
	case flag&(sys.O_CREAT|sys.O_EXCL) == sys.O_CREAT|sys.O_EXCL:
		return nil, sys.EEXIST
	case n.kids == nil && flag&sys.O_DIRECTORY != 0:
		return nil, sys.ENOTDIR
	case n.kids != nil && flag&(sys.O_RDWR|sys.O_WRONLY) != 0:
		return nil, sys.EISDIR
	case flag&sys.O_TRUNC != 0:
		n.data = n.data[:0]
	}
	return &file{n: n, append: flag&sys.O_APPEND != 0}, 0
}

func (f *FS) Stat(path string) (wazerosys.Stat_t, sys.Errno) {
	n, errno := f.find(path)
	if errno != 0 {
		return wazerosys.Stat_t{}, errno
	}
	return n.stat(), 0
}

func (f *FS) Lstat(path string) (wazerosys.Stat_t, sys.Errno) { return f.Stat(path) }

func (n *node) stat() wazerosys.Stat_t {
	s := wazerosys.Stat_t{Ino: n.ino, Nlink: 1, Size: int64(len(n.data)), Mode: 0o644}
	if n.kids != nil {
		s.Mode = fs.ModeDir | 0o755
	}
	return s
}

func (f *FS) Mkdir(path string, _ fs.FileMode) sys.Errno {
	d, name, errno := f.walk(path)
	if errno != 0 {
		return errno
	}
	if name == "" || d.kids[name] != nil {
		return sys.EEXIST
	}
	d.kids[strings.Clone(name)] = f.node(true)
	return 0
}

func (f *FS) Rmdir(path string) sys.Errno {
	d, name, errno := f.walk(path)
	if errno != 0 {
		return errno
	}
	switch n := d.kids[name]; {
	case n == nil:
		return sys.ENOENT
	case n.kids == nil:
		return sys.ENOTDIR
	case len(n.kids) > 0:
		return sys.ENOTEMPTY
	}
	delete(d.kids, name)
	return 0
}

func (f *FS) Unlink(path string) sys.Errno {
	d, name, errno := f.walk(path)
	if errno != 0 {
		return errno
	}
	switch n := d.kids[name]; {
	case n == nil:
		return sys.ENOENT
	case n.kids != nil:
		return sys.EISDIR
	}
	delete(d.kids, name)
	return 0
}

func (f *FS) Rename(from, to string) sys.Errno {
	d, name, errno := f.walk(from)
	if errno != 0 {
		return errno
	}
	t, newName, errno := f.walk(to)
	if errno != 0 {
		return errno
	}
	n := d.kids[name]
	if n == nil {
		return sys.ENOENT
	}
	delete(d.kids, name)
	t.kids[strings.Clone(newName)] = n
	return 0
}

// file is an opening.
type file struct {
	sys.UnimplementedFile
	n      *node
	off    int64
	append bool
	names  []string // what Readdir has still to list
	listed bool
}

func (o *file) Dev() (uint64, sys.Errno)            { return 0, 0 }
func (o *file) Ino() (wazerosys.Inode, sys.Errno)   { return o.n.ino, 0 }
func (o *file) IsDir() (bool, sys.Errno)            { return o.n.kids != nil, 0 }
func (o *file) IsAppend() bool                      { return o.append }
func (o *file) SetAppend(on bool) sys.Errno         { o.append = on; return 0 }
func (o *file) Stat() (wazerosys.Stat_t, sys.Errno) { return o.n.stat(), 0 }
func (o *file) Sync() sys.Errno                     { return 0 }
func (o *file) Datasync() sys.Errno                 { return 0 }
func (o *file) Close() sys.Errno                    { return 0 }
func (o *file) Pread(p []byte, off int64) (int, sys.Errno) {
	if off >= int64(len(o.n.data)) {
		return 0, 0
	}
	return copy(p, o.n.data[off:]), 0
}

func (o *file) Read(p []byte) (int, sys.Errno) {
	n, errno := o.Pread(p, o.off)
	o.off += int64(n)
	return n, errno
}

func (o *file) Pwrite(p []byte, off int64) (int, sys.Errno) {
	end := off + int64(len(p))
	if have := int64(len(o.n.data)); end > have {
		if end > int64(cap(o.n.data)) {
			grown := make([]byte, end, max(end, 2*int64(cap(o.n.data))))
			copy(grown, o.n.data)
			o.n.data = grown
		} else {
			o.n.data = o.n.data[:end]
			if off > have {
				clear(o.n.data[have:off])
			}
		}
	}
	return copy(o.n.data[off:end], p), 0
}

func (o *file) Write(p []byte) (int, sys.Errno) {
	if o.append {
		o.off = int64(len(o.n.data))
	}
	n, errno := o.Pwrite(p, o.off)
	o.off += int64(n)
	return n, errno
}

func (o *file) Seek(offset int64, whence int) (int64, sys.Errno) {
	switch whence {
	case io.SeekCurrent:
		offset += o.off
	case io.SeekEnd:
		offset += int64(len(o.n.data))
	}
	if offset < 0 {
		return 0, sys.EINVAL
	}
	if o.n.kids != nil {
		o.listed = false
	}
	o.off = offset
	return offset, 0
}

func (o *file) Truncate(size int64) sys.Errno {
	if size < int64(len(o.n.data)) {
		o.n.data = o.n.data[:size]
		return 0
	}
	_, errno := o.Pwrite(make([]byte, size-int64(len(o.n.data))), int64(len(o.n.data)))
	return errno
}

func (o *file) Readdir(n int) (list []sys.Dirent, errno sys.Errno) {
	if !o.listed {
		o.listed, o.names = true, o.names[:0]
		for name := range o.n.kids {
			o.names = append(o.names, name)
		}
		sort.Strings(o.names)
	}
	for n != 0 && len(o.names) > 0 {
		name := o.names[0]
		o.names = o.names[1:]
		if k := o.n.kids[name]; k != nil {
			list = append(list, sys.Dirent{Name: name, Ino: k.ino, Type: k.stat().Mode.Type()})
			n--
		}
	}
	return list, 0
}
