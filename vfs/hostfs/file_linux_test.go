package hostfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestFileOperations(t *testing.T) {
	dir := t.TempDir()
	root := rootDir(newFS(t, dir))
	node := must[vfs.Node](t)(root.Create("f", 0o640))
	defer release(node)
	file := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite))
	v := file.(vfs.VectorFile)
	if n := must[int](t)(v.WriteVector([][]byte{[]byte("ab"), nil, []byte("cde")}, 1)); n != 5 {
		t.Error(n)
	}
	bufs := [][]byte{make([]byte, 1), make([]byte, 2), nil, make([]byte, 10)}
	if n := must[int](t)(v.ReadVector(bufs, 0)); n != 6 || string(bytes.Join(bufs, nil)[:6]) != "\x00abcde" {
		t.Errorf("%d %q", n, bufs)
	}
	if n, err := v.ReadVector(bufs, 6); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if n, err := v.ReadVector([][]byte{nil}, 6); n != 0 || err != nil {
		t.Error(n, err)
	}
	many := make([][]byte, 3000)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	if n, end, err := file.(vfs.Appender).Append(many); n != iovMax || end != 6+iovMax || err != nil {
		t.Error(n, end, err)
	}
	if n, err := v.ReadVector(many, 6); n != iovMax || err != nil {
		t.Error(n, err)
	}
	if err := file.(vfs.Allocator).Allocate(0, 5000); err != nil && !errors.Is(err, wasip1.ENOTSUP) {
		t.Error(err)
	}
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetMtim | vfs.SetMode, Size: 3, Mtim: 12345678901, Mode: 0o600}); err != nil {
		t.Error(err)
	}
	a := must[vfs.Attr](t)(node.Attr())
	if a.Size != 3 || a.Mtim != 12345678901 || a.Mode != 0o600 || a.Atim == 12345678901 || a.Nlink != 1 {
		t.Errorf("%+v", a)
	}
	for _, size := range []uint64{1 << 63, 1<<64 - 1} {
		wantErrno(t, "size", node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: size}), wasip1.EFBIG)
	}
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(-1, 1), wasip1.EINVAL)
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(1, 0), wasip1.EINVAL)
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(1<<62, 1<<62), wasip1.EFBIG)
	for advice := range wasip1.AdviceNoreuse + 1 {
		if err := file.(vfs.Advisor).Advise(0, 0, advice); err != nil {
			t.Error(advice, err)
		}
	}
	wantErrno(t, "advise", file.(vfs.Advisor).Advise(0, 0, 99), wasip1.EINVAL)
	_, err := file.ReadAt(make([]byte, 1), -1)
	wantErrno(t, "read", err, wasip1.EINVAL)
	for _, off := range []int64{1 << 40, 1<<63 - 1} {
		if n, err := file.ReadAt(make([]byte, 9), off); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
		if n, err := v.ReadVector([][]byte{make([]byte, 9)}, off); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
	}
	_, err = file.WriteAt(make([]byte, 9), 1<<63-5)
	wantErrno(t, "write", err, wasip1.EFBIG)
	_, err = v.WriteVector([][]byte{make([]byte, 9)}, 1<<63-5)
	wantErrno(t, "write", err, wasip1.EFBIG)
	for _, dataOnly := range []bool{true, false} {
		if err := file.Sync(dataOnly); err != nil {
			t.Error(err)
		}
	}
	// Without a name, and from an open file that can only read.
	if err := root.Link("g", node); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"f", "g"} {
		if err := root.Unlink(name); err != nil {
			t.Error(err)
		}
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Nlink != 0 || a.Size != 3 {
		t.Errorf("%+v", a)
	}
	wantErrno(t, "link", root.Link("h", node), wasip1.ENOENT)
	other := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead))
	if got := readAll(t, other); got != "\x00ab" {
		t.Errorf("%q", got)
	}
	file.Close()
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetAtim, Size: 1, Atim: 5}); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Size != 1 || a.Atim != 5 {
		t.Errorf("%+v", a)
	}
	other.Close()
	_, err = node.Attr()
	wantErrno(t, "gone", err, wasip1.ENOENT)
}

