package hostfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// countedOps are operations and the system calls each may make, in order.
var countedOps = []struct {
	name  string
	calls string
	run   func(p vfs.PathOpener, f vfs.File) error
}{
	// A file is held and looked at before it is opened: a name alone could stand for a FIFO by
	// then.
	{"open and close, depth 1", "openat2 fstat openat close close", openClose("file")},
	{"open and close, depth 8", "openat2 fstat openat close close", openClose("1/2/3/4/5/6/7/file")},
	{"create and close, depth 8", "openat2 close", func(p vfs.PathOpener, _ vfs.File) error {
		n, f, err := p.OpenPath("1/2/3/4/5/6/7/new", true, wasip1.OCreat|wasip1.OExcl, vfs.OpenWrite, 0o666)
		if err == nil {
			f.Close()
			release(n)
		}
		return err
	}},
	{"attributes, depth 1", "fstatat", attrPath("file")},
	{"attributes, depth 8", "openat2 fstat close", attrPath("1/2/3/4/5/6/7/file")},
	{"open and close a directory, depth 7", "openat2 close", func(p vfs.PathOpener, _ vfs.File) error {
		n, _, err := p.OpenPath("1/2/3/4/5/6/7", true, wasip1.ODirectory, vfs.OpenRead, 0)
		release(n)
		return err
	}},
	{"lookup of a file", "fstatat", func(p vfs.PathOpener, _ vfs.File) error {
		n, err := p.Lookup("file")
		release(n)
		return err
	}},
	{"lookup, open, close of a file", "fstatat openat fstat openat close close", func(p vfs.PathOpener, _ vfs.File) error {
		n, err := p.Lookup("file")
		if err != nil {
			return err
		}
		defer release(n)
		f, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
		if err == nil {
			err = f.Close()
		}
		return err
	}},
	{"lookup of a directory", "fstatat openat close", func(p vfs.PathOpener, _ vfs.File) error {
		n, err := p.Lookup("1")
		release(n)
		return err
	}},
	{"read 8 buffers", "preadv", func(_ vfs.PathOpener, f vfs.File) error {
		bufs := make([][]byte, 8)
		for i := range bufs {
			bufs[i] = make([]byte, 512)
		}
		_, err := f.(vfs.VectorFile).ReadVector(bufs, 0)
		return err
	}},
	{"read", "pread64", func(_ vfs.PathOpener, f vfs.File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err }},
	{"write", "pwrite64", func(_ vfs.PathOpener, f vfs.File) error { _, err := f.WriteAt(make([]byte, 1), 0); return err }},
	{"append", "pwritev2 lseek", func(_ vfs.PathOpener, f vfs.File) error {
		_, _, err := f.(vfs.Appender).Append([][]byte{make([]byte, 1)})
		return err
	}},
	// About 500 names a fetch, and no stat.
	{"list 2,000 names", "openat getdents64 getdents64 getdents64 getdents64 getdents64 getdents64 close", func(p vfs.PathOpener, _ vfs.File) error {
		entries := make([]vfs.DirEntry, 64)
		for cookie, total := uint64(0), 0; ; {
			n, err := p.ReadDir(cookie, entries)
			if err != nil {
				return err
			}
			if n == 0 {
				if total < 2000 {
					return fmt.Errorf("%d names", total)
				}
				return nil
			}
			total += n
			cookie = entries[n-1].Next
		}
	}},
}

// countedCalls are calls of a guest and the system calls that each may make.
var countedCalls = []struct {
	name  string
	calls string
	run   func(r *vfs.Root) error
}{
	{"make a directory", "mkdirat", func(r *vfs.Root) error { return r.Mkdir("dir", 0o777) }},
	{"rename it", "renameat2", func(r *vfs.Root) error { return r.Rename("dir", "dir2") }},
	{"remove a file, depth 8", "openat2 unlinkat close", func(r *vfs.Root) error { return r.Remove("1/2/3/4/5/6/7/new") }},
	{"remove a directory, after a file was looked for", "unlinkat unlinkat", func(r *vfs.Root) error { return r.Remove("dir2") }},
	{"make a directory, depth 8", "openat2 mkdirat close", func(r *vfs.Root) error { return r.Mkdir("1/2/3/4/5/6/7/dir", 0o777) }},
	{"rename it, depth 8", "openat2 openat2 renameat2 close close", func(r *vfs.Root) error {
		return r.Rename("1/2/3/4/5/6/7/dir", "1/2/3/4/5/6/7/dir2")
	}},
	{"stat, depth 1", "fstatat", func(r *vfs.Root) error { _, err := r.Stat("file"); return err }},
}

func openClose(path string) func(vfs.PathOpener, vfs.File) error {
	return func(p vfs.PathOpener, _ vfs.File) error {
		n, f, err := p.OpenPath(path, true, 0, vfs.OpenRead, 0)
		if err != nil {
			return err
		}
		defer release(n)
		return f.Close()
	}
}

func attrPath(path string) func(vfs.PathOpener, vfs.File) error {
	return func(p vfs.PathOpener, _ vfs.File) error { _, err := p.AttrPath(path, true); return err }
}

const tracedDir = "HOSTFS_TRACED_DIR"

// TestSystemCalls runs the operations of countedOps in a process of its own below strace and reads
// what it wrote.
func TestSystemCalls(t *testing.T) {
	if dir := os.Getenv(tracedDir); dir != "" {
		runTraced(t, dir)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace to count with")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), strings.Repeat("x", 8192))
	writeFile(t, filepath.Join(dir, "1/2/3/4/5/6/7/file"), "")
	for i := range 2000 {
		writeFile(t, filepath.Join(dir, fmt.Sprint("n", i)), "")
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=%desc,%file", "-e", "signal=none", "-o", log,
		os.Args[0], "-test.run=^TestSystemCalls$", "-test.count=1")
	cmd.Env = append(os.Environ(), tracedDir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("ptrace")) {
			t.Skipf("strace may not trace here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	var thread, name string
	for line := range strings.Lines(string(b)) {
		tid, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		if _, after, ok := strings.Cut(call, "marker:"); ok {
			thread = tid
			name, _, _ = strings.Cut(after, "\"")
			continue
		}
		if tid != thread || name == "" || strings.HasPrefix(call, "<...") {
			continue
		}
		fn, _, _ := strings.Cut(call, "(")
		if fn == "mmap" || fn == "munmap" { // memory for the runtime
			continue
		}
		if fn == "newfstatat" {
			if fn = "fstatat"; strings.Contains(call, `, ""`) {
				fn = "fstat"
			}
		}
		calls[name] = append(calls[name], fn)
	}
	counted := func(name, want string) {
		t.Helper()
		if got := strings.Join(calls[name], " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	for _, c := range countedOps {
		counted(c.name, c.calls)
	}
	for _, c := range countedCalls {
		counted(c.name, c.calls)
	}
}

func runTraced(t *testing.T, dir string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fsys := newFS(t, dir)
	p := pathOpener(fsys)
	n, f, err := p.OpenPath("file", true, 0, vfs.OpenRead|vfs.OpenWrite, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release(n)
	defer f.Close()
	mark := func(name string) { unix.Access("marker:"+name, 0) }
	for _, c := range countedOps {
		mark(c.name)
		err := c.run(p, f)
		mark("")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range countedCalls {
		mark(c.name)
		err := c.run(root)
		mark("")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
