package virt_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/binfile"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// forger writes snapshot files that no guest ever was in.
type forger struct {
	*binfile.Writer
	b bytes.Buffer
}

// forge begins a file for m: everything before its mounts, as in a snapshot of a fresh guest.
func forge(t *testing.T, host *virt.Host, m *virt.Module) *forger {
	t.Helper()
	var file bytes.Buffer
	if _, err := snapshotOf(t, newGuest(t, host, m)).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(file.Bytes())
	in := binfile.NewReader(bufio.NewReaderSize(r, 16)) // what is read ahead is not counted: see tail
	f := &forger{}
	f.Writer = binfile.NewWriter(&f.b)
	number := func() uint64 { v := in.Uint("", math.MaxUint64); f.Uint(v); return v }
	magic := make([]byte, len("wasivirt snapshot 1\n"))
	in.Full(magic)
	_, _ = f.Write(magic)
	for range 3 {
		f.Bytes(in.Bytes("", 1<<16))
	}
	for range 3 {
		number()
	}
	for range 2 * number() {
		number()
	}
	f.Uint(0) // budgets
	for range in.Uint("", 100) {
		in.String("", 100)
		in.Int("")
	}
	number()  // memory
	f.Uint(0) // pages: the module's own
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	return f
}

// mounts begins n mounts.
func (f *forger) mounts(n int) { f.Uint(uint64(n)) }

// memory begins a mount of a file system in memory, and says whether its files count to budgets.
func (f *forger) memory(path string, counted bool) {
	f.String(path)
	f.Bool(false)
	f.Uint(0)
	f.Bool(counted)
}

// inode begins an inode of a file system.
func (f *forger) inode(ino uint64, typ wasip1.Filetype) {
	f.Uint(ino)
	f.Uint(uint64(typ))
	f.Uint(0o777)
	f.Bool(false)
	for range 3 {
		f.Int(0)
	}
}

// root is the root of a file system, with names numbered from 0 for inodes.
func (f *forger) root(inodes ...uint64) {
	f.inode(1, wasip1.FiletypeDirectory)
	f.Uint(1) // its parent
	f.Uint(uint64(len(inodes)))
	f.Uint(uint64(len(inodes)))
	for i, ino := range inodes {
		f.Uint(uint64(i + 1))
		f.Uint(ino)
		f.String(strconv.Itoa(i))
	}
}

// empty is the rest of a file that is empty.
func (f *forger) empty() {
	f.Uint(0)
	f.Uint(0)
}

// stream is a descriptor of standard input, a copy of another unless same is its own number.
func (f *forger) stream(fd, same uint64) {
	f.Uint(fd)
	f.Uint(same)
	f.Uint(uint64(wasip1.FiletypeCharacterDevice))
	f.Bool(true)
	f.Bool(false)
	f.Bool(false)
	f.Uint(0)
	f.Uint(0)
	f.Uint(0)
	f.Uint(0)
	f.Int(0)
	f.String("stdin")
	f.Bool(false)
}

// file is the file, with its checksum.
func (f *forger) file(t testing.TB) []byte {
	t.Helper()
	if _, err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(f.b.Bytes())
	return append(f.b.Bytes(), sum[:]...)
}

