package virt_test

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed testdata/bare/paths.wasm
var pathsGuest []byte

// order is what the guest paths does with a path. See testdata/bare/paths.c.
type order struct {
	what        byte
	path, other string
}

func (o order) encode(b []byte) []byte {
	b = append(b, o.what)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.path)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.other)))
	return append(append(b, o.path...), o.other...)
}

// changes reports whether the order, if it succeeds, may leave the mounted directory other than it
// was.
func (o order) changes() bool { return !strings.ContainsRune("rnDsSlo", rune(o.what)) }

// answer is the guest's to an order.
type answer struct {
	errno wasip1.Errno
	data  []byte
}

func parseAnswers(t *testing.T, b []byte) (list []answer) {
	t.Helper()
	for len(b) >= 8 {
		errno, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		b = b[8:]
		if uint64(n) > uint64(len(b)) {
			break
		}
		list = append(list, answer{wasip1.Errno(errno), b[:n]})
		b = b[n:]
	}
	if len(b) > 0 {
		t.Fatalf("half an answer: %d bytes are left", len(b))
	}
	return list
}

// The names of the operations of the guest, all functions that take a path among them. Those that
// need a second path have it from the table of ways.
var pathOps = map[byte]string{
	'r': "path_open and fd_read", 'n': "path_open without following", 'w': "path_open CREAT", 'x': "path_open CREAT|EXCL",
	't': "path_open TRUNC", 'a': "path_open APPEND", 'D': "path_open DIRECTORY and fd_readdir", 's': "path_filestat_get",
	'S': "path_filestat_get without following", 'T': "path_filestat_set_times", 'm': "path_create_directory",
	'd': "path_remove_directory", 'u': "path_unlink_file", 'y': "path_symlink", 'l': "path_readlink",
	'L': "path_link from", 'k': "path_link to", 'M': "path_rename from", 'N': "path_rename to",
}

// secretSize is the size of the files outside, by which a filestat gives them away.
const secretSize = 4711

// outsideMark is a name in all directories outside, by which a listing gives them away. That of the
// package's parent is told by another.
const outsideMark, moduleMark = "outside-mark", "go.mod"

// cage is a directory to be mounted, "in", beside one that is not to be reached, "out". Both lie in
// a directory of their own.
type cage struct {
	dir, in, out string
	before       string
}

func newCage(t *testing.T) *cage {
	t.Helper()
	c := &cage{dir: t.TempDir()}
	c.in, c.out = filepath.Join(c.dir, "in"), filepath.Join(c.dir, "out")
	c.fillOutside(t)
	c.fill(t)
	return c
}

