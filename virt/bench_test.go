package virt_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// BenchmarkCall is one row for each operation of interest: what it costs a guest, and the floor, which is what a
// host function with the same parameters costs that does nothing.
func BenchmarkCall(b *testing.B) {
	for _, row := range guestloop.Rows() {
		b.Run(row.Name+"/floor", func(b *testing.B) {
			host := newHost(b, virt.WithModules(floorOf(row.Calls)))
			runLoop(b, host, row.Floor(), &row)
		})
		b.Run(row.Name+"/memfs", func(b *testing.B) {
			host := newHost(b, virt.WithClock(clock.NewVirtual()), virt.WithSeed(1))
			opts := []virt.Option{virt.WithMount("/", benchFiles(b, &row)), virt.WithArgs(guestloop.Args()...), virt.WithName("bench")}
			for _, v := range guestloop.Env() {
				opts = append(opts, virt.WithEnv(v[0], v[1]))
			}
			runLoop(b, host, row.Module(), &row, opts...)
		})
	}
}

// runLoop times a loop of calls in a guest.
func runLoop(b *testing.B, host *virt.Host, wasm []byte, row *guestloop.Row, opts ...virt.Option) {
	b.Helper()
	ctx := b.Context()
	guest, err := host.Instantiate(ctx, compiled(b, host, wasm), opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer guest.Close(ctx)
	runtime.GC() // of what preparing has left, which would be collected while the calls are timed
	b.ReportAllocs()
	b.ResetTimer()
	results, err := guest.Call(ctx, "run", uint64(b.N))
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*row.Times()), "ns/call")
	if errno := wasip1.Errno(results[0]); errno != wasip1.ESUCCESS {
		b.Fatalf("a call answered %v", errno)
	}
}

// floorOf makes the module floor: functions with the parameters of calls that do nothing.
func floorOf(calls []guestloop.Call) func(wazero.Runtime) (api.Module, error) {
	return func(r wazero.Runtime) (api.Module, error) {
		return guestloop.InstantiateFloor(context.Background(), r, calls)
	}
}

// benchFiles is a file system with what the rows use.
func benchFiles(b *testing.B, row *guestloop.Row) vfs.FS {
	b.Helper()
	files := memfs.New(memfs.WithMaxFileSize(1 << 40))
	for _, dir := range guestloop.Directories() {
		if err := files.MkdirAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	for name, size := range row.Files() {
		if err := files.WriteFile(name, make([]byte, size)); err != nil {
			b.Fatal(err)
		}
	}
	return files
}
