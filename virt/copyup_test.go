package virt_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// largeFiles is a file system of files of one size, full of ones. read is called before each read.
type largeFiles struct {
	vfs.ReadOnlyDirectory
	size uint64
	read func()
}

func (v *largeFiles) Root() vfs.Node            { return v }
func (v *largeFiles) Type() wasip1.Filetype     { return wasip1.FiletypeDirectory }
func (v *largeFiles) SetAttr(vfs.SetAttr) error { return wasip1.EROFS }
func (v *largeFiles) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 1, Type: wasip1.FiletypeDirectory, Nlink: 2}, nil
}
func (v *largeFiles) ReadDir(uint64, []vfs.DirEntry) (int, error) { return 0, nil }
func (v *largeFiles) Lookup(name string) (vfs.Node, error) {
	return &largeFile{fs: v, ino: 2 + uint64(name[0])}, nil
}

type largeFile struct {
	vfs.ReadOnlyNode
	fs  *largeFiles
	ino uint64
}

func (f *largeFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }
func (f *largeFile) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: f.ino, Type: wasip1.FiletypeRegularFile, Nlink: 1, Size: f.fs.size}, nil
}
func (f *largeFile) Open(vfs.OpenMode) (vfs.File, error) { return f, nil }
func (f *largeFile) WriteAt([]byte, int64) (int, error)  { return 0, wasip1.EROFS }
func (f *largeFile) Sync(bool) error                     { return nil }
func (f *largeFile) Close() error                        { return nil }
func (f *largeFile) ReadAt(p []byte, _ int64) (int, error) {
	f.fs.read()
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

// changer is a guest that changes the first byte of a file of its mount.
func changer(t *testing.T, files vfs.FS, opts ...virt.GuestOption) func(ctx context.Context, name string) (wasip1.Errno, error) {
	t.Helper()
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithMount("/", files)).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(ctx) })
	m, err := host.Compile(ctx, passing())
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(ctx, m, opts...)
	if err != nil {
		t.Fatal(err)
	}
	mem := g.Instance().Memory()
	mem.Write(iovAddr, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, bufAddr), 1))
	return func(ctx context.Context, name string) (wasip1.Errno, error) {
		mem.Write(fileAddr, []byte(name))
		r, err := g.Call(ctx, "path_open", 3, 0, fileAddr, uint64(len(name)), 0, uint64(wasip1.RightFdWrite), 0, 0, resAddr)
		if err != nil || r[0] != 0 {
			t.Fatal(name, r, err)
		}
		fd, _ := mem.ReadUint32Le(resAddr)
		if r, err = g.Call(ctx, "fd_write", uint64(fd), iovAddr, 1, resAddr); err != nil {
			return 0, err
		}
		return wasip1.Errno(r[0]), nil
	}
}

func TestCopiesOfTheLowersFilesCountAgainstTheDiskLimit(t *testing.T) {
	upper, copied := memfs.New(), 0
	files := overlayfs.New(&largeFiles{size: 1 << 20, read: func() { copied++ }}, upper, overlayfs.WithMaxCopyUp(0))
	write := changer(t, files, virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 3 << 20 }))
	var got []wasip1.Errno
	for i := range 6 {
		before := copied
		e, err := write(context.Background(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); e != 0 && copied != before {
			t.Errorf("file %d was read before it was refused", i)
		}
	}
	if want := []wasip1.Errno{0, 0, 0, wasip1.EDQUOT, wasip1.EDQUOT, wasip1.EDQUOT}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("fd_write answered %v, want %v", got, want)
	}
}

func TestCopyingAFileUpEndsWithTheGuest(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reads := 0
	files := overlayfs.New(&largeFiles{size: 1 << 50, read: func() {
		if reads++; reads == 10 {
			cancel()
		}
	}}, memfs.New(), overlayfs.WithMaxCopyUp(0))
	if _, err := changer(t, files)(ctx, "f"); err == nil {
		t.Error("the call goes on after its context has ended")
	}
	if reads > 1000 {
		t.Errorf("%d chunks were read", reads)
	}
}