// A file that is opened neither for reading nor for writing needs no permission to do either.
func TestOpenForAttributes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "f"), "content")
	os.Chmod(filepath.Join(dir, "f"), 0)
	p := pathOpener(newFS(t, dir))
	node, f, err := p.OpenPath("f", true, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release(node)
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 1), 0)
	wantErrno(t, "read", err, wasip1.EBADF)
	_, err = f.WriteAt(make([]byte, 1), 0)
	wantErrno(t, "write", err, wasip1.EBADF)
	set := vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetMode, Mtim: 77, Mode: 0o644}
	if err := node.SetAttr(set); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Mtim != 77 || a.Mode != 0o644 || a.Size != 7 {
		t.Errorf("%+v", a)
	}
	if err := f.Sync(true); err != nil {
		t.Error(err)
	}
	if err := f.(vfs.Advisor).Advise(0, 0, wasip1.AdviceWillneed); err != nil {
		t.Error(err)
	}
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 3}); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Size != 3 {
		t.Errorf("%+v", a)
	}
}

func TestNodesGoAlongWithRenames(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), "a")
	writeFile(t, filepath.Join(dir, "b"), "bb")
	writeFile(t, filepath.Join(dir, "sub/x"), "xxx")
	fsys := newFS(t, dir)
	root := rootDir(fsys)
	sub := must[vfs.Node](t)(root.Lookup("sub")).(vfs.Directory)
	a := must[vfs.Node](t)(root.Lookup("a"))
	again := must[vfs.Node](t)(root.Lookup("a"))
	b := must[vfs.Node](t)(root.Lookup("b"))
	size := func(n vfs.Node) int {
		a, err := n.Attr()
		if err != nil {
			return -1
		}
		return int(a.Size)
	}
	check := func(wantA, wantB int) {
		t.Helper()
		if size(a) != wantA || size(again) != wantA || size(b) != wantB {
			t.Errorf("sizes %d %d %d, want %d %[4]d %d", size(a), size(again), size(b), wantA, wantB)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ok(root.Rename("a", sub, "a2"))
	check(1, 2)
	writeFile(t, filepath.Join(dir, "a"), "another")
	check(1, 2)
	ok(sub.Rename("a2", sub, "a3"))
	check(1, 2)
	ok(root.Link("l", a))
	ok(root.Rename("l", sub, "a3")) // two names of one file: nothing happens
	check(1, 2)
	ok(root.Rename("sub", root, "dir"))
	check(1, 2)
	ok(sub.Rename("a3", root, "b")) // replaces b
	check(1, -1)
	ok(root.Unlink("b"))
	check(-1, -1)
	ok(second(root.Create("b", 0o666)))
	check(-1, -1)
	release(a, again, b)
	if n := len(fsys.backend.(*held).dentries); n != 1 { // the one that Create returned
		t.Errorf("%d names are remembered", n)
	}
	release(sub)
}

// appending are the ways to write at the end: a file that was opened for it, one that was not, and
// that on a kernel without RWF_APPEND.
var appending = []struct {
	flag int
	old  bool
}{{flag: os.O_APPEND}, {}, {old: true}}

func TestAppendIsIndivisible(t *testing.T) {
	for _, way := range appending {
		dir := t.TempDir()
		root := must[*vfs.Root](t)(vfs.NewRoot(newFS(t, dir)))
		writeFile(t, filepath.Join(dir, "f"), "")
		var wg sync.WaitGroup
		const writers, each = 4, 200
		ends := make([][]int64, writers)
		for w := range writers {
			open := must[*vfs.OpenFile](t)(root.OpenFile("f", os.O_WRONLY|way.flag, 0))
			f := open.Node().(*fileNode).open.Load()
			if way.old {
				must[int](t)(f.other())
			}
			wg.Go(func() {
				defer open.Close()
				for i := range each {
					line := fmt.Appendf(nil, "%d %d\n", w, i)
					n, end, err := f.Append([][]byte{line[:1], line[1:]})
					if err != nil || n != len(line) {
						t.Error(n, err)
						return
					}
					ends[w] = append(ends[w], end)
				}
			})
		}
		wg.Wait()
		content, _ := os.ReadFile(filepath.Join(dir, "f"))
		lines := strings.SplitAfter(string(content), "\n")
		if len(lines) != writers*each+1 {
			t.Errorf("%d lines", len(lines))
		}
		at := map[int64]string{}
		pos := int64(0)
		for _, l := range lines {
			if pos += int64(len(l)); l != "" {
				at[pos] = l
			}
		}
		for w := range ends {
			for i, end := range ends[w] {
				if want := fmt.Sprintf("%d %d\n", w, i); at[end] != want {
					t.Fatalf("at the end %d is %q, want %q", end, at[end], want)
				}
			}
		}
	}
}

// The position behind an append is where that append ended, whatever others have appended since,
// and is good for all that uses a position.
func TestPositionBehindAnAppend(t *testing.T) {
	for _, way := range appending {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		root := must[*vfs.Root](t)(vfs.NewRoot(newFS(t, dir)))
		f := must[*vfs.OpenFile](t)(root.OpenFile("f", os.O_RDWR|os.O_CREATE|way.flag, 0o666))
		f.SetFlags(wasip1.FdAppend)
		file := f.Node().(*fileNode).open.Load()
		if way.old {
			must[int](t)(file.other())
		}
		another := must[*os.File](t)(os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0))
		append := func(mine, others string) {
			t.Helper()
			must[int](t)(f.Write([]byte(mine)))
			must[int](t)(another.WriteString(others))
		}
		at := func(want int64) {
			t.Helper()
			if pos := must[int64](t)(f.Seek(0, io.SeekCurrent)); pos != want {
				t.Errorf("the position is %d, want %d", pos, want)
			}
		}
		append("ab", "XY")
		at(2)
		append("cd", "Z")
		buf := make([]byte, 9)
		if n := must[int](t)(f.Read(buf)); string(buf[:n]) != "Z" {
			t.Errorf("behind the append is %q, want Z", buf[:n])
		}
		at(7)
		append("e", "U")
		if _, _, err := file.NextData(0); err != nil && err != wasip1.ENOTSUP {
			t.Error(err)
		}
		f.SetFlags(0)
		must[int](t)(f.Write([]byte("f"))) // not at the end
		at(9)
		f.SetFlags(wasip1.FdAppend)
		append("g", "V")
		must[int64](t)(f.Seek(1, io.SeekStart))
		at(1)
		append("h", "W")
		must[int](t)(f.WriteAt([]byte("A"), 0))
		at(12)
		if content, _ := os.ReadFile(path); string(content) != "AbXYcdZefgVhW" {
			t.Errorf("the file holds %q", content)
		}
		another.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Write([]byte("x")); wasip1.FromError(err) != wasip1.EBADF {
			t.Error("after closing:", err)
		}
	}
}

