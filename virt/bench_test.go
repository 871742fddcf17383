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

// BenchmarkCall is one row for each operation of interest: what it costs a guest, and the floor,
// which is what a host function with the same parameters costs that does nothing. "floors" is the
// one as a multiple of the other, which is what can be compared between machines.
func BenchmarkCall(b *testing.B) {
	for _, row := range guestloop.Rows() {
		floor := 0.0
		b.Run(row.Name+"/floor", func(b *testing.B) {
			host := newHost(b, virt.WithModules(floorOf(row.Calls)))
			floor = runLoop(b, host, row.Floor(), &row)
		})
		measure := func(b *testing.B, c clock.Clock) {
			host := newHost(b, virt.WithClock(c), virt.WithSeed(1))
			opts := []virt.GuestOption{virt.WithMount("/", benchFiles(b, &row)), virt.WithArgs(guestloop.Args()...), virt.WithName("bench")}
			for _, v := range guestloop.Env() {
				opts = append(opts, virt.WithEnv(v[0], v[1]))
			}
			if ns := runLoop(b, host, row.Module(), &row, opts...); floor > 0 {
				b.ReportMetric(ns/floor, "floors")
			}
		}
		b.Run(row.Name+"/memfs", func(b *testing.B) { measure(b, clock.NewVirtual()) })
		if row.Name == "clock_time_get" {
			b.Run(row.Name+"/real", func(b *testing.B) { measure(b, clock.Real()) })
		}
	}
}

// runLoop times a loop of calls in a guest, and returns the nanoseconds of each.
func runLoop(b *testing.B, host *virt.Host, wasm []byte, row *guestloop.Row, opts ...virt.GuestOption) float64 {
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
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N*row.Times())
	b.ReportMetric(ns, "ns/call")
	if errno := wasip1.Errno(results[0]); errno != wasip1.ESUCCESS {
		b.Fatalf("a call answered %v", errno)
	}
	return ns
}

// floorOf makes the module floor: functions with the parameters of calls that do nothing.
func floorOf(calls []guestloop.Call) func(wazero.Runtime) (api.Module, error) {
	return func(r wazero.Runtime) (api.Module, error) {
		return guestloop.InstantiateFloor(context.Background(), r, calls)
	}
}

// benchFiles is a file system with what the rows use.
func benchFiles(b testing.TB, row *guestloop.Row) vfs.FS {
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
