package virt_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// resources are what a guest could leave behind.
type resources struct {
	goroutines  int
	heap        uint64
	descriptors int // of the process; -1 where the system does not tell
}

func measure() resources {
	// Twice, because what a finalizer or cleanup lets go of is collected the next time.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r := resources{runtime.NumGoroutine(), m.HeapAlloc, -1}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		r.descriptors = 0
		for _, e := range entries {
			// The list of the process's pages is opened once, by the first that needs it.
			if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); !strings.HasSuffix(target, "/pagemap") {
				r.descriptors++
			}
		}
	}
	return r
}

// goroutinesBack waits until no more goroutines are there than before: what has been closed may be
// on its last instructions.
func goroutinesBack(before int) int {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if runtime.NumGoroutine() <= before {
			break
		}
		runtime.Gosched()
	}
	return runtime.NumGoroutine()
}

// expectNothingLeft compares what there is now with what there was.
func expectNothingLeft(t *testing.T, before resources, slack uint64) {
	t.Helper()
	goroutines := goroutinesBack(before.goroutines)
	after := measure()
	if goroutines > before.goroutines {
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", goroutines, before.goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if after.heap > before.heap+slack {
		t.Errorf("%d bytes of heap, %d before", after.heap, before.heap)
	}
	if after.descriptors > before.descriptors {
		t.Errorf("%d descriptors of the process, %d before", after.descriptors, before.descriptors)
	}
	t.Logf("before %+v, after %+v", before, after)
}

// tiny is a command that draws randomness and makes a directory by a name of it, and then goes on
// with body.
func tiny(body ...byte) []byte {
	return handModule{memory: 1, funcs: []handFunc{
		imported("random_get", "ii"),
		imported("proc_exit", "i"),
		imported("path_create_directory", "iii"),
		{name: "_start", body: append([]byte{
			// Whatever the bytes at 0 are by then, and whether they make a name: nobody looks at
			// the answers.
			opI32Const, 0, opI32Const, 4, opCall, 0, opDrop,
			opI32Const, 3, opI32Const, 0, opI32Const, 1, opCall, 2, opDrop,
		}, body...)},
	}}.encode()
}

// TestManyGuestsLeaveNothing runs thousands of guests on one Host, four at a time.
func TestManyGuestsLeaveNothing(t *testing.T) {
	total := int64(sized(2_000, 10_000))
	if testing.Short() {
		total = 500
	}
	ends := []struct {
		wasm []byte
		want virt.Outcome
	}{
		{tiny(), virt.Exited},
		{tiny(opI32Const, 3, opCall, 1), virt.Exited},
		{tiny(opUnreachable), virt.Trapped},
		{tiny(0x03, 0x40, 0x0c, 0, opEnd), virt.Exhausted}, // a loop without an end
	}
	ctx := context.Background()
	host := newHost(t, virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) { return memfs.New(), nil }), virt.WithSeed(1))
	var modules []*virt.Module
	for _, e := range ends {
		modules = append(modules, compiled(t, host, e.wasm))
	}
	var next atomic.Int64
	run := func(total int64) {
		next.Store(0)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for n := next.Add(1); n <= total; n = next.Add(1) {
					i := int(n) % 3
					var opts []virt.GuestOption
					if n%200 == 0 { // those that have to be stopped take the longest
						i, opts = 3, []virt.GuestOption{virt.WithTimeout(time.Millisecond)}
					}
					result, err := host.RunModule(ctx, modules[i], opts...)
					if err != nil || result.Outcome != ends[i].want {
						t.Errorf("guest %d: %v, %v, want %v", n, result, err, ends[i].want)
						return
					}
				}
			})
		}
		group.Wait()
	}
	run(200) // what is made once is there
	before := measure()
	run(total)
	expectNothingLeft(t, before, 4<<20)
}

// TestManyModulesLeaveNothing compiles each guest anew.
func TestManyModulesLeaveNothing(t *testing.T) {
	total := sized(200, 500)
	if testing.Short() {
		total = 50
	}
	host := newHost(t)
	run := func(total int) {
		for range total {
			if result, err := host.Run(t.Context(), tiny()); err != nil || !result.Success() {
				t.Fatalf("%v, %v", result, err)
			}
		}
	}
	run(20)
	before := measure()
	run(total)
	expectNothingLeft(t, before, 4<<20)
}

// TestManyHostsLeaveNothing makes and closes Hosts with a guest that has not ended.
func TestManyHostsLeaveNothing(t *testing.T) {
	total := 100
	if testing.Short() {
		total = 10
	}
	run := func(total int) {
		for range total {
			host, err := virt.NewBuilder().Build(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := host.Instantiate(t.Context(), compiled(t, host, trapping())); err != nil {
				t.Fatal(err)
			}
			if err := host.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(5)
	before := measure()
	run(total)
	expectNothingLeft(t, before, 4<<20)
}

// Hosts in a runtime of the embedder's leave nothing in it.
func TestHostsLeaveNothingInARuntime(t *testing.T) {
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	var hosts []weak.Pointer[virt.Host]
	for range 3 {
		host, err := virt.NewBuilder(virt.WithRuntime(r)).Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, weak.Make(host))
		if err := host.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	for i, h := range hosts[:len(hosts)-1] { // wazero forgets the code that it freed last when it compiles again
		if h.Value() != nil {
			t.Errorf("Host %d is still referred to", i)
		}
	}
}