// What was opened to append is written at an offset even where the machine would not open it once
// more.
func TestWriteAtAnOffsetOfWhatMayNotBeOpened(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open everything")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	root := must[*vfs.Root](t)(vfs.NewRoot(newFS(t, dir)))
	f := must[*vfs.OpenFile](t)(root.OpenFile("f", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666))
	defer f.Close()
	must[int](t)(f.Write([]byte("ab")))
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	n, err := f.WriteAt([]byte("A"), 0)
	if errors.Is(err, wasip1.EACCES) {
		t.Skip("the kernel has no RWF_NOAPPEND")
	}
	if n != 1 || err != nil {
		t.Error(n, err)
	}
	must[int](t)(f.Write([]byte("c")))
	if content, _ := os.ReadFile(path); string(content) != "Abc" {
		t.Errorf("the file holds %q", content)
	}
}

func TestCloseWhileOthersReadMeetsNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		writeFile(t, filepath.Join(dir, fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i), 64))
	}
	root := rootDir(newFS(t, dir))
	node := must[vfs.Node](t)(root.Lookup("0"))
	noise := must[vfs.Node](t)(root.Lookup("1"))
	defer release(node, noise)
	for range 300 {
		f := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					buf := make([]byte, 64)
					n, err := f.ReadAt(buf, 0)
					if err != nil {
						wantErrno(t, "closed", err, wasip1.EBADF)
						return
					}
					if strings.Trim(string(buf[:n]), "0") != "" {
						t.Errorf("read %q", buf)
						return
					}
				}
			})
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		g := must[vfs.File](t)(noise.(vfs.RegularFile).Open(vfs.OpenRead)) // gets the same number
		wg.Wait()
		g.Close()
	}
}
