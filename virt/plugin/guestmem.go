package plugin

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/wasip1"
)

// allocator is how memory of a guest is got and given back.
type allocator struct {
	alloc, free           string // "" if there is none
	allocParams, freeArgs int    // how many parameters they take
	// calleeOwns: the guest frees parameters, and results by cabi_post_NAME.
	calleeOwns     bool
	assemblyScript bool
}

// allocatorOf finds the allocator of a guest. The zero allocator means that it has none.
func allocatorOf(defs map[string]api.FunctionDefinition, o *options) (a allocator, err error) {
	switch {
	case o.alloc != "":
		a.alloc, a.free = o.alloc, o.free
		for _, name := range []string{a.alloc, a.free} {
			if defs[name] == nil {
				return a, fmt.Errorf("WithAllocator: the guest exports no function %s", safetext.Quote(name))
			}
		}
	case defs["malloc"] != nil && defs["free"] != nil:
		a.alloc, a.free = "malloc", "free"
	case defs["__new"] != nil && defs["__pin"] != nil && defs["__unpin"] != nil:
		if i32s(defs["__new"], 1) != 2 || i32s(defs["__pin"], 1) != 1 || i32s(defs["__unpin"], 0) != 1 {
			return a, errors.New("__new, __pin and __unpin are not those of AssemblyScript's runtime")
		}
		a.assemblyScript = true
		return a, nil
	case defs["cabi_realloc"] != nil:
		a.alloc, a.calleeOwns = "cabi_realloc", true
	default:
		return a, nil
	}
	a.allocParams = i32s(defs[a.alloc], 1)
	if a.allocParams != 1 && a.allocParams != 2 && a.allocParams != 4 {
		return a, fmt.Errorf("the export %s must take (size), (size, align) or (old, oldSize, align, size) and return a pointer, all i32",
			safetext.Quote(a.alloc))
	}
	if a.free != "" {
		if a.freeArgs = i32s(defs[a.free], 0); a.freeArgs < 1 || a.freeArgs > 3 {
			return a, fmt.Errorf("the export %s must take (pointer), (pointer, size) or (pointer, size, align) and return nothing, all i32",
				safetext.Quote(a.free))
		}
	}
	return a, nil
}

// i32s returns how many parameters f takes, or -1 if one of them, or a result, is no i32, or the
// results are another number.
func i32s(f api.FunctionDefinition, results int) int {
	if len(f.ResultTypes()) != results {
		return -1
	}
	for _, types := range [][]api.ValueType{f.ParamTypes(), f.ResultTypes()} {
		for _, t := range types {
			if t != api.ValueTypeI32 {
				return -1
			}
		}
	}
	return len(f.ParamTypes())
}

// block is memory that the guest's allocator gave out.
type block struct{ ptr, size, align uint32 }

// transfer moves values between Go and the guest for one call.
type transfer struct {
	host  *virt.HostCall
	name  string
	alloc *allocator
	left  uint64 // how many bytes may still be taken for what comes from the guest
	keeps bool   // results are not freed
	// given are blocks that the host allocated and frees after the call; taken are blocks of the
	// results.
	given, taken []block
	space        [4]block
}

func (x *transfer) fault(ptr uint32, n uint64, err error) error {
	return &MemoryError{Func: x.name, Ptr: ptr, Len: n, Err: err}
}

// nest makes x the innermost call on its thread until the returned function is called. What those
// that it is within have taken stays taken meanwhile.
func (x *transfer) nest() (leave func()) {
	innermost := link.Nest(x.host)
	outer := *innermost
	if o, ok := outer.(*transfer); ok {
		x.left = min(x.left, o.left)
	}
	*innermost = x
	return func() { *innermost = outer }
}

// block gets size bytes of the guest's memory, at least one.
func (x *transfer) block(size uint64, align uint32) (uint32, error) {
	size = max(size, 1)
	a := x.alloc
	if size > 1<<32-1 {
		return 0, x.fault(0, size, wasip1.ENOMEM)
	}
	var results []uint64
	var err error
	switch a.allocParams {
	case 1:
		results, err = x.host.Call(a.alloc, size)
	case 2:
		results, err = x.host.Call(a.alloc, size, uint64(align))
	default:
		results, err = x.host.Call(a.alloc, 0, 0, uint64(align), size)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: allocate %d bytes in the guest: %w", x.name, size, err)
	}
	ptr := uint32(results[0])
	if ptr == 0 {
		return 0, x.fault(ptr, size, wasip1.ENOMEM)
	}
	if !x.host.View().Has(ptr, uint32(size)) {
		return 0, x.fault(ptr, size, wasip1.EFAULT)
	}
	if !a.calleeOwns {
		x.given = append(x.given, block{ptr, uint32(size), align})
	}
	if ptr%align != 0 {
		return 0, x.fault(ptr, size, wasip1.EINVAL)
	}
	return ptr, nil
}

