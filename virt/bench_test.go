package virt_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// call is one call of a function in a guest's loop. An argument that is a from is loaded from guest memory.
type call struct {
	name string
	args []any
}

// from is the address that an i32 argument is loaded from.
type from uint32

// loop is a module whose export run(n) makes the calls of before once and the others n times, on a memory
// that has data at address 0, and returns all their results or-ed. Its calls go to module.
func loop(module string, data []byte, before, calls []call) []byte {
	var types, imports, body []byte
	for i, c := range append(before[:len(before):len(before)], calls...) {
		if i == len(before) {
			body = append(body, 0x03, 0x40) // loop
		}
		types = append(types, 0x60)
		types = binary.AppendUvarint(types, uint64(len(c.args)))
		for j, a := range c.args {
			wide := false
			switch a := a.(type) {
			case from:
				body = append(body, 0x41, 0, 0x28, 2)
				body = binary.AppendUvarint(body, uint64(a))
			case int:
				body = append(body, 0x41)
				body = appendSigned(body, int64(a))
			case uint64:
				wide = true
				body = append(body, 0x42)
				body = appendSigned(body, int64(a))
			default:
				panic(fmt.Sprintf("argument %d of %s", j, c.name))
			}
			if wide {
				types = append(types, 0x7e)
			} else {
				types = append(types, 0x7f)
			}
		}
		types = append(types, 1, 0x7f)
		imports = appendName(appendName(imports, module), c.name)
		imports = append(imports, 0, byte(i))
		body = append(body, 0x10, byte(i), 0x20, 1, 0x72, 0x21, 1) // call, or into local 1
	}
	n := byte(len(before) + len(calls))
	types = append(types, 0x60, 1, 0x7f, 1, 0x7f) // run
	body = append([]byte{1, 1, 0x7f}, body...)
	body = append(body, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 1, 0x0b)
	wasm := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		wasm = append(binary.AppendUvarint(append(wasm, id), uint64(len(content))), content...)
	}
	section(1, append([]byte{n + 1}, types...))
	section(2, append([]byte{n}, imports...))
	section(3, []byte{1, n})
	section(5, []byte{1, 0, 4})
	section(7, append(append(appendName([]byte{2}, "run"), 0, n), append(appendName(nil, "memory"), 2, 0)...))
	section(10, append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...))
	section(11, append(binary.AppendUvarint([]byte{1, 0, 0x41, 0, 0x0b}, uint64(len(data))), data...))
	return wasm
}

func appendName(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// benchmarkAfter times the calls in a guest of host, after others that are made once.
func benchmarkAfter(b *testing.B, host *virt.Host, data []byte, opts []virt.Option, before, calls []call) {
	b.Helper()
	ctx := b.Context()
	module, err := host.Compile(ctx, loop(virt.ModuleName, data, before, calls))
	if err != nil {
		b.Fatal(err)
	}
	guest, err := host.Instantiate(ctx, module, opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer guest.Close(ctx)
	b.ReportAllocs()
	b.ResetTimer()
	results, err := guest.Call(ctx, "run", uint64(b.N))
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(calls)), "ns/call")
	if errno := wasip1.Errno(results[0]); errno != wasip1.ESUCCESS {
		b.Fatalf("a call answered %v", errno)
	}
}

// benchmarkFloor times calls of a host function with the same parameters that returns 0, in a module that is
// rewritten as the Host's are.
func benchmarkFloor(b *testing.B, calls ...call) {
	b.Helper()
	ctx := b.Context()
	host := newHost(b, virt.WithModules(func(r wazero.Runtime) (api.Module, error) {
		m := r.NewHostModuleBuilder("floor")
		seen := map[string]bool{}
		for _, c := range calls {
			if seen[c.name] {
				continue
			}
			seen[c.name] = true
			var params []api.ValueType
			for _, a := range c.args {
				if _, wide := a.(uint64); wide {
					params = append(params, api.ValueTypeI64)
				} else {
					params = append(params, api.ValueTypeI32)
				}
			}
			m.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
				stack[0] = 0
			}), params, []api.ValueType{api.ValueTypeI32}).Export(c.name)
		}
		return m.Instantiate(ctx)
	}))
	module, err := host.Compile(ctx, loop("floor", nil, nil, calls))
	if err != nil {
		b.Fatal(err)
	}
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		b.Fatal(err)
	}
	defer guest.Close(ctx)
	b.ResetTimer()
	if _, err := guest.Call(ctx, "run", uint64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(calls)), "ns/call")
}

