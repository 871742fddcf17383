//go:build wasmtime

// Package pooling has wasmtime keep memories and instances in a pool, which its Go package has no
// option for.
package pooling

/*
typedef struct pooling pooling;
extern pooling *wasmtime_pooling_allocation_config_new(void);
extern void wasmtime_pooling_allocation_config_delete(pooling *);
extern void wasmtime_pooling_allocation_strategy_set(void *, const pooling *);
*/
import "C"

import (
	"unsafe"

	"github.com/bytecodealliance/wasmtime-go/v37"
)

// Enable makes engines of config allocate from a pool with wasmtime's default limits. Pages go back
// to a memory's image by copy on write.
func Enable(config *wasmtime.Config) {
	p := C.wasmtime_pooling_allocation_config_new()
	defer C.wasmtime_pooling_allocation_config_delete(p)
	C.wasmtime_pooling_allocation_strategy_set(*(*unsafe.Pointer)(unsafe.Pointer(config)), p)
}
