package virt_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// goPackages are those of Go's standard library whose tests ask most of an operating system.
var goPackages = []string{"bufio", "io/fs", "testing/fstest", "archive/zip", "archive/tar", "time", "path/filepath", "os"}

// goTree copies what the tests of goPackages look at, besides their own directories, into a directory that becomes the guest's root:
// the files at the top of GOROOT, the time zones, and the sources that TestBug3486 walks through.
func goTree(t *testing.T) (dir, goroot string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot = strings.TrimSpace(string(out))
	dir = t.TempDir()
	root := filepath.Join(dir, goroot)
	for _, sub := range []string{"lib/time", "src/bufio", "src/io", "src/testing", "src/archive", "src/time", "src/path", "src/os", "src/unicode", "test"} {
		if sub == "test" {
			// Only that it is there matters.
			err = os.MkdirAll(filepath.Join(root, sub), 0o777)
		} else {
			err = os.CopyFS(filepath.Join(root, sub), os.DirFS(filepath.Join(goroot, sub)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(goroot)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			content, err := os.ReadFile(filepath.Join(goroot, f.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(root, f.Name()), content, 0o666)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range map[string]string{
		"group": "root:x:0:\n", "hosts": "127.0.0.1 localhost\n", "passwd": "root:x:0:0:root:/:/bin/sh\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	return dir, goroot
}

func needGoTests(t *testing.T) {
	t.Helper()
	if os.Getenv("WASIVIRT_GOROOT_TESTS") == "" {
		t.Skip("WASIVIRT_GOROOT_TESTS is not set: the tests of Go's standard library are NOT RUN")
	}
	if runtime.GOOS == "windows" {
		t.Skip("paths of this system are none in a guest")
	}
}

// wasip1Env is the environment of the go command that builds for guests.
func wasip1Env() []string { return append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm") }

// TestGoStandardLibrary runs tests of Go's standard library by the command wasivirt, in memory: nothing of the machine is there
// but a copy of the files that they look at.
func TestGoStandardLibrary(t *testing.T) {
	needGoTests(t)
	tree, goroot := goTree(t)
	command := filepath.Join(t.TempDir(), "wasivirt")
	if text, err := exec.Command("go", "build", "-o", command, "../examples/wasivirt").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, text)
	}
	for _, pkg := range goPackages {
		t.Run(pkg, func(t *testing.T) {
			run := fmt.Sprintf("%s run -mount /=mem:%s -mount /dev=dev -env PWD=%s -env PATH=/", command, tree, filepath.Join(goroot, "src", pkg))
			cmd := exec.Command("go", "test", "-short", "-v", "-exec", run, pkg)
			cmd.Env = wasip1Env()
			text, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, failures(text))
			}
			if want := []byte("--- PASS: TestRootRenameAfterOpen"); pkg == "os" && !bytes.Contains(text, want) {
				t.Error("TestRootRenameAfterOpen did not pass")
			}
			t.Logf("%d passed, %d skipped", bytes.Count(text, []byte("--- PASS")), bytes.Count(text, []byte("--- SKIP")))
		})
	}
}

// TestGoStandardLibraryWithLinks runs those tests that need absolute links, which the specification's suite wants refused, where the
// embedder allows them.
func TestGoStandardLibraryWithLinks(t *testing.T) {
	needGoTests(t)
	tree, goroot := goTree(t)
	for _, pkg := range []string{"io/fs", "path/filepath", "os"} {
		t.Run(pkg, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "guest.wasm")
			build := exec.Command("go", "test", "-c", "-o", file, pkg)
			build.Env = wasip1Env()
			if text, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, text)
			}
			wasm, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files := memfs.New()
			if err := archive.FromDir(files, tree); err != nil {
				t.Fatal(err)
			}
			host := newHost(t, virt.WithMount("/", files), virt.WithMount("/dev", devfs.New()), virt.WithAbsoluteLinks())
			got := runModule(t, host, compiled(t, host, wasm), virt.WithArgs("-test.short", "-test.v"),
				virt.WithEnv("PWD", filepath.Join(goroot, "src", pkg)), virt.WithEnv("PATH", "/"))
			if !got.Success() {
				t.Errorf("%v\n%s%s", got.Result, failures([]byte(got.stdout)), got.stderr)
			}
			t.Logf("%d passed, %d skipped", strings.Count(got.stdout, "--- PASS"), strings.Count(got.stdout, "--- SKIP"))
		})
	}
}

// failures are the parts of the output of go test -v that tell what failed.
func failures(out []byte) string {
	var b strings.Builder
	failed := false
	for line := range strings.Lines(string(out)) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "--- ") || strings.HasPrefix(text, "=== ") {
			failed = strings.HasPrefix(text, "--- FAIL")
		}
		// What a test logs comes before its verdict: lines that name a source file.
		if failed || strings.Contains(text, "_test.go:") || strings.HasPrefix(text, "panic:") {
			b.WriteString(line)
		}
	}
	return b.String()
}