// Addresses in the memory of a guest that calls in a loop.
const (
	resultAt = 0x100  // results of 8 bytes or less
	statAt   = 0x140  // a filestat
	iovAt    = 0x200  // iovecs
	pathAt   = 0x400  // a path
	path2At  = 0x600  // another
	subAt    = 0x800  // subscriptions
	eventAt  = 0x900  // events
	bufferAt = 0x1000 // 64 KiB and more
)

// guestData lays out memory: paths, and iovecs of n buffers of size bytes.
func guestData(path, path2 string, n, size int) []byte {
	data := make([]byte, 0x1000)
	copy(data[pathAt:], path)
	copy(data[path2At:], path2)
	for i := range n {
		wasip1.Iovec{Buf: uint32(bufferAt + i*size), Len: uint32(size)}.Encode(data[iovAt+i*wasip1.SizeIovec:])
	}
	// A subscription for a time that has passed.
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 1, Flags: wasip1.SubclockAbstime}}
	s.Encode(data[subAt:])
	return data
}

// BenchmarkCall is one row for each operation of interest: what it costs a guest, and the floor, which is what a
// host function with the same parameters costs that does nothing.
func BenchmarkCall(b *testing.B) {
	const root = 3
	deep := strings.Repeat("d/", 7) + "file"
	write := func(fd any) call { return call{"fd_write", []any{fd, iovAt, 1, resultAt + 8}} }
	pread := call{"fd_pread", []any{from(resultAt), iovAt, 1, uint64(0), resultAt + 8}}
	open := func(path string, oflags int) call {
		return call{"path_open", []any{root, 0, pathAt, len(path), oflags, uint64(wasip1.RightsFile), uint64(0), 0, resultAt}}
	}
	closing := call{"fd_close", []any{from(resultAt)}}
	stat := func(path string) call {
		return call{"path_filestat_get", []any{root, 0, pathAt, len(path), statAt}}
	}
	rows := []struct {
		name   string
		path   string
		path2  string
		n      int
		size   int
		before []call // once: opens a file for the calls
		calls  []call
	}{
		{name: "sched_yield", calls: []call{{"sched_yield", nil}}},
		{name: "clock_time_get", calls: []call{{"clock_time_get", []any{1, uint64(0), resultAt}}}},
		{name: "random_get/32", calls: []call{{"random_get", []any{bufferAt, 32}}}},
		{name: "random_get/65536", calls: []call{{"random_get", []any{bufferAt, 65536}}}},
		{name: "args_get", calls: []call{{"args_get", []any{bufferAt, bufferAt + 100}}}},
		{name: "environ_get", calls: []call{{"environ_get", []any{bufferAt, bufferAt + 100}}}},
		{name: "fd_write/discarded", n: 1, size: 1, calls: []call{write(1)}},
		{name: "fd_pwrite/1", n: 1, size: 1, before: []call{open("file", 0)}, path: "file",
			calls: []call{{"fd_pwrite", []any{from(resultAt), iovAt, 1, uint64(0), resultAt + 8}}}},
		{name: "fd_pread/1", n: 1, size: 1, before: []call{open("file", 0)}, path: "file", calls: []call{pread}},
		{name: "fd_pread/4096", n: 1, size: 4096, before: []call{open("file", 0)}, path: "file", calls: []call{pread}},
		{name: "fd_pread/65536", n: 1, size: 65536, before: []call{open("file", 0)}, path: "file", calls: []call{pread}},
		{name: "fd_pread/8x512", n: 8, size: 512, before: []call{open("file", 0)}, path: "file",
			calls: []call{{"fd_pread", []any{from(resultAt), iovAt, 8, uint64(0), resultAt + 8}}}},
		{name: "fd_pwrite/8x512", n: 8, size: 512, before: []call{open("file", 0)}, path: "file",
			calls: []call{{"fd_pwrite", []any{from(resultAt), iovAt, 8, uint64(0), resultAt + 8}}}},
		{name: "fd_write/append/1", n: 1, size: 1, before: []call{appending}, path: "log", calls: bounded(write(from(resultAt)))},
		{name: "fd_write/append/4096", n: 1, size: 4096, before: []call{appending}, path: "log", calls: bounded(write(from(resultAt)))},
		{name: "fd_read/1", n: 1, size: 1, before: []call{open("big", 0)}, path: "big",
			calls: []call{{"fd_read", []any{from(resultAt), iovAt, 1, resultAt + 8}}}},
		{name: "path_open+fd_close/1", path: "file", calls: []call{open("file", 0), closing}},
		{name: "path_open+fd_close/8", path: deep, calls: []call{open(deep, 0), closing}},
		{name: "path_filestat_get/1", path: "file", calls: []call{stat("file")}},
		{name: "path_filestat_get/8", path: deep, calls: []call{stat(deep)}},
		{name: "create+close+unlink", path: "new", calls: []call{open("new", int(wasip1.OCreat)), closing,
			{"path_unlink_file", []any{root, pathAt, 3}}}},
		{name: "rename", path: "one", path2: "two", calls: []call{{"path_rename", []any{root, pathAt, 3, root, path2At, 3}},
			{"path_rename", []any{root, path2At, 3, root, pathAt, 3}}}},
		{name: "poll_oneoff/due", calls: []call{{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}}}},
	}
	for _, row := range rows {
		b.Run(row.name+"/floor", func(b *testing.B) { benchmarkFloor(b, row.calls...) })
		b.Run(row.name+"/memfs", func(b *testing.B) {
			opts := []virt.Option{virt.WithMount("/", benchFiles(b, deep)), virt.WithArgs("first", "second"), virt.WithName("bench")}
			for i := range 10 {
				opts = append(opts, virt.WithEnv(fmt.Sprintf("VARIABLE_%d", i), "value"))
			}
			host := newHost(b, virt.WithClock(clock.NewVirtual()), virt.WithSeed(1))
			benchmarkAfter(b, host, guestData(row.path, row.path2, row.n, row.size), opts, row.before, row.calls)
		})
	}
}

// bounded repeats a write and then empties the file, which would otherwise fill the machine's memory.
func bounded(write call) (calls []call) {
	for range 100 {
		calls = append(calls, write)
	}
	return append(calls, call{"fd_filestat_set_size", []any{from(resultAt), uint64(0)}})
}

var appending = call{"path_open", []any{3, 0, pathAt, 3, int(wasip1.OCreat), uint64(wasip1.RightsFile), uint64(0), int(wasip1.FdAppend), resultAt}}

// benchFiles is a file system with what the rows of BenchmarkCall use.
func benchFiles(b *testing.B, deep string) vfs.FS {
	b.Helper()
	files := memfs.New(memfs.WithMaxFileSize(1 << 40))
	if err := files.MkdirAll(strings.TrimSuffix(deep, "/file")); err != nil {
		b.Fatal(err)
	}
	content := make([]byte, 65536)
	for name, data := range map[string][]byte{"file": content, deep: content, "one": nil, "big": make([]byte, 64<<20)} {
		if err := files.WriteFile(name, data); err != nil {
			b.Fatal(err)
		}
	}
	return files
}
