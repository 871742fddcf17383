package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/spf13/afero"
	"github.com/stealthrocket/wasi-go/imports"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/bench/minimal"
	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/virt"
)

// host is somebody who answers a guest's calls: run calls its export run(n).
type host struct {
	name     string
	readOnly bool
	start    func(b *testing.B, row *guestloop.Row) (run func(n uint64) (errno uint64, err error))
}

var hosts = []host{
	{"floor", false, floor},
	{"memfs", false, nil}, // nil: one of mounts
	{"minimal", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		return wazeros(b, row, small(row.Files()).Config())
	}},
	{"aferofs", false, nil},
	{"hostfs", false, nil},
	{"overlay", false, nil},
	{"wazero-dir", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		return wazeros(b, row, wazero.NewFSConfig().WithDirMount(directory(b, row.Files()), "/"))
	}},
	{"wazero-fs", true, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files := fstest.MapFS{}
		for name, size := range row.Files() {
			files[name] = &fstest.MapFile{Data: make([]byte, size), Mode: 0o644}
		}
		return wazeros(b, row, wazero.NewFSConfig().WithFSMount(files, "/"))
	}},
	{"wazy", false, wazys},
	{"wasi-go", false, wasigo},
}

// mounts are the file systems of this library that are measured, with files in them, by size.
var mounts = map[string]func(b *testing.B, files map[string]int64) vfs.FS{
	"memfs": func(b *testing.B, files map[string]int64) vfs.FS {
		fsys := memfs.New(memfs.WithMaxFileSize(1 << 40))
		for _, dir := range guestloop.Directories() {
			check(b, fsys.MkdirAll(dir))
		}
		for name, size := range files {
			check(b, fsys.WriteFile(name, make([]byte, size)))
		}
		return fsys
	},
	"aferofs": func(b *testing.B, files map[string]int64) vfs.FS { return aferofs.New(aferos(b, files)) },
	"hostfs":  func(b *testing.B, files map[string]int64) vfs.FS { return machine(b, files) },
	"overlay": func(b *testing.B, files map[string]int64) vfs.FS {
		return overlayfs.New(machine(b, files), memfs.New())
	},
	"quotafs": func(b *testing.B, files map[string]int64) vfs.FS {
		return quotafs.New(memfs.New(), quotafs.Limits{Bytes: 1 << 40, Inodes: 1 << 30})
	},
}

func machine(b *testing.B, files map[string]int64) vfs.FS {
	fsys, err := hostfs.New(directory(b, files))
	check(b, err)
	return fsys
}

func aferos(b *testing.B, files map[string]int64) afero.Fs {
	fs := afero.NewMemMapFs()
	for _, dir := range guestloop.Directories() {
		check(b, fs.MkdirAll(dir, 0o755))
	}
	for name, size := range files {
		check(b, afero.WriteFile(fs, name, make([]byte, size), 0o644))
	}
	return fs
}

func small(files map[string]int64) *minimal.FS {
	fsys := minimal.New()
	for name, size := range files {
		fsys.WriteFile(name, make([]byte, size))
	}
	return fsys
}

// BenchmarkPeers times each row of guestloop.Rows on each host, in turn, and what of it native code
// can do. What is to be compared was run side by side; ns/call is per call, also where a row makes
// several.
func BenchmarkPeers(b *testing.B) {
	for _, row := range guestloop.Rows() {
		for _, h := range hosts {
			if row.Changes && h.readOnly {
				continue
			}
			b.Run(h.name+"/"+row.Name, func(b *testing.B) {
				start := h.start
				if mount := mounts[h.name]; mount != nil {
					start = func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
						return wasivirt(b, newHost(b), row, mount(b, row.Files()))
					}
				}
				run := start(b, &row)
				timed(b, row.Times(), func() { called(b, run) })
			})
		}
		for _, n := range natives {
			if f := n.operation(&row); f != nil {
				b.Run(n.name+"/"+row.Name, func(b *testing.B) {
					op := f(b)
					timed(b, row.Times(), func() {
						for i := range b.N {
							for range row.Times() {
								op(i)
							}
						}
					})
				})
			}
		}
	}
}

