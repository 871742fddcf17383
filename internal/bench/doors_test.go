package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	extism "github.com/extism/go-sdk"
	"github.com/knqyf263/go-plugin/examples/wasi/cat"
	"github.com/spf13/afero"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sysfs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/virt/wazerofs"
)

// moduleDir is where a module's sources are.
func moduleDir(t *testing.T, m string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestGoPlugin: the example "wasi" of knqyf263/go-plugin runs on the drop-in, by the runtime that
// go-plugin lets its embedder make.
func TestGoPlugin(t *testing.T) {
	ctx := t.Context()
	wasm := filepath.Join(t.TempDir(), "plugin.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", wasm, "github.com/knqyf263/go-plugin/examples/wasi/plugin")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := memfs.New()
	if err := errors.Join(files.MkdirAll("testdata"), files.WriteFile("testdata/hello.txt", []byte("Hello WASI!"))); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p, err := cat.NewFileCatPlugin(ctx, cat.WazeroRuntime(func(ctx context.Context) (wazero.Runtime, error) {
		r := wazero.NewRuntime(ctx)
		_, err := dropin.Instantiate(ctx, r, virt.WithMount("/", files), virt.WithStdout(&out))
		return r, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := p.Load(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	defer plugin.Close(ctx)
	reply, err := plugin.Cat(ctx, &cat.FileCatRequest{FilePath: "testdata/hello.txt"})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetContent() != "Hello WASI!" || out.String() != "File loading...\n" {
		t.Errorf("read %q, printed %q", reply.GetContent(), out.String())
	}
	if _, err := plugin.Cat(ctx, &cat.FileCatRequest{FilePath: "nothing"}); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestExtism: a plugin of extism has its files in memory, by the one door that extism's go-sdk
// leaves open, the wazero.FSConfig.
func TestExtism(t *testing.T) {
	ctx := t.Context()
	dir := moduleDir(t, "github.com/extism/go-sdk")
	for name, fsys := range map[string]vfs.FS{"memfs": memfs.New(), "afero": aferofs.New(afero.NewMemMapFs())} {
		t.Run(name, func(t *testing.T) {
			root, err := vfs.NewRoot(fsys)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(root.MkdirAll("mnt", 0o755), root.WriteFile("mnt/test.txt", []byte("hello world!"), 0o644)); err != nil {
				t.Fatal(err)
			}
			config := wazero.NewModuleConfig().WithFSConfig(wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(wazerofs.New(fsys), "/"))
			manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmFile{Path: filepath.Join(dir, "wasm", "fs.wasm")}}}
			p, err := extism.NewPlugin(ctx, manifest, extism.PluginConfig{EnableWasi: true, ModuleConfig: config}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(ctx)
			code, out, err := p.Call("run_test", nil)
			if err != nil || code != 0 || string(out) != "hello world!" {
				t.Errorf("%d, %q, %v", code, out, err)
			}
		})
	}
}
