package wazeromem

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/wasip1"
)

// alignment is what blocks from functions that ask for one are aligned to, in bytes:
// the largest that a WebAssembly load or a C type of the usual ABIs wants.
const alignment = 16

// Allocator gets memory from a guest's own allocator, for host code that hands strings
// and bytes to the guest's exports.
//
// It calls into the guest, whose memory may grow by that: slices and a View of before
// must be fetched again. Like an api.Function it is not safe for concurrent use, nor
// for use by a host function that the guest's allocator calls.
type Allocator struct {
	mem   api.Memory
	name  string
	alloc api.Function
	free  api.Function // nil if the guest cannot free
	stack [4]uint64
}

// NewAllocator finds the allocator of a guest. names are the exports that allocate
// and, if there is a second, that free. Without names they are, in this order, malloc
// and free, or cabi_realloc.
//
// An allocating function takes (size), (size, align), or (old, oldSize, align, size)
// like cabi_realloc; a freeing one takes (ptr), (ptr, size) or (ptr, size, align). All
// are i32, and so is the result. With cabi_realloc, which has no counterpart, Free
// does nothing.
func NewAllocator(mod api.Module, names ...string) (*Allocator, error) {
	a := &Allocator{mem: mod.Memory()}
	if Absent(a.mem) {
		return nil, fmt.Errorf("guest %q has no memory to allocate from", mod.Name())
	}
	explicit := len(names) > 0
	if !explicit {
		names = []string{"malloc", "free"}
		if mod.ExportedFunction("malloc") == nil {
			names = []string{"cabi_realloc"}
		}
	}
	if len(names) > 2 {
		return nil, fmt.Errorf("an allocator has two exports at most, to allocate and to free; got %q", names)
	}
	a.name = names[0]
	if a.alloc = mod.ExportedFunction(a.name); a.alloc == nil {
		if explicit {
			return nil, fmt.Errorf("guest %q does not export %q: link it with --export=%s or name another", mod.Name(), a.name, a.name)
		}
		return nil, fmt.Errorf("guest %q exports no allocator: link it with --export=malloc --export=free, export cabi_realloc, or name its exports", mod.Name())
	}
	if n := i32Params(a.alloc, 1); n != 1 && n != 2 && n != 4 {
		return nil, signatureError(mod, a.name, "(size), (size, align) or (old, oldSize, align, size) and return a pointer")
	}
	if len(names) == 1 {
		return a, nil
	}
	a.free = mod.ExportedFunction(names[1])
	if a.free == nil {
		return nil, fmt.Errorf("guest %q exports %q but not %q: link it with --export=%s", mod.Name(), a.name, names[1], names[1])
	}
	if n := i32Params(a.free, 0); n < 1 || n > 3 {
		return nil, signatureError(mod, names[1], "(ptr), (ptr, size) or (ptr, size, align) and return nothing")
	}
	return a, nil
}

func signatureError(mod api.Module, name, want string) error {
	return fmt.Errorf("guest %q: export %q must take %s, all i32", mod.Name(), name, want)
}

// i32Params returns the number of f's parameters, or -1 if one is no i32 or the number
// of results, i32 too, is not the one wanted.
func i32Params(f api.Function, results int) int {
	d := f.Definition()
	if len(d.ResultTypes()) != results {
		return -1
	}
	for _, types := range [][]api.ValueType{d.ParamTypes(), d.ResultTypes()} {
		for _, t := range types {
			if t != api.ValueTypeI32 {
				return -1
			}
		}
	}
	return len(d.ParamTypes())
}

// Alloc gets a block of n bytes from the guest. The error matches wasip1.ENOMEM if the
// guest has none, wasip1.EFAULT if what it returned does not lie in its memory, and is
// wazero's if the guest trapped or exited.
func (a *Allocator) Alloc(ctx context.Context, n uint32) (uint32, error) {
	stack := a.stack[:]
	clear(stack)
	switch len(a.alloc.Definition().ParamTypes()) {
	case 1:
		stack[0] = uint64(n)
	case 2:
		stack[0], stack[1] = uint64(n), alignment
	default:
		stack[2], stack[3] = alignment, uint64(n)
	}
	if err := a.alloc.CallWithStack(ctx, stack); err != nil {
		return 0, fmt.Errorf("%s of %d bytes in the guest: %w", a.name, n, err)
	}
	ptr := uint32(stack[0])
	if ptr == 0 && n > 0 {
		return 0, fmt.Errorf("%s of %d bytes in the guest: %w", a.name, n, wasip1.ENOMEM)
	}
	if _, errno := window(a.mem, ptr, n); errno != wasip1.ESUCCESS {
		return 0, fmt.Errorf("%s of %d bytes in the guest returned %#x, behind the end of its memory: %w", a.name, n, ptr, errno)
	}
	return ptr, nil
}

// Free gives back the block of n bytes at ptr that Alloc got. It does nothing if the
// guest cannot free.
func (a *Allocator) Free(ctx context.Context, ptr, n uint32) error {
	if a.free == nil {
		return nil
	}
	a.stack = [4]uint64{uint64(ptr), uint64(n), alignment}
	if err := a.free.CallWithStack(ctx, a.stack[:]); err != nil {
		return fmt.Errorf("freeing %#x in the guest: %w", ptr, err)
	}
	return nil
}

// WriteBytes puts a copy of b into a new block of the guest and returns its address.
// The block is len(b) bytes long, for Free.
func (a *Allocator) WriteBytes(ctx context.Context, b []byte) (uint32, error) {
	return write(ctx, a, b, uint64(len(b)))
}

// WriteString puts a copy of s into a new block of the guest, without a NUL, and
// returns its address. The block is len(s) bytes long, for Free.
func (a *Allocator) WriteString(ctx context.Context, s string) (uint32, error) {
	return write(ctx, a, s, uint64(len(s)))
}

// WriteCString puts a copy of s and a NUL into a new block of the guest and returns
// its address. The block is len(s)+1 bytes long, for Free.
func (a *Allocator) WriteCString(ctx context.Context, s string) (uint32, error) {
	return write(ctx, a, s, uint64(len(s))+1)
}

func write[T string | []byte](ctx context.Context, a *Allocator, data T, n uint64) (uint32, error) {
	if n > 1<<32-1 {
		return 0, fmt.Errorf("%d bytes for a guest: %w", n, wasip1.ENOMEM)
	}
	ptr, err := a.Alloc(ctx, uint32(n))
	if err != nil {
		return 0, err
	}
	// Alloc has checked the block in the memory of after the call.
	b, _ := window(a.mem, ptr, uint32(n))
	clear(b[copy(b, data):])
	return ptr, nil
}
