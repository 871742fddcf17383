package plugin

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// HostFunc makes a function that guests can import of f, a Go function whose first parameter is a
// context. Give it to [virt.WithFunctions]. Parameters are passed as for [Func]. The result of the
// import is:
//
//	nothing           nothing, or a packed error if f returns an error
//	one number        the number
//	anything else     packed; in AssemblyScript a string or []byte is a pointer to the object
//
// Parameters belong to the guest. The memory of a packed result comes from the guest's allocator
// and belongs to the guest, as does the text of an error. If a library of the guest calls, memory
// and allocator are the library's. If the result cannot carry an error, as one number cannot, an
// error of f stops the guest with a trap, whose Err is that error. So does a pointer of the guest's
// that cannot be used. If f panics, the guest ends with outcome Failed.
//
// The context of f is done when the guest has to end. f may call exports of the guest with that
// context.
func HostFunc(name string, f any, opts ...Option) (virt.HostFunction, error) {
	h := &hostFunc{name: name, fn: reflect.ValueOf(f), options: optionsOf(opts)}
	fail := func(err error) (virt.HostFunction, error) {
		return virt.HostFunction{}, fmt.Errorf("host function %s: %w", safetext.Quote(name), err)
	}
	if f == nil || h.fn.Kind() == reflect.Func && h.fn.IsNil() {
		return fail(errors.New("the function is nil"))
	}
	var err error
	if h.types, err = typesOf(h.fn.Type(), h.options.assemblyScript); err != nil {
		return fail(err)
	}
	params := h.params.flat
	if len(params) > maxFlat && !h.options.assemblyScript {
		params, h.spilled = []api.ValueType{i32}, true
	}
	var results []api.ValueType
	switch {
	case len(h.results.flat) == 1:
		h.form, results = formDirect, h.results.flat
	case len(h.results.flat) > 0 || h.fails:
		h.form, results = formPacked, []api.ValueType{i64}
	}
	return virt.HostFunction{Name: name, Params: params, Results: results, Call: h.call}, nil
}

type hostFunc struct {
	*types
	name    string
	fn      reflect.Value
	options options
	spilled bool
	form    form
}

func (h *hostFunc) call(c *virt.HostCall, stack []uint64) {
	if err := h.answer(c, stack); err != nil {
		c.Trap(fmt.Errorf("%s: %w", h.name, err))
	}
}

// answer makes the call. The error is for a trap.
func (h *hostFunc) answer(c *virt.HostCall, stack []uint64) error {
	x := &transfer{host: c, name: h.name, alloc: &allocator{assemblyScript: h.options.assemblyScript}, left: h.options.limit}
	defer x.nest()()
	in := make([]reflect.Value, h.fn.Type().NumIn())
	in[0] = reflect.ValueOf(c.Context())
	for i := 1; i < len(in); i++ {
		in[i] = reflect.New(h.fn.Type().In(i)).Elem()
	}
	at := func(i int) reflect.Value { return in[i+1] }
	var err error
	if h.spilled {
		err = h.params.fetch(x, uint32(stack[0]), at)
	} else {
		err = h.params.lift(x, stack, at)
	}
	if err != nil {
		return err
	}
	out := h.fn.Call(in)
	if h.fails {
		err, _ = out[len(out)-1].Interface().(error)
	}
	if h.form == formNone || h.form == formDirect && err != nil {
		return err
	}
	if err == nil && len(h.results.members) == 0 {
		stack[0] = 0
		return nil
	}
	result, err := h.lowerResult(x, err, func(i int) reflect.Value { return out[i] })
	if err == nil && !x.alloc.assemblyScript {
		x.given = nil // the guest's
	}
	stack[0] = result
	return x.done(err)
}

// lowerResult puts what the function answered into the guest's memory, if it is no number, and
// returns what the guest gets.
func (h *hostFunc) lowerResult(x *transfer, failed error, at func(int) reflect.Value) (uint64, error) {
	var flat [2]uint64
	if h.form == formDirect && !h.options.assemblyScript {
		err := h.results.lower(x, at, flat[:])
		return flat[0], err
	}
	a, err := allocatorOf(x.host.ExportedFunctions(), &h.options)
	switch {
	case err != nil:
		return 0, err
	case a.alloc == "" && !a.assemblyScript:
		return 0, errors.New("the guest exports no allocator, which the result needs: export malloc and free, or name others by WithAllocator")
	case a.assemblyScript != h.options.assemblyScript:
		return 0, errors.New("the guest and the function differ in whether they are for AssemblyScript: see WithAssemblyScript")
	}
	x.alloc = &a
	var mark uint32
	switch members := h.results.members; {
	case failed != nil:
		c, err := codecOf(reflect.TypeFor[string](), a.assemblyScript)
		if err != nil {
			return 0, err
		}
		if err := c.lower(x, reflect.ValueOf(failed.Error()), flat[:]); err != nil {
			return 0, err
		}
		mark = errorBit
	case h.form == formDirect:
		err := h.results.lower(x, at, flat[:])
		return flat[0], err
	case len(members) == 1 && members[0].pair:
		if err := h.results.lower(x, at, flat[:]); err != nil {
			return 0, err
		}
	default:
		ptr, err := h.results.place(x, at)
		return pack(ptr, h.results.size), err
	}
	if flat[1]&errorBit != 0 {
		return 0, x.fault(uint32(flat[0]), flat[1], wasip1.EOVERFLOW)
	}
	return pack(uint32(flat[0]), uint32(flat[1])|mark), nil
}