// fillOutside makes what is not to be reached anew.
func (c *cage) fillOutside(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(c.out); err != nil {
		t.Fatal(err)
	}
	secret := "SECRET" + strings.Repeat(".", secretSize-6)
	for _, f := range []string{"secret", "sub/secret"} {
		writeHost(t, filepath.Join(c.out, f), secret)
	}
	for _, dir := range []string{c.dir, c.out, filepath.Join(c.out, "sub")} {
		writeHost(t, filepath.Join(dir, outsideMark), "")
	}
	if err := os.Mkdir(filepath.Join(c.out, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	c.before = c.snapshot(t)
}

// fill makes the mounted directory anew.
func (c *cage) fill(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(c.in); err != nil {
		t.Fatal(err)
	}
	writeHost(t, filepath.Join(c.in, "d/e/f"), "inside")
	writeHost(t, filepath.Join(c.in, "file"), "inside")
	out := filepath.ToSlash(c.out)
	for name, target := range map[string]string{
		"abs": out, "absfile": out + "/secret", "absroot": "/", "rel": "../out", "relfile": "../out/secret", "slashed": "../out/",
		"dots": "..", "here": ".", "far": strings.Repeat("../", 60) + out[1:], "chain": "chain2", "chain2": "d/chain3", "d/chain3": "../rel",
		"d/up": "../../out", "d/e/up": "../../../out/secret", "hop": "d/../../out", "detour": "../in/../out", "dangling": "../out/new",
		"absdangling": out + "/new", "loop": "loop", "proc": "/proc/self/root", "cwd": "/proc/self/cwd", "backslash": `..\out`,
	} {
		if err := os.Symlink(filepath.FromSlash(target), filepath.Join(c.in, filepath.FromSlash(name))); err != nil {
			t.Skip("this system makes no symbolic links:", err)
		}
	}
}

// ways lists the paths that might lead out, with what has to be done before.
func (c *cage) ways() []way {
	out := filepath.ToSlash(c.out)
	long := strings.Repeat("x", 255)
	var ways []way
	for _, path := range []string{
		"..", "../", "../.", "../out", "../out/secret", "../out/sub/secret", "../out/new", "../out/empty", "./../out/secret", "d/../../out/secret",
		"d/e/../../../out/secret", "d//..//..//out//secret", "file/../../out/secret", "nowhere/../../out/secret", "../in/../out/secret",
		strings.Repeat("../", 100) + out[1:] + "/secret", strings.Repeat("d/../", 600) + "../out/secret",
		"/", "//", out, out + "/secret", out + "/new", "//" + out[1:] + "/secret", "/../out/secret",
		"abs", "abs/", "abs/.", "abs/secret", "abs/new", "abs/empty", "abs/sub/secret", "abs/../out/secret", "absfile", "absfile/", "absroot" + out + "/secret",
		"rel", "rel/", "rel/secret", "rel/new", "rel/empty", "relfile", "relfile/", "slashed", "slashed/secret", "dots", "dots/out/secret", "dots/../out", "here/rel/secret",
		"far", "far/secret", "chain/secret", "chain/new", "d/up/secret", "d/e/up", "hop/secret", "detour/secret",
		"dangling", "dangling/", "absdangling", "loop", "loop/../../out/secret", "proc" + out + "/secret", "cwd/..", "backslash", "backslash/secret",
		"../out/secret\x00", "file\x00/../../out/secret", "\x00", "\x00/../out/secret",
		long, long + "x", long + "/../../out/secret", strings.Repeat(long+"/", 15) + "x", strings.Repeat("x/", 2048), strings.Repeat("a", 4096), strings.Repeat("./", 2040) + "../out/secret",
		`..\out\secret`, `d\..\..\out\secret`, `\` + out, "C:", `C:\`, "C:/out", `\\?\C:\`, `\\.\pipe\x`, "NUL", "CON", "COM1", "file:stream", "file::$DATA",
		"d.", "d ", "file.", "FILE", "DOTS/out/secret", "...", ".../out/secret", ".. /out/secret", "..\xc0\xaf..\xc0\xafout", "\xff/../../out/secret", "%2e%2e/out/secret", "",
	} {
		ways = append(ways, way{path: path})
	}
	return append(ways,
		way{path: "made/secret", first: []order{{'y', "made", "../out"}}},
		way{path: "made", first: []order{{'y', "made", "../out/secret"}}},
		way{path: "made", first: []order{{'y', "made", out + "/secret"}}},
		way{path: "d/made/secret", first: []order{{'y', "d/made", "../made2"}, {'y', "made2", "d/made3"}, {'y', "d/made3", "../../out"}}},
		way{path: "moved/secret", first: []order{{'y', "d/made", "../out"}, {'M', "d/made", "moved"}}},
		way{path: "linked/secret", first: []order{{'y', "made", "../out"}, {'L', "made", "linked"}}},
		way{path: "linked", first: []order{{'L', "../out/secret", "linked"}}},
		way{path: "stolen", first: []order{{'M', "../out/secret", "stolen"}}},
		// A directory that is open while the one above it is moved: ".." would lead to another
		// place than before.
		way{path: "../../out/secret", first: []order{{'o', "d/e", ""}}},
		way{path: "../../../out/secret", first: []order{{'o', "d/e", ""}}},
		way{path: "../out/secret", first: []order{{'M', "d/e", "e"}, {'o', "e", ""}}},
		way{path: "../out/secret", first: []order{{'o', "d/e", ""}, {'M', "../../d/e", "../../e"}}},
		way{path: "../out/secret", first: []order{{'o', "rel", ""}}},
		way{path: "secret", first: []order{{'o', "abs", ""}}},
		way{path: "secret", first: []order{{'o', "..", ""}, {'o', "out", ""}}},
		way{path: "../out/secret", first: []order{{'d', "d", ""}, {'o', "d", ""}}},
	)
}

type way struct {
	first []order
	path  string
}

// orders are what the guest is told for operation op on this way. Where it has made another name
// for a file it looks through that one too.
func (w way) orders(op byte) []order {
	switch op {
	case 'y':
		return append(w.first, order{'y', w.path, "inside"}, order{'l', w.path, ""})
	case 'L':
		return append(w.first, order{'L', w.path, "got"}, order{'r', "got", ""}, order{'w', "got", ""})
	case 'k':
		return append(w.first, order{'L', "file", w.path}, order{'r', w.path, ""})
	case 'M':
		return append(w.first, order{'M', w.path, "got"}, order{'r', "got", ""}, order{'D', "got", ""})
	case 'N':
		return append(w.first, order{'M', "file", w.path}, order{'r', w.path, ""})
	}
	return append(w.first, order{op, w.path, ""})
}

// leak says what of the outside the answers show, "" for nothing.
func leak(orders []order, got []answer) string {
	for i, a := range got {
		switch o := orders[i]; {
		case a.errno != wasip1.ESUCCESS:
		case bytes.Contains(a.data, []byte("SECRET")):
			return fmt.Sprintf("%q read what is outside", o.path)
		case o.what == 'D' && (bytes.Contains(a.data, []byte(outsideMark)) || bytes.Contains(a.data, []byte(moduleMark))):
			return fmt.Sprintf("%q listed what is outside", o.path)
		case (o.what == 's' || o.what == 'S') && len(a.data) == 64 && binary.LittleEndian.Uint64(a.data[32:]) == secretSize:
			return fmt.Sprintf("%q told of what is outside", o.path)
		}
	}
	return ""
}

// TestNothingLeadsOut lets a guest try every function that takes a path on every way out of a
// mounted directory that we know of: none shows anything that lies outside, and nothing there is
// changed. On wazero's own mount the same guest gets out.
func TestNothingLeadsOut(t *testing.T) {
	host := newHost(t)
	guest := compiled(t, host, pathsGuest)
	links := virt.WithAbsoluteLinks()
	runners := map[string]runner{
		"dir":                       onOurs(host, guest, asItIs),
		"dir, absolute links":       onOurs(host, guest, asItIs, links),
		"overlay":                   onOurs(host, guest, below),
		"overlay of absolute links": onOurs(host, guest, below, links),
	}
	for name, run := range runners {
		t.Run(name, func(t *testing.T) {
			tried, out := tryWays(t, run, name == "dir" || name == "overlay" && full)
			t.Logf("%d ways x %d operations: %d lead out", tried/len(pathOps), len(pathOps), len(out))
			for _, o := range out {
				t.Error(o)
			}
		})
	}
	t.Run("wazero", func(t *testing.T) {
		tried, out := tryWays(t, onWazero(t), full)
		t.Logf("%d ways x %d operations: %d lead out, among them %q", tried/len(pathOps), len(pathOps), len(out), out[:min(3, len(out))])
	})
}

// runner runs the guest with a directory of the machine mounted.
type runner func(t *testing.T, dir string, stdin io.Reader, stdout io.Writer)

// onOurs mounts a directory, or what wrap makes of it.
func onOurs(host *virt.Host, guest *virt.Module, wrap func(vfs.FS) vfs.FS, opts ...virt.GuestOption) runner {
	return func(t *testing.T, dir string, in io.Reader, out io.Writer) {
		f, err := hostfs.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		result, err := host.RunModule(t.Context(), guest, append(opts, virt.WithMount("/", wrap(f)), virt.WithStdin(in), virt.WithStdout(out))...)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if !result.Success() {
			t.Fatal(result)
		}
	}
}

func asItIs(f vfs.FS) vfs.FS { return f }

func below(f vfs.FS) vfs.FS { return overlayfs.New(f, memfs.New()) }

// onWazero mounts a directory as wazero does.
func onWazero(t *testing.T) runner {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		t.Fatal(err)
	}
	guest, err := r.CompileModule(ctx, pathsGuest)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, dir string, in io.Reader, out io.Writer) {
		m, err := r.InstantiateModule(ctx, guest, wazero.NewModuleConfig().WithName("").WithStdin(in).WithStdout(out).
			WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/")))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// tryWays tries all operations on all ways, or else on every tenth, and returns how many that were,
// and those that lead out.
func tryWays(t *testing.T, run runner, all bool) (tried int, out []string) {
	t.Helper()
	c := newCage(t)
	for _, op := range slices.SortedFunc(maps.Keys(pathOps), cmp.Compare[byte]) {
		for i, w := range c.ways() {
			if !all && i%10 != 0 {
				continue
			}
			tried++
			orders := w.orders(op)
			var stdin []byte
			for _, o := range orders {
				stdin = o.encode(stdin)
			}
			var stdout bytes.Buffer
			run(t, c.in, bytes.NewReader(stdin), &stdout)
			got := parseAnswers(t, stdout.Bytes())
			if len(got) != len(orders) {
				t.Fatalf("%s of %q: %d answers to %d orders", pathOps[op], w.path, len(got), len(orders))
			}
			how := leak(orders, got)
			if c.snapshot(t) != c.before {
				how = fmt.Sprintf("%q changed what is outside", w.path)
				c.fillOutside(t)
			}
			if how != "" {
				out = append(out, fmt.Sprintf("%s: %s", pathOps[op], how))
			}
			for i, o := range orders {
				if o.changes() && got[i].errno == wasip1.ESUCCESS {
					c.fill(t)
					break
				}
			}
		}
	}
	return tried, out
}

// TestNothingLeadsOutOfARace lets a guest use a path while somebody else exchanges what stands
// there with links to what lies outside, and back, all the time.
func TestNothingLeadsOutOfARace(t *testing.T) {
	swaps := int64(sized(5_000, 100_000))
	if testing.Short() {
		swaps = 2_000
	}
	host := newHost(t)
	guest := compiled(t, host, pathsGuest)
	for name, wrap := range map[string]func(vfs.FS) vfs.FS{"dir": asItIs, "overlay": below} {
		t.Run(name, func(t *testing.T) {
			if calls, out := race(t, swaps, onOurs(host, guest, wrap)); out > 0 {
				t.Errorf("%d of %d calls got out", out, calls)
			} else {
				t.Logf("%d exchanges, %d calls: none got out", swaps, calls)
			}
		})
	}
	t.Run("wazero", func(t *testing.T) {
		calls, out := race(t, min(swaps, 2_000), onWazero(t))
		t.Logf("%d calls: %d got out", calls, out)
	})
}

// race exchanges a directory and a file with links to the outside n times, while the guest uses
// them, and returns how many calls the guest made and how many got out. That something outside was
// changed counts as one.
func race(t *testing.T, n int64, run runner) (calls, out int) {
	t.Helper()
	c := newCage(t)
	for name, target := range map[string]string{"d.link": c.out, "file.link": filepath.Join(c.out, "secret")} {
		if err := os.Symlink(target, filepath.Join(c.in, name)); err != nil {
			t.Skip(err)
		}
	}
	writeHost(t, filepath.Join(c.in, "d/secret"), "inside")
	writeHost(t, filepath.Join(c.in, "d/sub/secret"), "inside")
	var orders []order
	for op := range pathOps {
		switch op {
		case 'y', 'L', 'k', 'M', 'N', 'l', 'm', 'd', 'u': // they would end the race
			continue
		}
		for _, path := range []string{"d/secret", "d/sub/secret", "file", "d/../d/secret", "d/sub", "d"} {
			if path == "d" && (op == 'w' || op == 'x' || op == 'a') {
				continue // a file at that name would end the race too
			}
			orders = append(orders, order{op, path, ""})
		}
	}
	orders = append(orders, order{'L', "d/secret", "got"}, order{'r', "got", ""}, order{'w', "got", ""}, order{'u', "got", ""},
		order{'m', "d/made", ""}, order{'d', "d/made", ""}, order{'y', "d/link", "x"}, order{'u', "d/link", ""},
		order{'w', "d/new", ""}, order{'M', "d/new", "d/newer"}, order{'u', "d/newer", ""}, order{'u', "d/new", ""})
	var swapped atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for swapped.Load() < n {
			for _, name := range []string{"d", "file"} {
				if err := exchange(filepath.Join(c.in, name)); err != nil {
					t.Error(err)
					swapped.Store(n)
					return
				}
			}
			swapped.Add(1)
		}
	}()
	var stdin []byte
	for range 20 {
		for _, o := range orders {
			stdin = o.encode(stdin)
		}
	}
	for swapped.Load() < n {
		var stdout bytes.Buffer
		run(t, c.in, bytes.NewReader(stdin), &stdout)
		for i, a := range parseAnswers(t, stdout.Bytes()) {
			calls++
			if leak(orders[i%len(orders):][:1], []answer{a}) != "" {
				out++
			}
		}
	}
	<-done
	if c.snapshot(t) != c.before {
		out++
	}
	return calls, out
}

// exchange makes name what name.link is and the other way round. Meanwhile the name may be missing.
func exchange(name string) error {
	return errors.Join(os.Rename(name, name+".old"), os.Rename(name+".link", name), os.Rename(name+".old", name+".link"))
}

func writeHost(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// snapshot describes all that lies beside the mounted directory. Times of access are left out: our
// own look changes them.
func (c *cage) snapshot(t *testing.T) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == c.in {
			return filepath.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&s, "%s %v", path, fi.Mode())
		if path != c.dir { // "in" is made in it over and over
			fmt.Fprintf(&s, " %v", fi.ModTime())
		}
		if fi.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&s, " %s", content)
		}
		s.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}
