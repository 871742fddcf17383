package hostfs

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Every operation by path, with every path that might lead out: nothing outside is seen or changed.
func TestNoPathLeadsOut(t *testing.T) {
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) { testNoPathLeadsOut(t, backend) })
	}
}

func testNoPathLeadsOut(t *testing.T, open func(string, options) (backend, error)) {
	parent := t.TempDir()
	inside, outside := filepath.Join(parent, "inside"), filepath.Join(parent, "outside")
	writeFile(t, filepath.Join(outside, "secret"), "OUTSIDE")
	writeFile(t, filepath.Join(outside, "dir", "secret"), "OUTSIDE")
	before := snapshot(t, outside)
	setUp := func() {
		os.RemoveAll(inside)
		writeFile(t, filepath.Join(inside, "d", "e", "f"), "inside")
		for name, target := range map[string]string{
			"abs": outside, "absfile": filepath.Join(outside, "secret"), "rel": "../outside", "relfile": "../outside/secret",
			"d/up": "../../outside", "d/e/far": "../../../../../../../../../.." + outside, "chain": "d/chain", "d/chain": "../rel",
			"dot": ".", "dotdot": "..", "hop": "d/../../outside", "slash": "/", "d/loop": "loop", "dangling": "../outside/new",
			"absdangling": filepath.Join(outside, "new"), "proc": "/proc/self/root", "cwd": "/proc/self/cwd",
		} {
			if err := os.Symlink(target, filepath.Join(inside, filepath.FromSlash(name))); err != nil {
				t.Skip(err)
			}
		}
	}
	paths := []string{
		"../outside/secret", "../outside/new", "..", "../..", "d/../../outside/secret", "d/e/../../../outside", "./../outside/secret",
		"d//..//..//outside", outside, outside + "/secret", "//" + outside + "/new", "abs/secret", "abs", "abs/", "abs/.", "abs/new",
		"absfile", "absfile/", "rel/secret", "rel/dir/secret", "rel/..", "rel/../outside/secret", "relfile", "d/up/secret", "d/up/new",
		"d/e/far/secret", "chain/secret", "chain/new", "dot/dot/rel/secret", "dotdot/outside/secret", "hop/secret", "slash" + outside + "/secret",
		"d/loop", "d/loop/x", "dangling", "absdangling", "proc" + outside + "/secret", "cwd/..", "d/e/f/../../../rel/secret", "nowhere/../../outside/secret",
		"d\\..\\..\\outside\\secret", "..\\outside\\secret", "C:", "C:\\", "\\\\?\\C:\\x", "NUL", "CON.txt", "d:stream", "secret::$DATA", "d./x", "d /x", "..." + "/x",
		strings.Repeat("../", 100) + outside[1:] + "/secret", strings.Repeat("d/../", 300) + "../outside/secret", strings.Repeat("x", 256), strings.Repeat("x", 4096),
		strings.Repeat("rel/", 50) + "secret", "\xff/../../outside/secret", "d\x00/../../outside", "\x00", "",
	}
	ops := map[string]func(r *vfs.Root, path string){
		"read": func(r *vfs.Root, path string) {
			if b, _ := r.ReadFile(path); strings.Contains(string(b), "OUT") {
				t.Errorf("read %q", b)
			}
		},
		"stat": func(r *vfs.Root, path string) {
			if a, err := r.Stat(path); err == nil && a.Type == wasip1.FiletypeRegularFile && a.Size == 7 {
				t.Error("seen")
			}
		},
		"list": func(r *vfs.Root, path string) {
			es, _ := r.ReadDir(path)
			for _, e := range es {
				if e.Name == "secret" || e.Name == "outside" || e.Name == "etc" {
					t.Errorf("listed %s", e.Name)
				}
			}
		},
		"readlink": func(r *vfs.Root, path string) { r.Readlink(path) },
		"write":    func(r *vfs.Root, path string) { r.WriteFile(path, []byte("changed"), 0o666) },
		"append": func(r *vfs.Root, path string) {
			if f, err := r.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666); err == nil {
				f.Write([]byte("changed"))
				f.Close()
			}
		},
		"truncate":  func(r *vfs.Root, path string) { r.Truncate(path, 1) },
		"chmod":     func(r *vfs.Root, path string) { r.Chmod(path, 0o700) },
		"times":     func(r *vfs.Root, path string) { r.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) },
		"mkdir":     func(r *vfs.Root, path string) { r.Mkdir(path, 0o777) },
		"mkdir all": func(r *vfs.Root, path string) { r.MkdirAll(path+"/x/y", 0o777) },
		"symlink":   func(r *vfs.Root, path string) { r.Symlink("x", path) },
		"link from": func(r *vfs.Root, path string) {
			if r.Link(path, "linked") == nil {
				if b, _ := r.ReadFile("linked"); strings.Contains(string(b), "OUT") {
					t.Errorf("linked and read %q", b)
				}
				r.WriteFile("linked", []byte("changed"), 0o666)
			}
		},
		"link to":     func(r *vfs.Root, path string) { r.Link("d/e/f", path) },
		"rename from": func(r *vfs.Root, path string) { r.Rename(path, "stolen") },
		"rename to":   func(r *vfs.Root, path string) { r.Rename("d/e/f", path) },
		"remove":      func(r *vfs.Root, path string) { r.Remove(path) },
		"remove all":  func(r *vfs.Root, path string) { r.RemoveAll(path) },
	}
	for op, run := range ops {
		setUp()
		for _, path := range paths {
			b, err := open(inside, options{})
			if err != nil {
				t.Fatal(err)
			}
			fsys := &FS{b}
			root, err := vfs.NewRoot(fsys)
			if err != nil {
				t.Fatal(err)
			}
			run(root, path)
			fsys.Close()
			if t.Failed() || snapshot(t, outside) != before {
				t.Fatalf("%s of %q leads out: outside is now\n%s\nwas\n%s", op, path, snapshot(t, outside), before)
			}
			if _, err := os.Lstat(filepath.Join(inside, "d", "up")); err != nil {
				setUp()
			}
		}
	}
	t.Logf("%d ways out", len(ops)*len(paths))
}

// snapshot describes everything below dir.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		s.WriteString(rel + " " + fi.Mode().String())
		if runtime.GOOS != "windows" || !fi.IsDir() {
			s.WriteString(" " + fi.ModTime().String())
		}
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s.WriteString(" " + string(b))
		}
		s.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}
