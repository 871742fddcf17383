//go:build linux && (amd64 || arm64)

package hostfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

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
	{"open and close, depth 1", "openat fstat openat close close", openClose("file")},
	{"open and close, through a link", "openat fstat close openat2 fstat openat close close", openClose("link")},
	{"open and close, depth 8", "openat2 fstat openat close close", openClose("1/2/3/4/5/6/7/file")},
	{"create and close, depth 8", "openat2 close", func(p vfs.PathOpener, _ vfs.File) error {
		n, f, err := p.OpenPath("1/2/3/4/5/6/7/new", true, wasip1.OCreat|wasip1.OExcl, vfs.OpenWrite, 0o666)
		if err == nil {
			f.Close()
			release(n)
		}
		return err
	}},
	{"create and close, depth 1", "openat close", func(p vfs.PathOpener, _ vfs.File) error {
		n, f, err := p.OpenPath("new", true, wasip1.OCreat, vfs.OpenWrite, 0o666)
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
	{"append, and where that ended", "pwritev2 lseek", func(_ vfs.PathOpener, f vfs.File) error {
		_, _, err := f.(vfs.Appender).Append([][]byte{make([]byte, 1)})
		return err
	}},
	// No stat, and at least 200 names a fetch.
	{"list 2,000 names", "openat getdents64 close", func(p vfs.PathOpener, _ vfs.File) error {
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
	{"append twice, then read behind that", "openat fstat openat close write write lseek pread64 close", func(r *vfs.Root) error {
		f, err := r.OpenFile("file", os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		for range 2 {
			if _, err := f.Write([]byte{1}); err != nil {
				return err
			}
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			return fmt.Errorf("read %d bytes, %w", n, err)
		}
		return nil
	}},
	{"append, then write at two offsets", "openat fstat openat close write openat pwritev pwritev close close", func(r *vfs.Root) error {
		f, err := r.OpenFile("file", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write([]byte{1})
		for off := range 2 {
			if err == nil {
				_, err = f.WriteAt([]byte{1}, int64(off))
			}
		}
		return err
	}},
	{"stat, depth 1", "fstatat", func(r *vfs.Root) error { _, err := r.Stat("file"); return err }},
	{"attributes of an open file, opened and closed", "openat fstat openat close fstat close", func(r *vfs.Root) error {
		f, err := r.Open("file")
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Node().Attr()
		return err
	}},
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

// TestSystemCalls runs the operations of countedOps and countedCalls in a process of its own, which
// it traces.
func TestSystemCalls(t *testing.T) {
	if dir := os.Getenv(tracedDir); dir != "" {
		runTraced(t, dir)
		return
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), strings.Repeat("x", 8192))
	writeFile(t, filepath.Join(dir, "1/2/3/4/5/6/7/file"), "")
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		writeFile(t, filepath.Join(dir, fmt.Sprint("n", i)), "")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSystemCalls$", "-test.count=1")
	cmd.Env = append(os.Environ(), tracedDir+"="+dir)
	cmd.Stdout, cmd.Stderr = out, out
	calls, err := trace(cmd)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("a process may not be traced here: %v", err)
	}
	if err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%v\n%s", err, text)
	}
	counted := func(i int, name, want string) {
		t.Helper()
		all := len(calls[i])
		// How many names a fetch returns depends on how the machine keeps them.
		got := slices.CompactFunc(calls[i], func(a, b string) bool { return a == b && a == "getdents64" })
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s:\n got %s\nwant %s", name, text, want)
		}
		if again := all - len(got); again > 8 {
			t.Errorf("%s: getdents64 was called %d times more", name, again)
		}
	}
	for i, c := range countedOps {
		counted(i+1, c.name, c.calls)
	}
	for i, c := range countedCalls {
		counted(len(countedOps)+i+1, c.name, c.calls)
	}
}

// named are the system calls that are counted: those on files and directories.
var named = map[uint64]string{
	unix.SYS_OPENAT: "openat", unix.SYS_OPENAT2: "openat2", unix.SYS_CLOSE: "close", unix.SYS_LSEEK: "lseek",
	unix.SYS_FSTAT: "fstat", unix.SYS_NEWFSTATAT: "fstatat", unix.SYS_STATX: "statx", unix.SYS_GETDENTS64: "getdents64",
	unix.SYS_PREAD64: "pread64", unix.SYS_PREADV: "preadv", unix.SYS_PREADV2: "preadv2", unix.SYS_READ: "read", unix.SYS_READV: "readv",
	unix.SYS_PWRITE64: "pwrite64", unix.SYS_PWRITEV: "pwritev", unix.SYS_PWRITEV2: "pwritev2", unix.SYS_WRITE: "write", unix.SYS_WRITEV: "writev",
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
	unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_READLINKAT: "readlinkat", unix.SYS_FACCESSAT: "faccessat",
	unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_UTIMENSAT: "utimensat", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCNTL: "fcntl",
	unix.SYS_DUP: "dup", unix.SYS_DUP3: "dup3", unix.SYS_IOCTL: "ioctl", unix.SYS_EPOLL_CTL: "epoll_ctl",
}

// marker tells trace that the thread begins the operation i; 0: that it has ended it.
func marker(i int) { unix.Seek(-1, int64(i), 0) }

// syscallInfo is struct ptrace_syscall_info of the kernel.
type syscallInfo struct {
	op     uint8
	_      [3]byte
	_      uint32
	_, _   uint64
	number uint64
	args   [6]uint64
	_      uint64
}

// trace runs cmd and returns, by operation, the system calls of the thread that makes the markers.
func trace(cmd *exec.Cmd) (map[int][]string, error) {
	runtime.LockOSThread() // the machine lets only this thread trace
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	defer cmd.Process.Release()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		return nil, err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return nil, err
	}
	calls := map[int][]string{}
	operation, thread := 0, 0
	for at := pid; ; {
		signal := 0
		switch sig := status.StopSignal(); {
		case sig == unix.SIGTRAP|0x80:
			const entry = 1
			var info syscallInfo
			if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(at), unsafe.Sizeof(info),
				uintptr(unsafe.Pointer(&info)), 0, 0); e != 0 {
				return nil, e
			}
			name := named[info.number]
			switch {
			case info.op != entry:
			case name == "lseek" && int32(info.args[0]) == -1:
				operation, thread = int(info.args[1]), at
			case at == thread && operation > 0 && name != "":
				calls[operation] = append(calls[operation], name)
			}
		case sig != unix.SIGTRAP && sig != unix.SIGSTOP:
			signal = int(sig)
		}
		if err := unix.PtraceSyscall(at, signal); err != nil && err != unix.ESRCH {
			return nil, err
		}
		for {
			var err error
			if at, err = unix.Wait4(-1, &status, unix.WALL, nil); err != nil {
				return nil, err
			}
			if status.Stopped() {
				break
			}
			if at == pid && (status.Signaled() || status.ExitStatus() != 0) {
				return nil, fmt.Errorf("the traced process ended with %d", status)
			}
			if at == pid {
				return calls, nil
			}
		}
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
	for i, c := range countedOps {
		marker(i + 1)
		err := c.run(p, f)
		marker(0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range countedCalls {
		marker(len(countedOps) + i + 1)
		err := c.run(root)
		marker(0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
