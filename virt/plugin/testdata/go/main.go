// A plugin in Go that does what ../abi.c does.
package main

import (
	"errors"
	"runtime"
	"strings"
	"structs"
	"unsafe"

	"github.com/wasivirt/wasivirt/virt/plugin/pdk"
)

func main() {}

//go:wasmexport upper
func upper(s string) uint64 {
	if s == "" {
		return pdk.Error(errors.New("nothing to do"))
	}
	return pdk.String(strings.ToUpper(s))
}

//go:wasmexport sum
func sum(p unsafe.Pointer, n uint32) (total int64) {
	for _, v := range pdk.Slice[int32](p, n) {
		total += int64(v)
	}
	return total
}

//go:wasmexport scale
func scale(x, y float64, label string, by float32) uint64 {
	ptr, n := pdk.Pin([]byte(label + "!"))
	return pdk.Value(&point{X: x * float64(by), Y: y * float64(by), Label: ptr, LabelLen: n})
}

type point struct {
	_               structs.HostLayout
	X, Y            float64
	Label, LabelLen uint32
}

//go:wasmexport check
func check(ok bool) uint64 {
	if ok {
		return 0
	}
	return pdk.Error(errors.New("not ok"))
}

//go:wasmimport env lookup
func lookup(key string) uint64

//go:wasmexport ask
func ask(key string) uint64 { return pdk.Result(pdk.TakeString(lookup(key))) }

// heap is how many bytes are in use.
//
//go:wasmexport heap
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

//go:wasmexport trap
func trap(s string) { panic(s) }
