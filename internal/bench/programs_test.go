package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stealthrocket/wasi-go/imports"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/virt"
)

// filesC is programs/files.c.
//
//go:embed programs/files.wasm
var filesC []byte

// programFiles is how many files a program writes, finds, reads and removes.
const programFiles = 300

// runner prepares a program for many runs on a host; run runs it once and returns what it printed.
// A time that is not 0 is the processor time of the run, where that is not this process's.
type runner func(b *testing.B, wasm []byte) (run func() (printed string, took time.Duration))

var programHosts = []struct {
	name  string
	start runner
}{
	{"memfs", nil}, {"hostfs", nil}, {"overlay", nil}, {"aferofs", nil}, {"quotafs", nil}, // nil: one of mounts
	{"minimal", func(b *testing.B, wasm []byte) func() (string, time.Duration) {
		return wazeroProgram(b, wasm, small(nil).Config())
	}},
	{"wazero-dir", func(b *testing.B, wasm []byte) func() (string, time.Duration) {
		return wazeroProgram(b, wasm, wazero.NewFSConfig().WithDirMount(b.TempDir(), "/"))
	}},
	{"wazy", wazyProgram},
	{"wasi-go", wasigoProgram},
	{"node", nodeProgram},
}

// BenchmarkPrograms runs whole programs from instantiation to end. They leave nothing behind, so
// that each run finds what the first found.
func BenchmarkPrograms(b *testing.B) {
	inGo, err := goguest.Build(b.Context(), "./programs/files")
	check(b, err)
	for _, p := range []struct {
		name string
		wasm []byte
	}{{"C", filesC}, {"Go", inGo}} {
		for _, h := range programHosts {
			b.Run(h.name+"/program/"+p.name, func(b *testing.B) {
				start := h.start
				if start == nil {
					start = func(b *testing.B, wasm []byte) func() (string, time.Duration) { return ourProgram(b, h.name, wasm) }
				}
				run := start(b, p.wasm)
				run() // what is compiled or opened once is not timed
				var elsewhere time.Duration
				first := ""
				timed(b, 1, func() {
					for range b.N {
						printed, took := run()
						if elsewhere += took; first == "" {
							first = printed
						}
						if printed != first || len(strings.TrimSpace(printed)) != 16 {
							b.Fatalf("it printed %q, after %q", printed, first)
						}
					}
				})
				if elsewhere > 0 {
					b.ReportMetric(float64(elsewhere.Nanoseconds())/float64(b.N), "ns/call")
				}
			})
		}
	}
}

var programArgs = []string{"files", strconv.Itoa(programFiles)}

func ourProgram(b *testing.B, mount string, wasm []byte) func() (string, time.Duration) {
	ctx := b.Context()
	h := newHost(b)
	m, err := h.Compile(ctx, wasm)
	check(b, err)
	fsys := mounts[mount](b, nil)
	if mount != "quotafs" { // which is empty
		root, err := vfs.NewRoot(fsys)
		check(b, err)
		for _, dir := range []string{"d", "many"} {
			check(b, root.RemoveAll(dir))
		}
	}
	return func() (string, time.Duration) {
		var out bytes.Buffer
		r, err := h.RunModule(ctx, m, virt.WithMount("/", fsys), virt.WithArgs(programArgs[1]), virt.WithStdout(&out))
		check(b, err)
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		return out.String(), 0
	}
}

func wazeroProgram(b *testing.B, wasm []byte, files wazero.FSConfig) func() (string, time.Duration) {
	ctx := b.Context()
	r := newRuntime(b)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, wasm)
	check(b, err)
	return func() (string, time.Duration) {
		var out bytes.Buffer
		mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithArgs(programArgs...).
			WithSysNanotime().WithSysWalltime().WithStdout(&out).WithStderr(os.Stderr).WithFSConfig(files))
		if mod != nil {
			check(b, mod.Close(ctx))
		}
		ended(b, err)
		return out.String(), 0
	}
}

// ended fails the benchmark unless err is that of a program that ended with 0, or nil.
func ended(b *testing.B, err error) {
	if err != nil && !strings.Contains(err.Error(), "exit_code(0)") {
		b.Fatal(err)
	}
}

func wasigoProgram(b *testing.B, wasm []byte) func() (string, time.Duration) {
	ctx := b.Context()
	r := newRuntime(b)
	compiled, err := r.CompileModule(ctx, wasm)
	check(b, err)
	dir := b.TempDir()
	out, err := os.Create(filepath.Join(b.TempDir(), "out"))
	check(b, err)
	b.Cleanup(func() { out.Close() })
	fd := int(out.Fd())
	return func() (string, time.Duration) {
		check(b, out.Truncate(0))
		_, err := out.Seek(0, 0)
		check(b, err)
		inner, system, err := imports.NewBuilder().WithName("files").WithArgs(programArgs[1], dir).WithStdio(fd, fd, fd).WithDirs(dir).Instantiate(ctx, r)
		check(b, err)
		mod, err := r.InstantiateModule(inner, compiled, wazero.NewModuleConfig().WithName(""))
		if mod != nil {
			check(b, mod.Close(ctx))
		}
		ended(b, err)
		check(b, system.Close(ctx))
		if wasi := r.Module("wasi_snapshot_preview1"); wasi != nil {
			check(b, wasi.Close(ctx))
		}
		printed, err := os.ReadFile(out.Name())
		check(b, err)
		return string(printed), 0
	}
}

// nodeScript runs a program with Node's WASI and prints what it used of the processor, in
// microseconds, from instantiation to its end.
const nodeScript = `
const { WASI } = require('node:wasi'), fs = require('node:fs');
const [file, dir, out, n] = process.argv.slice(1);
const module_ = new WebAssembly.Module(fs.readFileSync(file));
const fd = fs.openSync(out, 'w');
function run() {
	const wasi = new WASI({ version: 'preview1', args: ['files', n], preopens: { '/': dir }, stdout: fd, returnOnExit: true });
	if (wasi.start(new WebAssembly.Instance(module_, wasi.getImportObject())) !== 0) process.exit(1);
}
run();
const before = process.cpuUsage();
run();
const { user, system } = process.cpuUsage(before);
console.log(user + system);
`

func nodeProgram(b *testing.B, wasm []byte) func() (string, time.Duration) {
	node, err := exec.LookPath("node")
	if err != nil {
		b.Skip("node is not installed")
	}
	dir, scratch := b.TempDir(), b.TempDir()
	file, out := filepath.Join(scratch, "files.wasm"), filepath.Join(scratch, "out")
	check(b, os.WriteFile(file, wasm, 0o666))
	return func() (string, time.Duration) {
		cmd := exec.CommandContext(context.Background(), node, "--no-warnings", "-e", nodeScript, file, dir, out, programArgs[1])
		cmd.Stderr = os.Stderr
		told, err := cmd.Output()
		check(b, err)
		var micro int64
		_, err = fmt.Sscan(string(told), &micro)
		check(b, err)
		printed, err := os.ReadFile(out)
		check(b, err)
		lines := strings.Fields(string(printed)) // of both runs, where the file was not cut
		return lines[len(lines)-1], time.Duration(micro) * time.Microsecond
	}
}
