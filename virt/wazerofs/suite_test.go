package wazerofs_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	wazerosys "github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/internal/wasisuite"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt/wazerofs"
)

// TestSuite runs the official suite on wazero's own WASI, with a directory of the machine and with
// views. Each test that passes on the directory passes on every view.
func TestSuite(t *testing.T) {
	tests := wasisuite.Load(t, "WASI_TESTSUITE", "wasm32-wasip1")
	copied := func(dir string) string {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	filled := func(fsys vfs.FS, dir string) vfs.FS {
		if err := archive.FromDir(fsys, dir); err != nil {
			t.Fatal(err)
		}
		return fsys
	}
	directory := func(dir string) sys.FS { return sysfs.DirFS(copied(dir)) }
	views := map[string]func(dir string) sys.FS{
		"memfs":   func(dir string) sys.FS { return wazerofs.New(filled(memfs.New(), dir)) },
		"aferofs": func(dir string) sys.FS { return wazerofs.New(filled(aferofs.New(afero.NewMemMapFs()), dir)) },
		"hostfs": func(dir string) sys.FS {
			f, err := hostfs.New(copied(dir))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			return wazerofs.New(f)
		},
	}
	passes := func(world func(string) sys.FS) map[string][]string {
		failed := map[string][]string{}
		for _, test := range tests {
			if d := runOnWazero(t, test, world); len(d) > 0 {
				failed[test.Name] = d
			}
		}
		return failed
	}
	want := passes(directory)
	t.Logf("a directory: %d of %d", len(tests)-len(want), len(tests))
	for name, view := range views {
		got := passes(view)
		t.Logf("%s: %d of %d", name, len(tests)-len(got), len(tests))
		for test, why := range got {
			if _, ok := want[test]; !ok {
				t.Errorf("%s: %s passes on a directory and not here: %q", name, test, why)
			}
		}
	}
}

// runOnWazero runs a test of the suite with wazero's own WASI, and says what went wrong.
func runOnWazero(t *testing.T, test wasisuite.Test, world func(dir string) sys.FS) []string {
	t.Helper()
	code, err := os.ReadFile(test.Path)
	if err != nil {
		t.Fatal(err)
	}
	// Some tests wait for what wazero's poll does not tell. The time bounds them, whatever they
	// then answer.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true).WithCompilationCache(cache(t)))
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{test.Name + ".wasm"}, test.Args...)...).
		WithStdout(&stdout).WithStderr(&stderr).WithSysNanotime().WithSysWalltime().WithSysNanosleep()
	for k, v := range test.Env {
		config = config.WithEnv(k, v)
	}
	if test.Root != "" {
		config = config.WithFSConfig(wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(world(test.Root), "/"))
	}
	var status uint32
	if _, err := r.InstantiateWithConfig(ctx, code, config); err != nil {
		exit, ok := errors.AsType[*wazerosys.ExitError](err)
		if !ok {
			return []string{err.Error()}
		}
		status = exit.ExitCode()
	}
	return test.Differences(status, stdout.String(), stderr.String())
}

var compiled wazero.CompilationCache

// cache is one for all tests.
func cache(t *testing.T) wazero.CompilationCache {
	if compiled == nil {
		compiled = wazero.NewCompilationCache()
	}
	return compiled
}
