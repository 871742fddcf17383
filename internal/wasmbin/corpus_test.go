package wasmbin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/usercache"
)

// everyFeature is all that wazero 1.12 can be told to compile.
const everyFeature = api.CoreFeaturesV2 | experimental.CoreFeaturesThreads | experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

func compilerConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCoreFeatures(everyFeature)
}

// keeping is a configuration whose compiled code is kept for the next run of the tests.
func keeping(t testing.TB, config wazero.RuntimeConfig) wazero.RuntimeConfig {
	t.Helper()
	dir := usercache.ForTests()
	if dir == "" {
		return config
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close(context.Background()) })
	return config.WithCompilationCache(cache)
}

func interpreterConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(everyFeature)
}

// everything asks for all changes that can be asked for together.
var everything = []Options{
	{Stop: true, Waits: true, Grow: true, ExportGlobals: true, SharedAccess: true, CallDepth: 1000, TableElements: 10_000_000, ImportModule: "wasivirt"},
	{Fuel: true, Waits: true, Grow: true, MemoryModule: "wasivirt.memory", ExportGlobals: true, CallDepth: 1000, ImportModule: "wasivirt"},
	{Fuel: true, SharedAccess: true, ImportModule: "wasivirt"},
	{Fuel: true, CanonicalNaNs: true, ImportModule: "wasivirt"},
	{Stop: true, ImportModule: "wasivirt"},
	{ExportGlobals: true, ImportModule: "wasivirt"},
	{Stack: 1 << 20, Waits: true, Grow: true, ImportModule: "wasivirt"},
}

// corpus is every binary module in wazero's source tree: those of the
// specification's tests, valid and not, and the guests of its WASI tests.
var corpus = sync.OnceValues(func() (map[string][]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		return nil, err
	}
	root := strings.TrimSpace(string(out))
	files := map[string][]byte{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".wasm" {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = b
		return err
	})
	return files, err
})

func modules(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := corpus()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// goGuest compiles a program of testdata for WASI.
func goGuest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := goguest.Build(t.Context(), "./testdata/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compiles reports whether wazero compiles a module. There are some that it
// panics over, such as one that throws an exception of a type that is not there.
func compiles(ctx context.Context, r wazero.Runtime, module []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	c, err := r.CompileModule(ctx, module)
	if err == nil {
		c.Close(ctx)
	}
	return err
}

// TestCorpus reads each module of the corpus and compares with wazero: what
// wazero compiles is read, comes out identical when nothing is asked for (even
// if every section is taken apart), and compiles after every change.
func TestCorpus(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	defer r.Close(ctx)
	var valid, refused, lenient int
	for name, module := range modules(t) {
		bad := compiles(ctx, r, module)
		got, report, err := rewrite(module, Options{}, tuning{})
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || format.Offset < 0 || format.Offset > len(module) {
				t.Errorf("%s: error %#v", name, err)
			}
			if bad == nil {
				t.Errorf("%s: %v", name, err)
			}
			refused++
			continue
		}
		if !bytes.Equal(got, module) || len(report.Imports)+len(report.Globals)+len(report.Dropped) > 0 {
			t.Errorf("%s: %d bytes became %d, report %+v", name, len(module), len(got), report)
		}
		if got, _, err = rewrite(module, Options{}, tuning{force: true}); err != nil || !bytes.Equal(got, module) {
			t.Errorf("%s, taken apart: %d bytes became %d, error %v", name, len(module), len(got), err)
		}
		if bad != nil {
			lenient++ // what only a type checker sees
		} else {
			valid++
		}
		for _, opts := range everything {
			got, _, err := Rewrite(module, opts)
			if over := (*LimitError)(nil); errors.As(err, &over) && bad != nil {
				continue // wazero has a limit too
			}
			if err != nil {
				t.Errorf("%s, %+v: %v", name, opts, err)
				continue
			}
			err = compiles(ctx, r, got)
			if (err == nil) != (bad == nil) && (bad == nil || !oddity(bad)) {
				t.Errorf("%s, %+v: wazero says %v, and of the original %v", name, opts, err, bad)
			}
		}
	}
	t.Logf("%d modules: %d compile, %d were refused by both, %d by wazero's type checker", len(modules(t)), valid, refused, lenient)
}
