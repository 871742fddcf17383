package virt_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/internal/wasisuite"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/virt"
)

// TestSuite runs the official preview1 suite, from the directory WASI_TESTSUITE that holds its
// prebuilt tests, over every writable file system.
func TestSuite(t *testing.T) {
	tests := wasisuite.Load(t, "WASI_TESTSUITE", "wasm32-wasip1")
	worlds := []struct {
		name string
		make func(t *testing.T, dir string) vfs.FS
	}{
		{"memfs", func(t *testing.T, dir string) vfs.FS { return filled(t, memfs.New(), dir) }},
		{"aferofs", func(t *testing.T, dir string) vfs.FS {
			return filled(t, aferofs.New(afero.NewMemMapFs()), dir)
		}},
		{"hostfs", func(t *testing.T, dir string) vfs.FS { return hostDir(t, copied(t, dir)) }},
		{"overlayfs", func(t *testing.T, dir string) vfs.FS {
			return overlayfs.New(filled(t, memfs.New(), dir), memfs.New())
		}},
		{"memfs forked", func(t *testing.T, dir string) vfs.FS { return filled(t, memfs.New(), dir).(*memfs.FS).Fork() }},
		{"quotafs", func(t *testing.T, dir string) vfs.FS {
			return filled(t, quotafs.New(memfs.New(), quotafs.Limits{Bytes: 1 << 40, Inodes: 1 << 20}), dir)
		}},
		{"faultfs", func(t *testing.T, dir string) vfs.FS {
			f, err := faultfs.New(filled(t, memfs.New(), dir), nil, faultfs.WithDurability())
			if err != nil {
				t.Fatal(err)
			}
			return f
		}},
	}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			host := newHost(t)
			for _, test := range tests {
				t.Run(test.Name, func(t *testing.T) {
					runSuiteTest(t, host, test, func(dir string) vfs.FS { return w.make(t, dir) })
				})
			}
		})
	}
}

// TestThreadsSuite runs the official wasi-threads suite from the directory WASI_THREADS_TESTSUITE.
func TestThreadsSuite(t *testing.T) {
	tests := wasisuite.Load(t, "WASI_THREADS_TESTSUITE", "wasi-threads")
	engines := map[string][]virt.Option{"compiler": nil, "interpreter": {virt.WithInterpreter()}}
	for name, opts := range engines {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, opts...)
			// All at once, whatever -parallel says: the tests wait for half a second each, and
			// those that wait have to be woken in time beside those that compute.
			var all sync.WaitGroup
			for _, test := range tests {
				all.Go(func() {
					t.Run(test.Name, func(t *testing.T) {
						runSuiteTest(t, host, test, nil, virt.WithMaxThreads(16))
					})
				})
			}
			all.Wait()
		})
	}
}

// runSuiteTest runs one test of a suite.
func runSuiteTest(t *testing.T, host *virt.Host, test wasisuite.Test, world func(dir string) vfs.FS, opts ...virt.GuestOption) {
	t.Helper()
	code, err := os.ReadFile(test.Path)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	// A standard input that nobody writes to: the suite has tests that are to be ended while they
	// read it.
	idle, typing := io.Pipe()
	defer typing.Close()
	opts = append(opts, virt.WithStdin(idle), virt.WithName(test.Name+".wasm"), virt.WithArgs(test.Args...), virt.WithStdout(&stdout), virt.WithStderr(&stderr))
	for k, v := range test.Env {
		opts = append(opts, virt.WithEnv(k, v))
	}
	if test.Root == "" {
		opts = append(opts, virt.WithoutFiles())
	} else {
		opts = append(opts, virt.WithMount("/", world(test.Root)))
	}
	result, err := host.Run(t.Context(), code, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Exited {
		t.Errorf("ended with %v", result)
	}
	test.Check(t, result.ExitCode, stdout.String(), stderr.String())
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