// A snapshot file may say that its files have any inode numbers.
func TestHugeInodeNumbersInSnapshotFiles(t *testing.T) {
	host, m := fueled(t)
	for _, ino := range []uint64{1 << 20, 1 << 42, 1<<62 - 2} {
		f := forge(t, host, m)
		f.mounts(1)
		f.memory("/", false)
		f.Uint(ino + 1)
		f.Uint(2)
		f.root(ino)
		f.inode(ino, wasip1.FiletypeRegularFile)
		f.empty()
		f.Uint(0) // descriptors
		s, err := virt.ReadSnapshot(m, bytes.NewReader(f.file(t)))
		if err != nil {
			t.Fatal(err)
		}
		root := started(t, s).Namespace().Root()
		if a, err := root.Lstat("0"); a.Ino != ino || err != nil {
			t.Errorf("inode %d: %d, %v", ino, a.Ino, err)
		}
		for _, name := range []string{"a", "b"} {
			if err := root.WriteFile(name, []byte(name), 0o666); err != nil {
				t.Errorf("inode %d: %v", ino, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a guest of a snapshot file may hold on disk does not depend on what the file says of
// budgets, nor on how many file systems it has.
func TestSnapshotFilesDoNotRaiseBudgetsOfDisk(t *testing.T) {
	host, m := fueled(t)
	disk := func(n uint64) []virt.GuestOption {
		return []virt.GuestOption{virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = n })}
	}
	// written is how much of 300 bytes guests of a file with so many file systems, each with a
	// file of 10, can write to each, or false where none can be started.
	written := func(counted []bool, read, start []virt.GuestOption) (all []int, ok bool) {
		f := forge(t, host, m)
		f.mounts(len(counted))
		for i, counted := range counted {
			f.memory("/"+strconv.Itoa(i), counted)
			f.Uint(3)
			f.Uint(2)
			f.root(2)
			f.inode(2, wasip1.FiletypeRegularFile)
			f.Uint(10)
			f.Uint(1)
			f.Uint(0)
			f.Bytes(make([]byte, 10))
		}
		f.Uint(0)
		s, err := virt.ReadSnapshot(m, bytes.NewReader(f.file(t)), read...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		g, err := s.Start(t.Context(), start...)
		if err != nil {
			return nil, false
		}
		defer g.Close(t.Context())
		for i := range counted {
			name := strconv.Itoa(i) + "/new"
			_ = g.Namespace().Root().WriteFile(name, make([]byte, 300), 0o666) // what fits
			a, _ := g.Namespace().Root().Lstat(name)
			all = append(all, int(a.Size))
		}
		return all, true
	}
	for _, c := range []struct {
		counted     []bool
		read, start []virt.GuestOption
		want        []int
	}{
		{[]bool{true}, disk(200), nil, []int{190}},
		{[]bool{false}, disk(200), nil, []int{190}},
		{[]bool{true, false, false}, disk(400), nil, []int{300, 70, 0}},
		{[]bool{false, false}, disk(400), nil, []int{300, 80}},
		{[]bool{true, false}, nil, disk(400), []int{300, 80}},
		{[]bool{true, true}, disk(5), nil, nil},
		{[]bool{false, false}, disk(5), nil, nil},
	} {
		got, ok := written(c.counted, c.read, c.start)
		if d := cmp.Diff(c.want, got); d != "" || ok != (c.want != nil) {
			t.Errorf("%v (-want +got):\n%s", c.counted, d)
		}
	}
}

// Several file systems of a file hold together what the default world may hold alone, also in the
// guests of a snapshot that is taken of such a guest.
func TestFileSystemsOfASnapshotFileShareTheDefault(t *testing.T) {
	host, m := fueled(t)
	f := forge(t, host, m)
	f.mounts(2)
	for _, path := range []string{"/a", "/b"} {
		f.memory(path, false)
		f.Uint(2)
		f.Uint(1)
		f.root()
	}
	f.Uint(0)
	s, err := virt.ReadSnapshot(m, bytes.NewReader(f.file(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		g := started(t, s)
		root := g.Namespace().Root()
		if err := root.WriteFile("a/large", make([]byte, 200<<20), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile("b/large", make([]byte, 100<<20), 0o666); !errors.Is(err, wasip1.EDQUOT) {
			t.Errorf("300 MiB in two file systems: %v", err)
		}
		for _, name := range []string{"a/large", "b/large"} {
			if err := root.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		var file bytes.Buffer
		if _, err := snapshotOf(t, g).WriteTo(&file); err != nil {
			t.Fatal(err)
		}
		again, err := virt.ReadSnapshot(m, &file)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		s = snapshotOf(t, g)
	}
}

// Reading many descriptors that are copies of each other takes no longer for each of them.
func TestManyDescriptorsInSnapshotFiles(t *testing.T) {
	host, m := fueled(t)
	const n = 100_000
	f := forge(t, host, m)
	f.mounts(0)
	f.Uint(2 * n)
	for i := range uint64(n) {
		f.stream(i, i)
	}
	for i := range uint64(n) {
		f.stream(n+i, n-1)
	}
	s, err := virt.ReadSnapshot(m, bytes.NewReader(f.file(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Start(t.Context()); !errors.Is(err, wasip1.EBADF) {
		t.Errorf("more descriptors than the limit: %v", err)
	}
	g := started(t, s, virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 2 * n }))
	if got := len(g.Files().List()); got != 2*n {
		t.Errorf("%d descriptors", got)
	}
}
