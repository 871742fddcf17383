package overlayfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// vast is a file system of one file of any size, full of ones, that tells of each read.
type vast struct {
	vfs.ReadOnlyDirectory
	size uint64
	read func()
}

func (v *vast) Root() vfs.Node            { return v }
func (v *vast) Type() wasip1.Filetype     { return wasip1.FiletypeDirectory }
func (v *vast) SetAttr(vfs.SetAttr) error { return wasip1.EROFS }
func (v *vast) Lookup(name string) (vfs.Node, error) {
	if name != "f" {
		return nil, wasip1.ENOENT
	}
	return &vastFile{fs: v}, nil
}
func (v *vast) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 1, Type: wasip1.FiletypeDirectory, Nlink: 2}, nil
}
func (v *vast) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	if cookie > 0 || len(entries) == 0 {
		return 0, nil
	}
	entries[0] = vfs.DirEntry{Name: "f", Ino: 2, Type: wasip1.FiletypeRegularFile, Next: 1}
	return 1, nil
}

type vastFile struct {
	vfs.ReadOnlyNode
	fs *vast
}

func (f *vastFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }
func (f *vastFile) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 2, Type: wasip1.FiletypeRegularFile, Nlink: 1, Size: f.fs.size}, nil
}
func (f *vastFile) Open(vfs.OpenMode) (vfs.File, error) { return vastContent{f.fs}, nil }

type vastContent struct{ fs *vast }

func (c vastContent) ReadAt(p []byte, off int64) (int, error) {
	c.fs.read()
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}
func (vastContent) WriteAt([]byte, int64) (int, error) { return 0, wasip1.EROFS }
func (vastContent) Sync(bool) error                    { return nil }
func (vastContent) Close() error                       { return nil }

// prepare prepares the file f of a file system.
func prepare(ctx context.Context, t *testing.T, fs vfs.FS, keep int64, charge func(uint64, int64, int64) error) error {
	t.Helper()
	n, err := fs.Root().(vfs.Directory).Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	return n.(vfs.Preparer).Prepare(ctx, keep, charge)
}

func TestCopyingUpEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	upper := memfs.New()
	lower := &vast{size: 1 << 50, read: func() {
		if reads++; reads == 10 {
			cancel()
		}
	}}
	fs := overlayfs.New(lower, upper, overlayfs.WithMaxCopyUp(0))
	var charges []string
	charge := func(ino uint64, inodes, bytes int64) error {
		charges = append(charges, fmt.Sprint(inodes, " ", bytes, " after ", reads))
		return nil
	}
	if err := prepare(ctx, t, fs, vfs.KeepAll, charge); !errors.Is(err, wasip1.ECANCELED) {
		t.Errorf("Prepare = %v, want ECANCELED", err)
	}
	if reads != 10 {
		t.Errorf("%d chunks were read, 10 of them before the end", reads)
	}
	if d := cmp.Diff([]string{"1 1125899906842624 after 0", "-1 -1125899906842624 after 10"}, charges); d != "" {
		t.Error(d)
	}
	if got := tree(t, upper); len(got) != 0 {
		t.Errorf("left in the upper: %v", got)
	}
}

func TestWaitingForACopyEndsWithTheContext(t *testing.T) {
	reading, stop := make(chan struct{}), make(chan struct{})
	first := true
	lower := &vast{size: 1 << 20, read: func() {
		if first {
			first = false
			close(reading)
			<-stop
		}
	}}
	fs := overlayfs.New(lower, memfs.New())
	done := make(chan error)
	go func() { done <- prepare(context.Background(), t, fs, vfs.KeepAll, nil) }()
	<-reading
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := prepare(ctx, t, fs, vfs.KeepAll, nil); !errors.Is(err, wasip1.ECANCELED) {
		t.Errorf("Prepare = %v, want ECANCELED", err)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsRefusedIsNotBegun(t *testing.T) {
	lower := &vast{size: overlayfs.DefaultMaxCopyUp + 1, read: func() { t.Error("the lower is read") }}
	upper := memfs.New()
	fs := overlayfs.New(lower, upper)
	if err := prepare(t.Context(), t, fs, vfs.KeepAll, nil); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("more than DefaultMaxCopyUp: %v, want ENOSPC", err)
	}
	refuse := func(uint64, int64, int64) error { return wasip1.EDQUOT }
	if err := prepare(t.Context(), t, fs, 5, refuse); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("refused by the caller: %v, want EDQUOT", err)
	}
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	h, err := root.OpenFile("f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("WriteAt = %v, want ENOSPC", err)
	}
	if got := tree(t, upper); len(got) != 0 {
		t.Errorf("left in the upper: %v", got)
	}
}

func TestCopiesGiveBackWhatTheyTook(t *testing.T) {
	lower := memfs.New()
	for i := range 4 {
		if err := lower.WriteFile(fmt.Sprint(i), make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := vfs.NewRoot(overlayfs.New(lower, memfs.New(), overlayfs.WithMaxCopyUp(20)))
	if err != nil {
		t.Fatal(err)
	}
	change := func(name string, want wasip1.Errno) *vfs.OpenFile {
		t.Helper()
		f, err := root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 0); wasip1.FromError(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		return f
	}
	change("0", 0).Close()
	open := change("1", 0)
	change("2", wasip1.ENOSPC).Close()
	if err := root.Remove("1"); err != nil {
		t.Fatal(err)
	}
	change("2", wasip1.ENOSPC).Close() // "1" is still open
	open.Close()
	change("2", 0).Close()
	change("3", wasip1.ENOSPC).Close()
	// What is cut counts with what stays.
	if err := root.Remove("0"); err != nil {
		t.Fatal(err)
	}
	if err := root.Truncate("3", 4); err != nil {
		t.Fatal(err)
	}
}

func TestHolesOfTheMachinesFilesCostNothing(t *testing.T) {
	low, up := t.TempDir(), t.TempDir()
	const size = 1 << 40
	f, err := os.Create(filepath.Join(low, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Skip(err)
	}
	if _, err := f.WriteAt([]byte("data"), size/2); err != nil {
		t.Fatal(err)
	}
	lower, err := hostfs.New(low)
	if err != nil {
		t.Fatal(err)
	}
	defer lower.Close()
	upper, err := hostfs.New(up)
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	n, err := lower.Root().(vfs.Directory).Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	content, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	sparse, ok := content.(vfs.Sparse)
	if !ok {
		t.Skip("the machine's files do not tell their holes here")
	}
	start, end, err := sparse.NextData(0)
	if err != nil || start == 0 {
		t.Skip("nor does this file system: ", start, end, err)
	}
	if _, _, err := sparse.NextData(end); err != io.EOF {
		t.Errorf("NextData at the end: %v", err)
	}
	root, err := vfs.NewRoot(overlayfs.New(lower, upper, overlayfs.WithMaxCopyUp(2*size)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := root.OpenFile("f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := h.ReadAt(got, size/2-1); err != nil || string(got) != "\x00data\x00" {
		t.Errorf("read %q, %v", got, err)
	}
	if a, err := h.Attr(); err != nil || a.Size != size || a.Size > math.MaxInt64 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestDiscardGivesBackWhatCopiesTook(t *testing.T) {
	lower := memfs.New()
	if err := lower.WriteFile("f", make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	fsys := overlayfs.New(lower, memfs.New(), overlayfs.WithMaxCopyUp(10))
	for range 2 {
		if err := rootOf(t, fsys).Truncate("f", 10); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Discard(); err != nil {
			t.Fatal(err)
		}
	}
}
