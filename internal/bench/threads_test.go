package main

import (
	_ "embed"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

//go:embed testdata/threads.wasm
var threadsWasm []byte

// BenchmarkThreads is one guest, and two at once on one Host and one file system, and one guest
// with one thread and with two, each in a directory of its own. ns/call is the processor time of an
// operation, which grows where guests wait for each other by spinning, or write to the same memory;
// wall-ns/call is the time that passed, which on a machine that does other things says little: two
// threads that only compute show what the machine has.
func BenchmarkThreads(b *testing.B) {
	files := map[string]int64{"1/file": 65536, "2/file": 65536}
	kinds := []string{"compute"}
	for _, row := range guestloop.Apart("1") {
		kinds = append(kinds, row.Name)
	}
	for _, mount := range []string{"memfs", "hostfs"} {
		for kind, name := range kinds {
			if kind > 0 {
				for guests := 1; guests <= 2; guests++ {
					b.Run(fmt.Sprintf("%s/%d guests: %s", mount, guests, name), func(b *testing.B) {
						defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // the table's rows have one
						h, fsys := newHost(b), mounts[mount](b, files)
						var runs []func(uint64) (uint64, error)
						for g := range guests {
							runs = append(runs, wasivirt(b, h, &guestloop.Apart(fmt.Sprint(g + 1))[kind-1], fsys))
						}
						timed(b, guests, func() {
							var all sync.WaitGroup
							for _, run := range runs {
								all.Go(func() {
									if errno, err := run(uint64(b.N)); err != nil || errno != 0 {
										b.Errorf("a call answered %d, %v", errno, err)
									}
								})
							}
							all.Wait()
						})
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*guests), "wall-ns/call")
					})
				}
			}
			for threads := 1; threads <= 2; threads++ {
				b.Run(fmt.Sprintf("%s/%d threads: %s", mount, threads, name), func(b *testing.B) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
					h := newHost(b)
					m, err := h.Compile(b.Context(), threadsWasm)
					check(b, err)
					g, err := h.Instantiate(b.Context(), m, virt.WithMount("/", mounts[mount](b, files)), virt.WithMaxThreads(2))
					check(b, err)
					timed(b, threads, func() {
						if results, err := g.Call(b.Context(), "run", uint64(threads), uint64(kind), uint64(b.N)); err != nil || results[0] != 0 {
							b.Errorf("a call answered %v, %v", results, err)
						}
					})
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*threads), "wall-ns/call")
				})
			}
		}
	}
}

// BenchmarkMemory is what a file takes of the heap, in bytes, its name of about ten bytes included.
func BenchmarkMemory(b *testing.B) {
	const files = 100_000
	name := func(i int) string { return fmt.Sprintf("d%d/file%d", i%100, i) }
	for _, c := range []struct {
		host string
		fill func() any
	}{
		{"memfs", func() any {
			fsys := memfs.New()
			for i := range files {
				check(b, fsys.WriteFile(name(i), nil))
			}
			return fsys
		}},
		{"minimal", func() any {
			fsys := small(nil)
			for i := range files {
				fsys.WriteFile(name(i), nil)
			}
			return fsys
		}},
	} {
		b.Run(c.host+"/bytes an entry", func(b *testing.B) {
			for range b.N {
				before := heap()
				kept := c.fill()
				b.ReportMetric(float64(heap()-before)/files, "ns/call")
				runtime.KeepAlive(kept)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
