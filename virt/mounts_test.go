package virt_test

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed testdata/bare/do.wasm
var doGuest []byte

func fromMap(t *testing.T, files map[string]string) *memfs.FS {
	t.Helper()
	f, err := memfs.FromMap(files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// errno is how the guest prints one.
func errno(e wasip1.Errno) string { return fmt.Sprintf("errno %d\n", e) }

// TestWorldOfManyMounts: one guest sees file systems of all kinds as one tree.
func TestWorldOfManyMounts(t *testing.T) {
	host := newHost(t)
	do := compiled(t, host, doGuest)
	dir := t.TempDir()
	writeHost(t, filepath.Join(dir, "lib/a"), "host")
	writeHost(t, filepath.Join(dir, "note"), "note")
	real := hostDir(t, dir)
	over := overlayfs.New(hostDir(t, dir), memfs.New())
	note, err := hostfs.File(filepath.Join(dir, "note"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { note.Close() })
	world := []virt.GuestOption{
		virt.WithMount("/src", fromMap(t, map[string]string{"main": "main", "pkg/x": "x", "pkg/y": "y"})),
		virt.WithMount("/src/pkg/vendor", iofs.New(os.DirFS(dir))),
		virt.WithMount("/src/pkg/x", note),
		virt.WithMount("/src/pkg/made/up", memfs.New()),
		virt.WithMount("/real", real),
		virt.WithMount("/over", over),
		virt.WithMount("/frozen", fromMap(t, map[string]string{"f": "f"}), vfs.WithReadOnly()),
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"mount points are in their parents, in the order of mounting", []string{"ls", "/"}, lines("src", "real", "over", "frozen")},
		{"also where a real directory stands, after its own names", []string{"ls", "/src/pkg"}, lines("y", "vendor", "x", "made")},
		{"and where none does", []string{"ls", "/src/pkg/made"}, lines("up")},
		{"nothing real can be made there", []string{"write", "/x", "x", "mkdir", "/src/pkg/made/down"}, errno(wasip1.EROFS) + errno(wasip1.EROFS)},
		{"the deepest mount wins", []string{"cat", "/src/pkg/x", "cat", "/src/pkg/vendor/lib/a", "cat", "/src/pkg/y"}, "note" + "host" + "y"},
		{"a single file is read-only and stays", []string{"write", "/src/pkg/x", "no", "rm", "/src/pkg/x", "mv", "/src/pkg/x", "/src/pkg/z"},
			errno(wasip1.EROFS) + errno(wasip1.EBUSY) + errno(wasip1.EBUSY)},
		{"a mount point stays", []string{"rmdir", "/src/pkg/vendor", "mv", "/src/pkg/made", "/src/made"}, errno(wasip1.EBUSY) + errno(wasip1.EBUSY)},
		{"what leads to one too", []string{"rmdir", "/src/pkg", "mv", "/src/pkg", "/src/p"}, errno(wasip1.EBUSY) + errno(wasip1.EBUSY)},
		{"nothing is linked or moved from one file system to another", []string{"ln", "/src/main", "/real/main", "mv", "/src/main", "/over/main", "mv", "/real/note", "/over/note"},
			strings.Repeat(errno(wasip1.EXDEV), 3)},
		{"but within one", []string{"write", "/real/new", "new", "mv", "/real/new", "/real/lib/new", "ln", "/real/lib/new", "/real/again", "cat", "/real/again"}, "new"},
		{"a link leads from one to another", []string{"symlink", "../real/note", "/src/link", "cat", "/src/link"}, "note"},
		{".. leads back over a mount point", []string{"cat", "/src/pkg/vendor/../../main", "cat", "/src/pkg/vendor/../vendor/note"}, "mainnote"},
		{"an overlay leaves what is below", []string{"write", "/over/note", "changed", "cat", "/over/note", "cat", "/real/note"}, "changednote"},
		{"a mount that is read-only", []string{"cat", "/frozen/f", "write", "/frozen/f", "x", "rm", "/frozen/f", "mkdir", "/frozen/d"},
			"f" + strings.Repeat(errno(wasip1.EROFS), 3)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := console(t, host, do, append(world, virt.WithArgs(tc.args...))...)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func lines(l ...string) string { return strings.Join(append(l, ""), "\n") }

// TestGuestReadsTheRoot: what bundlers do, which look for their settings in every directory from a
// mount up to "/".
func TestGuestReadsTheRoot(t *testing.T) {
	host := newHost(t)
	out := memfs.New()
	got := console(t, host, compiled(t, host, doGuest), virt.WithMount("/src", fromMap(t, map[string]string{"index.js": "export {}"})), virt.WithMount("/out", out),
		virt.WithArgs("ls", "/", "ls", "/src", "cat", "/src/tsconfig.json", "cat", "/tsconfig.json", "cat", "/src/../package.json", "cat", "/src/index.js", "write", "/out/bundle.js", "done"))
	want := lines("src", "out", "index.js") + strings.Repeat(errno(wasip1.ENOENT), 3) + "export {}"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b, err := out.ReadFile("bundle.js"); string(b) != "done" {
		t.Errorf("wrote %q, %v", b, err)
	}
}

// conversation is a guest that waits for orders while host code changes its world.
type conversation struct {
	t      *testing.T
	guest  *virt.Guest
	orders *io.PipeWriter
	says   *io.PipeReader
}

func converse(t *testing.T, host *virt.Host, opts ...virt.GuestOption) *conversation {
	t.Helper()
	stdin, orders := io.Pipe()
	says, stdout := io.Pipe()
	guest, err := host.Instantiate(t.Context(), compiled(t, host, pathsGuest), append(opts, virt.WithStdin(stdin), virt.WithStdout(stdout))...)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := guest.Run(t.Context())
		ended <- err
	}()
	t.Cleanup(func() {
		orders.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &conversation{t, guest, orders, says}
}

// do gives an order and waits for the answer.
func (c *conversation) do(what byte, path, other string) answer {
	c.t.Helper()
	if _, err := c.orders.Write(order{what, path, other}.encode(nil)); err != nil {
		c.t.Fatal(err)
	}
	var head [8]byte
	if _, err := io.ReadFull(c.says, head[:]); err != nil {
		c.t.Fatal(err)
	}
	a := answer{wasip1.Errno(binary.LittleEndian.Uint32(head[:])), make([]byte, binary.LittleEndian.Uint32(head[4:]))}
	if _, err := io.ReadFull(c.says, a.data); err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *conversation) reads(path, want string) {
	c.t.Helper()
	if a := c.do('r', path, ""); a.errno != wasip1.ESUCCESS || string(a.data) != want {
		c.t.Errorf("the guest reads %q, %v in %s, want %q", a.data, a.errno, path, want)
	}
}

func (c *conversation) fails(what byte, path, other string, want wasip1.Errno) {
	c.t.Helper()
	if a := c.do(what, path, other); a.errno != want {
		c.t.Errorf("%s of %s: %v, want %v", pathOps[what], path, a.errno, want)
	}
}

// TestMountWhileAGuestRuns: the guest sees at once what host code mounts and takes away.
func TestMountWhileAGuestRuns(t *testing.T) {
	c := converse(t, newHost(t), virt.WithMount("/", fromMap(t, map[string]string{"f": "root", "d/f": "below"})))
	ns := c.guest.Namespace()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	c.reads("d/f", "below")
	must(ns.Mount("/d", fromMap(t, map[string]string{"f": "mounted"})))
	c.reads("d/f", "mounted")
	must(ns.Mount("/new/deep", fromMap(t, map[string]string{"f": "deep"})))
	c.reads("new/deep/f", "deep")
	c.fails('d', "new", "", wasip1.EBUSY)
	must(ns.Unmount("/d"))
	c.reads("d/f", "below")

	// A directory that is open stays what it was.
	c.fails('o', "new/deep", "", wasip1.ESUCCESS)
	must(ns.Unmount("/new/deep"))
	c.reads("f", "deep")
	if _, err := ns.Root().Stat("/new"); err == nil {
		t.Error("what led to the mount is still there")
	}
	// Host code writes where the guest reads.
	if err := ns.Root().WriteFile("/f", []byte("by the host"), 0o666); err != nil {
		t.Error(err)
	}
	if err := ns.Unmount("/d"); err == nil {
		t.Error("unmounted twice")
	}
}

// TestWatchAGuest: host code is told of each change that a guest makes.
func TestWatchAGuest(t *testing.T) {
	c := converse(t, newHost(t), virt.WithMount("/", memfs.New()), virt.WithMount("/data", fromMap(t, map[string]string{"old": "old"})))
	var events []vfs.Event
	stop := c.guest.Namespace().Watch(func(e vfs.Event) { events = append(events, e) })
	c.do('m', "data/d", "")
	c.do('w', "data/d/f", "")
	c.do('M', "data/d/f", "data/g")
	c.do('y', "data/l", "g")
	c.do('L', "data/g", "data/h")
	c.do('t', "data/old", "")
	c.do('u', "data/g", "")
	c.do('r', "data/h", "")
	c.do('u', "data/missing", "")
	c.do('d', "data/d", "")
	stop()
	c.do('u', "data/h", "")
	want := []vfs.Event{
		{Op: vfs.Created, Path: "/data/d"}, {Op: vfs.Created, Path: "/data/d/f"}, {Op: vfs.Modified, Path: "/data/d/f"}, {Op: vfs.Closed, Path: "/data/d/f"},
		{Op: vfs.Renamed, Path: "/data/d/f", NewPath: "/data/g"}, {Op: vfs.Created, Path: "/data/l"}, {Op: vfs.Created, Path: "/data/h"},
		{Op: vfs.Modified, Path: "/data/old"}, {Op: vfs.Closed, Path: "/data/old"}, {Op: vfs.Removed, Path: "/data/g"}, {Op: vfs.Removed, Path: "/data/d"},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// register is a file object of the embedder's: what is written to it is a number that is added up.
type register struct{ sum atomic.Int64 }

func (r *register) text() string { return fmt.Sprintf("%d\n", r.sum.Load()) }

func (r *register) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(r.text()).ReadAt(p, off)
}

func (r *register) WriteAt(p []byte, _ int64) (int, error) {
	var n int64
	if _, err := fmt.Sscan(string(p), &n); err != nil {
		return 0, wasip1.EINVAL
	}
	r.sum.Add(n)
	return len(p), nil
}

func (r *register) Attr() (vfs.Attr, error) {
	return vfs.Attr{Mode: 0o600, Size: uint64(len(r.text())), Mtim: 1_000_000_000}, nil
}

func (r *register) SetAttr(vfs.SetAttr) error { return nil }

// TestFilesThatHostCodeMakes: devices, content from a function, and whole objects.
func TestFilesThatHostCodeMakes(t *testing.T) {
	var sum register
	var opened atomic.Int64
	made := devfs.Empty()
	for _, err := range []error{
		made.AddFunc("count", func() ([]byte, error) { return fmt.Appendln(nil, opened.Add(1)), nil }),
		made.AddFunc("broken", func() ([]byte, error) { return nil, fs.ErrPermission }),
		made.AddFile("reg/sum", &sum),
		made.AddLink("link", "reg/sum"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		host := newHost(t, virt.WithSeed(7), virt.WithMount("/host", made), virt.WithDevices("/dev"))
		return console(t, host, compiled(t, host, doGuest), virt.WithStdin(strings.NewReader("typed")), virt.WithArgs(args...))
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a function is asked each time", []string{"cat", "/host/count", "cat", "/host/count", "write", "/host/count", "x"}, lines("1", "2") + errno(wasip1.EROFS)},
		{"its error is the guest's", []string{"cat", "/host/broken"}, errno(wasip1.EACCES)},
		{"an object", []string{"write", "/host/reg/sum", "40", "append", "/host/link", "2", "cat", "/host/link", "write", "/host/reg/sum", "many", "stat", "/host/reg/sum"},
			lines("42") + errno(wasip1.EINVAL) + lines("type 4", "size 3")},
		{"null", []string{"write", "/dev/null", "x", "cat", "/dev/null", "stat", "/dev/null"}, lines("type 2", "size 0")},
		{"full", []string{"write", "/dev/full", "x"}, errno(wasip1.ENOSPC)},
		{"stdin", []string{"cat", "/dev/stdin"}, "typed"},
		{"stdout and stderr", []string{"write", "/dev/stdout", "out", "write", "/dev/stderr", "err"}, "outerr"},
		{"nothing can be added", []string{"write", "/dev/x", "x", "rm", "/dev/null", "mkdir", "/host/d"}, strings.Repeat(errno(wasip1.EROFS), 3)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, run(t, tc.args...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("random from the Host's seed", func(t *testing.T) {
		read := func() []byte {
			c := converse(t, newHost(t, virt.WithSeed(7)), virt.WithDevices("/dev"))
			return c.do('r', "dev/urandom", "").data
		}
		one, two := read(), read()
		if len(one) < 1000 || !cmp.Equal(one, two) || strings.Count(string(one), "\x00") > len(one)/50 {
			t.Errorf("%d and %d bytes, of which two Hosts with one seed should have given the same", len(one), len(two))
		}
	})
}

// TestGuestsShareAFileSystem: what one guest writes another reads, and host code between them.
func TestGuestsShareAFileSystem(t *testing.T) {
	shared := memfs.New()
	host := newHost(t, virt.WithMount("/", shared))
	do := compiled(t, host, doGuest)
	console(t, host, do, virt.WithArgs("write", "/a", "from one", "symlink", "a", "/l"))
	if b, err := fs.ReadFile(view.FS(shared), "l"); string(b) != "from one" {
		t.Errorf("host code reads %q, %v", b, err)
	}
	fork := shared.Fork()
	if got := console(t, host, do, virt.WithArgs("cat", "/l", "write", "/a", "from two")); got != "from one" {
		t.Errorf("the second guest reads %q", got)
	}
	if got := console(t, host, do, virt.WithoutFiles(), virt.WithMount("/", fork), virt.WithArgs("cat", "/l", "write", "/b", "b")); got != "from one" {
		t.Errorf("a guest on the fork reads %q", got)
	}
	if got := console(t, host, do, virt.WithArgs("cat", "/a", "cat", "/b")); got != "from two"+errno(wasip1.ENOENT) {
		t.Errorf("a guest on the original reads %q", got)
	}
}