// object makes an AssemblyScript object, which the collector keeps until unpinned.
func (x *transfer) object(size uint64, class uint32) (uint32, error) {
	if size > 1<<32-1 {
		return 0, x.fault(0, size, wasip1.ENOMEM)
	}
	results, err := x.host.Call("__new", size, uint64(class))
	if err == nil {
		results, err = x.host.Call("__pin", results[0])
	}
	if err != nil {
		return 0, fmt.Errorf("%s: make an object of %d bytes in the guest: %w", x.name, size, err)
	}
	ptr := uint32(results[0])
	if ptr == 0 || !x.host.View().Has(ptr, uint32(size)) {
		return 0, x.fault(ptr, size, wasip1.EFAULT)
	}
	x.given = append(x.given, block{ptr: ptr, size: uint32(size)})
	return ptr, nil
}

// write copies b to ptr, which block returned.
func write[T string | []byte](x *transfer, ptr uint32, b T) error {
	to, errno := x.host.View().Write(ptr, uint32(len(b)))
	if errno != wasip1.ESUCCESS {
		return x.fault(ptr, uint64(len(b)), errno)
	}
	copy(to, b)
	return nil
}

// read returns n bytes of the guest's memory and counts them. The slice is valid until the guest
// runs.
func (x *transfer) read(ptr uint32, n uint64) ([]byte, error) {
	if err := x.charge(ptr, n); err != nil {
		return nil, err
	}
	if n > 1<<32-1 {
		return nil, x.fault(ptr, n, wasip1.EFAULT)
	}
	b, errno := x.host.View().Read(ptr, uint32(n))
	if errno != wasip1.ESUCCESS {
		return nil, x.fault(ptr, n, errno)
	}
	return b, nil
}

// charge counts n bytes that the host is about to copy.
func (x *transfer) charge(ptr uint32, n uint64) error {
	if n > x.left {
		return x.fault(ptr, n, fmt.Errorf("more than WithMaxSize allows for one call, or for one that it is within: %w", wasip1.EOVERFLOW))
	}
	x.left -= n
	return nil
}

// blockBytes is what a noted block takes of the host's memory: the list grows by copying it.
const blockBytes = 2 * uint64(unsafe.Sizeof(block{}))

// take notes that a block of the results is to be freed. A result can have more of them than bytes:
// all its strings may be empty.
func (x *transfer) take(ptr uint32, size uint64, align uint32) error {
	if x.keeps || x.alloc.free == "" || ptr == 0 || !x.host.View().Has(ptr, uint32(size)) {
		return nil
	}
	if err := x.charge(ptr, blockBytes); err != nil {
		return err
	}
	x.taken = append(x.taken, block{ptr, uint32(max(size, 1)), align})
	return nil
}

// done frees what the call has left in the guest's memory, unless the guest has ended or fails to
// free one. err is the error of the call.
func (x *transfer) done(err error) error {
	if err != nil && ended(x.host) {
		return err
	}
	for _, blocks := range [][]block{x.given, x.taken} {
		for _, b := range blocks {
			if e := x.release(b); e != nil {
				// A guest that may be called after a trap could answer each of them with one.
				return errors.Join(err, fmt.Errorf("%s: free %#x in the guest: %w", x.name, b.ptr, e))
			}
		}
	}
	return err
}

func ended(c *virt.HostCall) bool { return c.Guest().Result().Outcome != virt.Running }

func (x *transfer) release(b block) (err error) {
	a := x.alloc
	switch {
	case a.assemblyScript:
		_, err = x.host.Call("__unpin", uint64(b.ptr))
	case a.freeArgs == 1:
		_, err = x.host.Call(a.free, uint64(b.ptr))
	case a.freeArgs == 2:
		_, err = x.host.Call(a.free, uint64(b.ptr), uint64(b.size))
	default:
		_, err = x.host.Call(a.free, uint64(b.ptr), uint64(b.size), uint64(b.align))
	}
	return err
}
