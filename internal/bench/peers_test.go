package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/stealthrocket/wasi-go/imports"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/bench/minimal"
	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
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
	{"memfs", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files := memfs.New(memfs.WithMaxFileSize(1 << 40))
		for _, dir := range guestloop.Directories() {
			check(b, files.MkdirAll(dir))
		}
		for name, size := range row.Files() {
			check(b, files.WriteFile(name, make([]byte, size)))
		}
		return wasivirt(b, row, files)
	}},
	{"minimal", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files := minimal.New()
		for name, size := range row.Files() {
			files.WriteFile(name, make([]byte, size))
		}
		return wazeros(b, row, files.Config())
	}},
	{"hostfs", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files, err := hostfs.New(directory(b, row))
		check(b, err)
		return wasivirt(b, row, files)
	}},
	{"overlay", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files, err := hostfs.New(directory(b, row))
		check(b, err)
		return wasivirt(b, row, overlayfs.New(files, memfs.New()))
	}},
	{"wazero-dir", false, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		return wazeros(b, row, wazero.NewFSConfig().WithDirMount(directory(b, row), "/"))
	}},
	{"wazero-fs", true, func(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
		files := fstest.MapFS{}
		for name, size := range row.Files() {
			files[name] = &fstest.MapFile{Data: make([]byte, size), Mode: 0o644}
		}
		return wazeros(b, row, wazero.NewFSConfig().WithFSMount(files, "/"))
	}},
	{"wasi-go", false, wasigo},
}

// BenchmarkPeers times each row of guestloop.Rows on each host, in turn, and what of it native code can do. What is
// to be compared was run side by side; ns/call is per call, also where a row makes several.
func BenchmarkPeers(b *testing.B) {
	for _, row := range guestloop.Rows() {
		for _, h := range hosts {
			if row.Changes && h.readOnly {
				continue
			}
			b.Run(h.name+"/"+row.Name, func(b *testing.B) {
				run := h.start(b, &row)
				timed(b, row.Times(), func() {
					errno, err := run(uint64(b.N))
					check(b, err)
					if errno != 0 {
						b.Fatalf("a call answered %d", errno)
					}
				})
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

// timed reports the processor time of a call, of which f makes times at each of b.N turns.
func timed(b *testing.B, times int, f func()) {
	runtime.GC() // of what preparing has left, which would be collected while the calls are timed
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime()
	f()
	took := cpuTime() - start
	b.StopTimer()
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*times), "ns/call")
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// directory is a directory of the machine with what the rows use.
func directory(b *testing.B, row *guestloop.Row) string {
	b.Helper()
	root := b.TempDir()
	for _, dir := range guestloop.Directories() {
		check(b, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for name, size := range row.Files() {
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

func wasivirt(b *testing.B, row *guestloop.Row, files vfs.FS) func(uint64) (uint64, error) {
	ctx := b.Context()
	h, err := virt.NewBuilder(virt.WithClock(clock.NewVirtual()), virt.WithSeed(1)).Build(ctx)
	check(b, err)
	b.Cleanup(func() { h.Close(context.Background()) })
	m, err := h.Compile(ctx, row.Module())
	check(b, err)
	opts := []virt.GuestOption{virt.WithMount("/", files), virt.WithArgs(guestloop.Args()...), virt.WithName("bench")}
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
		WithStdio(fd, fd, fd).WithDirs(directory(b, row)).Instantiate(b.Context(), r)
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
