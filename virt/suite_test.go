package virt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// spec is what the suite expects of one of its tests: the form of its JSON files.
type spec struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Root     string            `json:"root"`
	ExitCode uint32            `json:"exit_code"`
	Stdout   *string           `json:"stdout"`
	Stderr   *string           `json:"stderr"`
}

// TestSuite runs the official preview1 suite, from the directory WASI_TESTSUITE that holds its prebuilt tests, over
// every writable file system.
func TestSuite(t *testing.T) {
	root := os.Getenv("WASI_TESTSUITE")
	if root == "" {
		t.Skip("WASI_TESTSUITE names no directory with the official suite: NOT RUN")
	}
	worlds := []struct {
		name string
		make func(t *testing.T, dir string) vfs.FS
	}{
		{"memfs", func(t *testing.T, dir string) vfs.FS { return filled(t, memfs.New(), dir) }},
		{"aferofs", func(t *testing.T, dir string) vfs.FS {
			return filled(t, aferofs.New(afero.NewMemMapFs()), dir)
		}},
		{"hostfs", func(t *testing.T, dir string) vfs.FS { return hostDir(t, copied(t, dir)) }},
	}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			host := newHost(t)
			for _, wasm := range suiteTests(t, root, "wasm32-wasip1") {
				t.Run(strings.TrimSuffix(filepath.Base(wasm), ".wasm"), func(t *testing.T) {
					runSpec(t, host, wasm, func(dir string) vfs.FS { return w.make(t, dir) })
				})
			}
		})
	}
}

// TestThreadsSuite runs the official wasi-threads suite from the directory WASI_THREADS_TESTSUITE.
func TestThreadsSuite(t *testing.T) {
	root := os.Getenv("WASI_THREADS_TESTSUITE")
	if root == "" {
		t.Skip("WASI_THREADS_TESTSUITE names no directory with the official suite: NOT RUN")
	}
	engines := map[string][]virt.Option{"compiler": nil, "interpreter": {virt.WithInterpreter()}}
	for name, opts := range engines {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, opts...)
			for _, wasm := range suiteTests(t, root, "wasi-threads") {
				t.Run(strings.TrimSuffix(filepath.Base(wasm), ".wasm"), func(t *testing.T) {
					t.Parallel()
					runSpec(t, host, wasm, nil, virt.WithMaxThreads(16))
				})
			}
		})
	}
}

// suiteTests lists the modules below root in directories of that name.
func suiteTests(t *testing.T, root, dir string) (wasms []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".wasm") && filepath.Base(filepath.Dir(path)) == dir {
			wasms = append(wasms, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(wasms) == 0 {
		t.Fatalf("no test of %s below the directory given", dir)
	}
	return wasms
}

// runSpec runs one test of a suite and compares the outcome with its specification.
func runSpec(t *testing.T, host *virt.Host, wasm string, world func(dir string) vfs.FS, opts ...virt.Option) {
	t.Helper()
	var want spec
	text, err := os.ReadFile(strings.TrimSuffix(wasm, ".wasm") + ".json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	code, err := os.ReadFile(wasm)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	// A standard input that nobody writes to: the suite has tests that are to be ended while they read it.
	idle, typing := io.Pipe()
	defer typing.Close()
	opts = append(opts, virt.WithStdin(idle), virt.WithName(filepath.Base(wasm)), virt.WithArgs(want.Args...), virt.WithStdout(&stdout), virt.WithStderr(&stderr))
	for k, v := range want.Env {
		opts = append(opts, virt.WithEnv(k, v))
	}
	if want.Root == "" {
		opts = append(opts, virt.WithoutFiles())
	} else {
		opts = append(opts, virt.WithMount("/", world(filepath.Join(filepath.Dir(wasm), want.Root))))
	}
	result, err := host.Run(t.Context(), code, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Exited || result.ExitCode != want.ExitCode {
		t.Errorf("ended with %v, want exit %d\n%s%s", result, want.ExitCode, stdout.String(), stderr.String())
	}
	if want.Stdout != nil && stdout.String() != *want.Stdout {
		t.Errorf("standard output %q, want %q", stdout.String(), *want.Stdout)
	}
	if want.Stderr != nil && stderr.String() != *want.Stderr {
		t.Errorf("standard error %q, want %q", stderr.String(), *want.Stderr)
	}
}

func filled(t *testing.T, f vfs.FS, dir string) vfs.FS {
	t.Helper()
	var fill func(d vfs.Directory, dir string)
	fill = func(d vfs.Directory, dir string) {
		es, _ := os.ReadDir(dir)
		for _, e := range es {
			if e.IsDir() {
				n, err := d.Mkdir(e.Name(), 0o777)
				if err != nil {
					t.Fatal(err)
				}
				fill(n.(vfs.Directory), filepath.Join(dir, e.Name()))
				continue
			}
			n, err := d.Create(e.Name(), 0o666)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			h, err := n.(vfs.RegularFile).Open(vfs.OpenWrite)
			if err != nil {
				t.Fatal(err)
			}
			h.WriteAt(b, 0)
			h.Close()
		}
	}
	fill(f.Root().(vfs.Directory), dir)
	return f
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func hostDir(t *testing.T, dir string) vfs.FS {
	t.Helper()
	f, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("close the host directory: %v", err)
		}
	})
	return f
}