// timed reports the processor time of a call, of which f makes times at each of b.N turns, and of
// all.
func timed(b *testing.B, times int, f func()) {
	runtime.GC() // of what preparing has left, which would be collected while the calls are timed
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime()
	f()
	took := cpuTime() - start
	b.StopTimer()
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*times), "ns/call")
	b.ReportMetric(float64(took.Nanoseconds()), "cpu-ns")
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// directory is a directory of the machine with files in it, by size.
func directory(b *testing.B, files map[string]int64) string {
	b.Helper()
	root := b.TempDir()
	for _, dir := range guestloop.Directories() {
		check(b, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for name, size := range files {
		check(b, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		check(b, os.WriteFile(filepath.Join(root, name), make([]byte, size), 0o644))
	}
	return root
}

func call(b *testing.B, fn api.Function) func(uint64) (uint64, error) {
	ctx := b.Context()
	return func(n uint64) (uint64, error) {
		results, err := fn.Call(ctx, n)
		if err != nil {
			return 0, err
		}
		return results[0], nil
	}
}

// floor is host functions that do nothing.
func floor(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
	ctx := b.Context()
	r := newRuntime(b)
	_, err := guestloop.InstantiateFloor(ctx, r, row.Calls)
	check(b, err)
	mod, err := r.Instantiate(ctx, row.Floor())
	check(b, err)
	return call(b, mod.ExportedFunction("run"))
}

func newRuntime(b *testing.B) wazero.Runtime {
	r := wazero.NewRuntime(b.Context())
	b.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// newHost returns a Host of this library.
func newHost(b *testing.B) *virt.Host {
	h, err := virt.NewBuilder(virt.WithClock(clock.NewVirtual()), virt.WithSeed(1)).Build(b.Context())
	check(b, err)
	b.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func wasivirt(b *testing.B, h *virt.Host, row *guestloop.Row, files vfs.FS) func(uint64) (uint64, error) {
	ctx := b.Context()
	m, err := h.Compile(ctx, row.Module())
	check(b, err)
	opts := []virt.GuestOption{virt.WithMount("/", files), virt.WithArgs(guestloop.Args()...)}
	for _, v := range guestloop.Env() {
		opts = append(opts, virt.WithEnv(v[0], v[1]))
	}
	g, err := h.Instantiate(ctx, m, opts...)
	check(b, err)
	return func(n uint64) (uint64, error) {
		results, err := g.Call(ctx, "run", n)
		if err != nil {
			return 0, err
		}
		return results[0], nil
	}
}

// wazeros is wazero's built-in WASI.
func wazeros(b *testing.B, row *guestloop.Row, files wazero.FSConfig) func(uint64) (uint64, error) {
	ctx := b.Context()
	r := newRuntime(b)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, row.Module())
	check(b, err)
	config := wazero.NewModuleConfig().WithArgs(append([]string{"bench"}, guestloop.Args()...)...).
		WithSysNanotime().WithSysWalltime().WithFSConfig(files)
	for _, v := range guestloop.Env() {
		config = config.WithEnv(v[0], v[1])
	}
	mod, err := r.InstantiateModule(ctx, compiled, config)
	check(b, err)
	return call(b, mod.ExportedFunction("run"))
}

// wasigo is github.com/stealthrocket/wasi-go.
func wasigo(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
	r := newRuntime(b)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(b, err)
	b.Cleanup(func() { null.Close() })
	var env []string
	for _, v := range guestloop.Env() {
		env = append(env, v[0]+"="+v[1])
	}
	fd := int(null.Fd())
	ctx, system, err := imports.NewBuilder().WithName("bench").WithArgs(guestloop.Args()...).WithEnv(env...).
		WithStdio(fd, fd, fd).WithDirs(directory(b, row.Files())).Instantiate(b.Context(), r)
	check(b, err)
	b.Cleanup(func() { system.Close(context.Background()) })
	mod, err := r.Instantiate(ctx, row.Module())
	check(b, err)
	fn := mod.ExportedFunction("run")
	return func(n uint64) (uint64, error) {
		results, err := fn.Call(ctx, n)
		if err != nil {
			return 0, err
		}
		return results[0], nil
	}
}
