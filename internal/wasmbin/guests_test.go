package wasmbin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/tetratelabs/wazero"
)

// TestGuestsOfToolchains runs programs that Rust, TinyGo, Zig and C compilers have made, before and
// after every change: what they print and how they exit is the same.
func TestGuestsOfToolchains(t *testing.T) {
	files := fstest.MapFS{"test.txt": {Data: []byte("greet filesystem\n")}, "dir/a": {}, "dir/b-": {}, "dir/c/d": {Data: []byte("d")}}
	const wasi, example = "imports/wasi_snapshot_preview1/testdata/", "imports/wasi_snapshot_preview1/example/testdata/"
	commands := map[string][][]string{
		wasi + "cargo-wasi/wasi.wasm":             {{"ls", "."}, {"ls", "./dir", "repeat"}, {"ls", "none"}},
		wasi + "tinygo/wasi.wasm":                 {{"ls", "."}, {"ls", "./dir"}, {"ls", "none"}},
		wasi + "zig/wasi.wasm":                    {{"ls", "."}, {"ls", "./dir", "repeat"}, {"ls", "none"}},
		wasi + "zig-cc/wasi.wasm":                 {{"ls", "."}, {"ls", "./dir", "repeat"}, {"stat"}, {"open-rdonly", "test.txt"}, {"sleepmillis", "1"}},
		example + "cargo-wasi/cat.wasm":           {{"/test.txt"}, {"/dir/c/d", "/test.txt"}, {"/none"}},
		example + "tinygo/cat.wasm":               {{"/test.txt"}, {"/dir/c/d", "/test.txt"}, {"/none"}},
		example + "zig-cc/cat.wasm":               {{"/test.txt"}, {"/none"}},
		"cmd/wazero/testdata/cat/cat-tinygo.wasm": {{"/test.txt"}, {"/none"}},
	}
	run := func(g *guest, args []string) string {
		var out bytes.Buffer
		config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{"guest"}, args...)...).
			WithStdout(&out).WithStderr(&out).WithFSConfig(wazero.NewFSConfig().WithFSMount(files, "/"))
		mod, err := g.runtime.InstantiateModule(context.Background(), g.compiled, config)
		if mod != nil {
			mod.Close(context.Background())
		}
		return fmt.Sprintf("%s%v", out.String(), firstLine(err))
	}
	compareGuests(t, commands, run)
}

// TestExportsOfToolchains calls exports of libraries, C++ exceptions among them, before and after
// every change: what they answer and what they leave in memory is the same.
func TestExportsOfToolchains(t *testing.T) {
	ctx := context.Background()
	exports := map[string][][]string{
		"experimental/testdata/cpp_exceptions.wasm": {{"test_no_throw"}, {"test_catch_specific"}, {"test_catch_base"}, {"test_rethrow"}},
	}
	run := func(g *guest, args []string) string {
		var out bytes.Buffer
		mod, err := g.runtime.InstantiateModule(ctx, g.compiled, wazero.NewModuleConfig().WithName("").WithStdout(&out).WithStartFunctions("_initialize", "_start"))
		if err != nil {
			return firstLine(err)
		}
		defer mod.Close(ctx)
		results, err := mod.ExportedFunction(args[0]).Call(ctx)
		memory, _ := mod.Memory().Read(0, mod.Memory().Size())
		return fmt.Sprintf("%s%v %v %x", out.String(), results, firstLine(err), sha256.Sum256(memory))
	}
	compareGuests(t, exports, run)
}

func compareGuests(t *testing.T, guests map[string][][]string, run func(g *guest, args []string) string) {
	t.Helper()
	all := modules(t)
	for path, calls := range guests {
		module, ok := all[path]
		if !ok {
			t.Errorf("%s is not in wazero's module", path)
			continue
		}
		for _, engine := range engines {
			plain := newGuest(t, engine.config(), module, nil)
			var want []string
			for _, args := range calls {
				want = append(want, run(plain, args))
			}
			for _, opts := range everything {
				g := newGuest(t, engine.config(), module, &opts)
				for i, args := range calls {
					if got := run(g, args); got != want[i] {
						t.Errorf("%s, %s %q, %+v: %q, want %q", engine.name, path, args, opts, got, want[i])
					}
				}
			}
		}
	}
}

// firstLine is an error without its stack, which shows names and so differs.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := bytes.Cut([]byte(err.Error()), []byte("\n"))
	return string(line)
}
