package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/internal/guestloop"
)

// native is Go code that does what a row does, without a guest.
type native struct {
	name string
	fs   func(b *testing.B, row *guestloop.Row) afero.Fs
}

var natives = []native{
	{"native-os", func(b *testing.B, row *guestloop.Row) afero.Fs {
		return osFs{afero.NewOsFs(), directory(b, row.Files())}
	}},
	{"native-afero", func(b *testing.B, row *guestloop.Row) afero.Fs { return aferos(b, row.Files()) }},
}

// operation returns what prepares the row's operation, or nil where there is no such.
func (n *native) operation(row *guestloop.Row) func(b *testing.B) func(i int) {
	if n.name == "native-os" {
		switch row.Name {
		case "sched_yield":
			return plain(func() { runtime.Gosched() })
		case "clock_time_get":
			return plain(func() { sink = time.Now() })
		case "random_get/32":
			return filling(32)
		case "random_get/65536":
			return filling(65536)
		}
	}
	switch row.Name {
	case "fd_pread/1":
		return n.reading(row, 1)
	case "fd_pread/4096":
		return n.reading(row, 4096)
	case "fd_pread/65536":
		return n.reading(row, 65536)
	case "fd_pwrite/1":
		return n.on(row, "file", os.O_RDWR, func(b *testing.B, f afero.File) func(int) {
			p := make([]byte, 1)
			return func(int) { must(b)(f.WriteAt(p, 0)) }
		})
	case "fd_write/append/1":
		return n.appending(row, 1)
	case "fd_write/append/4096":
		return n.appending(row, 4096)
	case "fd_read/1":
		return n.on(row, "big", os.O_RDONLY, func(b *testing.B, f afero.File) func(int) {
			p := make([]byte, 1)
			return func(int) { f.Read(p) } // the end is no error for a guest
		})
	case "path_open+fd_close/1":
		return n.opening(row, "file")
	case "path_open+fd_close/8":
		return n.opening(row, guestloop.Deep)
	case "path_filestat_get/1":
		return n.stating(row, "file")
	case "path_filestat_get/8":
		return n.stating(row, guestloop.Deep)
	case "create+close+unlink":
		return n.with(row, func(b *testing.B, fs afero.Fs) func(int) {
			return func(int) {
				f, err := fs.OpenFile("new", os.O_RDWR|os.O_CREATE, 0o644)
				check(b, err)
				check(b, f.Close())
				check(b, fs.Remove("new"))
			}
		})
	case "rename":
		return n.with(row, func(b *testing.B, fs afero.Fs) func(int) {
			names := [2]string{"one", "two"}
			i := 0
			return func(int) {
				check(b, fs.Rename(names[i&1], names[i&1^1]))
				i++
			}
		})
	}
	return nil
}

var sink time.Time

func plain(f func()) func(*testing.B) func(int) {
	return func(*testing.B) func(int) { return func(int) { f() } }
}

func filling(n int) func(*testing.B) func(int) {
	p := make([]byte, n)
	return plain(func() { rand.Read(p) })
}

// must fails the benchmark for an error of an operation that also counts.
func must(b *testing.B) func(int, error) {
	return func(_ int, err error) { check(b, err) }
}

func (n *native) with(row *guestloop.Row, f func(b *testing.B, fs afero.Fs) func(int)) func(*testing.B) func(int) {
	return func(b *testing.B) func(int) { return f(b, n.fs(b, row)) }
}

func (n *native) on(row *guestloop.Row, name string, flag int, f func(*testing.B, afero.File) func(int)) func(*testing.B) func(int) {
	return n.with(row, func(b *testing.B, fs afero.Fs) func(int) {
		file, err := fs.OpenFile(name, flag, 0o644)
		check(b, err)
		b.Cleanup(func() { file.Close() })
		return f(b, file)
	})
}

func (n *native) reading(row *guestloop.Row, size int) func(*testing.B) func(int) {
	return n.on(row, "file", os.O_RDONLY, func(b *testing.B, f afero.File) func(int) {
		p := make([]byte, size)
		return func(int) { must(b)(f.ReadAt(p, 0)) }
	})
}

func (n *native) appending(row *guestloop.Row, size int) func(*testing.B) func(int) {
	return n.on(row, "log", os.O_RDWR|os.O_CREATE|os.O_APPEND, func(b *testing.B, f afero.File) func(int) {
		p, written := make([]byte, size), 0
		return func(int) {
			if written++; written%101 == 0 {
				check(b, f.Truncate(0))
				_, err := f.Seek(0, 0) // afero appends at where it stands
				check(b, err)
			}
			must(b)(f.Write(p))
		}
	})
}

func (n *native) opening(row *guestloop.Row, name string) func(*testing.B) func(int) {
	return n.with(row, func(b *testing.B, fs afero.Fs) func(int) {
		return func(int) {
			f, err := fs.OpenFile(name, os.O_RDWR, 0)
			check(b, err)
			check(b, f.Close())
		}
	})
}

func (n *native) stating(row *guestloop.Row, name string) func(*testing.B) func(int) {
	return n.with(row, func(b *testing.B, fs afero.Fs) func(int) {
		return func(int) {
			_, err := fs.Stat(name)
			check(b, err)
		}
	})
}

// osFs is a directory of the machine, with nothing between it and package os but the joining of two
// names.
type osFs struct {
	afero.Fs
	root string
}

func (o osFs) path(name string) string { return filepath.Join(o.root, name) }

func (o osFs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	return os.OpenFile(o.path(name), flag, perm)
}

func (o osFs) Remove(name string) error { return os.Remove(o.path(name)) }

func (o osFs) Rename(from, to string) error { return os.Rename(o.path(from), o.path(to)) }

func (o osFs) Stat(name string) (os.FileInfo, error) { return os.Stat(o.path(name)) }
