package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Func returns a Go function that calls an export of a guest. F is the function's type: its first
// parameter is a context, its last result an error.
//
// The returned function holds the guest for the whole call (see [virt.Guest.Do]) and follows the
// guest's rules for concurrent calls. Called from a host function of the guest, it needs the
// context that the host function got.
//
// Errors of Func: [virt.ErrNoExport]; a type that cannot be passed; an export of another type; no
// allocator where one is needed.
//
// Errors of the returned function:
//   - [*Error]: the guest returned an error;
//   - [*MemoryError]: a pointer or length of the guest's cannot be used, or its memory is full;
//   - those of [virt.Guest.Call], such as [*virt.ExitError] after a trap.
func Func[F any](g *virt.Guest, name string, opts ...Option) (F, error) {
	var f F
	v, err := makeFunc(g, name, reflect.TypeFor[F](), optionsOf(opts))
	if err == nil {
		f = v.Interface().(F)
	}
	return f, err
}

// Bind sets each field of the struct that functions points to. A field has a function type as for
// [Func]; its tag names the export:
//
//	var p struct {
//		Greet func(context.Context, string) (string, error) `wasm:"greet"`
//	}
//	err := plugin.Bind(guest, &p)
//
// Without a tag, the export has the field's name, with the first letter in lower case.
func Bind(g *virt.Guest, functions any, opts ...Option) error {
	v := reflect.ValueOf(functions)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("bind a plugin to %T: want a pointer to a struct of functions", functions)
	}
	v = v.Elem()
	var errs []error
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("wasm")
		if name == "" {
			first, size := utf8.DecodeRuneInString(f.Name)
			name = string(unicode.ToLower(first)) + f.Name[size:]
		}
		if !f.IsExported() {
			errs = append(errs, fmt.Errorf("bind a plugin: the field %s is not exported", f.Name))
			continue
		}
		fn, err := makeFunc(g, name, f.Type, optionsOf(opts))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		v.Field(i).Set(fn)
	}
	return errors.Join(errs...)
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// maxFlat is how many values parameters may be that are not passed in memory.
const maxFlat = 16

// types are those of a Go function as a call needs them.
type types struct {
	fn              reflect.Type
	params, results *tuple // without the context and the error
	fails           bool   // the last result is an error
}

// typesOf makes the codecs of a function's parameters and results.
func typesOf(fn reflect.Type, assemblyScript bool) (*types, error) {
	if fn.Kind() != reflect.Func || fn.IsVariadic() || fn.NumIn() == 0 || fn.In(0) != contextType {
		return nil, fmt.Errorf("%v: want a function whose first parameter is a context.Context", fn)
	}
	var in, out []*codec
	for i := 1; i < fn.NumIn(); i++ {
		c, err := codecOf(fn.In(i), assemblyScript)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i, err)
		}
		in = append(in, c)
	}
	results := fn.NumOut()
	fails := results > 0 && fn.Out(results-1) == errorType
	if fails {
		results--
	}
	for i := range results {
		c, err := codecOf(fn.Out(i), assemblyScript)
		if err != nil {
			return nil, fmt.Errorf("result %d: %w", i+1, err)
		}
		out = append(out, c)
	}
	return &types{fn, tupleOf(in), tupleOf(out), fails}, nil
}

// form is how an export takes or returns what a Go function does. See the package comment.
type form int

const (
	formNone form = iota
	formDirect
	formPacked
	formPointer
	formArea
)

// caller calls one export.
type caller struct {
	*types
	guest   *virt.Guest
	name    string
	def     api.FunctionDefinition
	options options
	alloc   allocator
	spilled bool // parameters are passed in memory
	form    form
	post    string // cabi_post_NAME, or ""
}

func makeFunc(g *virt.Guest, name string, fn reflect.Type, o options) (reflect.Value, error) {
	c, err := newCaller(g, name, fn, o)
	if err != nil {
		return reflect.Value{}, fmt.Errorf("plugin function %s: %w", safetext.Quote(name), err)
	}
	return reflect.MakeFunc(fn, c.call), nil
}

func newCaller(g *virt.Guest, name string, fn reflect.Type, o options) (*caller, error) {
	defs := g.Instance().ExportedFunctionDefinitions()
	def := defs[name]
	if def == nil {
		return nil, virt.ErrNoExport
	}
	c := &caller{guest: g, name: name, def: def, options: o}
	var err error
	if c.alloc, err = allocatorOf(defs, &o); err != nil {
		return nil, err
	}
	if c.types, err = typesOf(fn, c.alloc.assemblyScript); err != nil {
		return nil, err
	}
	if !c.fails {
		return nil, fmt.Errorf("%v: want an error as the last result: a call may fail", fn)
	}
	if err := c.match(def); err != nil {
		return nil, err
	}
	if post := "cabi_post_" + name; c.alloc.calleeOwns && defs[post] != nil && i32s(defs[post], 0) == 1 {
		c.post = post
	}
	if c.alloc.alloc == "" && !c.alloc.assemblyScript && (c.form == formArea || c.spilled || len(c.params.flat) > len(c.params.members)) {
		return nil, errors.New("the guest exports no allocator, which its parameters need: export malloc and free, or name others by WithAllocator")
	}
	return c, nil
}

// match finds the form in which the export returns its results.
func (c *caller) match(def api.FunctionDefinition) error {
	params, results := c.params.flat, c.results.flat
	if len(params) > maxFlat && !c.alloc.assemblyScript {
		params, c.spilled = []api.ValueType{i32}, true
	}
	gotParams, got := def.ParamTypes(), def.ResultTypes()
	same := slices.Equal(gotParams, params)
	switch one := len(got) == 1; {
	case same && slices.Equal(got, results):
		c.form = formDirect
	case same && one && got[0] == i64:
		c.form = formPacked
	case same && one && got[0] == i32 && len(results) > 1:
		c.form = formPointer
	case len(got) == 0 && len(results) > 0 && slices.Equal(gotParams, append([]api.ValueType{i32}, params...)):
		c.form = formArea
	default:
		return fmt.Errorf("its type is %s, and %v wants %s", typeText(gotParams, got), c.fn, c.wanted(params, results))
	}
	if len(results) == 0 && c.form == formDirect {
		c.form = formNone
	}
	return nil
}

// wanted lists the types that would do.
func (c *caller) wanted(params, results []api.ValueType) string {
	all := []string{typeText(params, results)}
	if !slices.Equal(results, []api.ValueType{i64}) {
		all = append(all, typeText(params, []api.ValueType{i64}))
	}
	if len(results) > 1 {
		all = append(all, typeText(params, []api.ValueType{i32}))
	}
	if len(results) > 0 {
		all = append(all, typeText(append([]api.ValueType{i32}, params...), nil))
	}
	return strings.Join(all, " or ")
}

func typeText(params, results []api.ValueType) string {
	text := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return text(params) + " → " + text(results)
}

// call is the Go function.
func (c *caller) call(args []reflect.Value) []reflect.Value {
	out := make([]reflect.Value, len(c.results.members)+1)
	for i := range out {
		out[i] = reflect.New(c.fn.Out(i)).Elem()
	}
	ctx, _ := args[0].Interface().(context.Context)
	if ctx == nil {
		ctx = context.Background()
	}
	err := c.guest.Do(ctx, func(h *virt.HostCall) error {
		if h.ExportedFunctions()[c.name] != c.def {
			return fmt.Errorf("%s: a library of the guest is at work, with a memory of its own: call it when the library has returned",
				safetext.Name(c.name))
		}
		x := &transfer{host: h, name: c.name, alloc: &c.alloc, left: c.options.limit, keeps: c.options.static}
		x.given, x.taken = x.space[:0:2], x.space[2:2]
		defer x.nest()()
		return x.done(c.make(x, args[1:], out))
	})
	if err != nil {
		for _, v := range out[:len(out)-1] {
			v.SetZero()
		}
		out[len(out)-1].Set(reflect.ValueOf(err))
	}
	return out
}

// make makes the call, within which it has the guest alone.
func (c *caller) make(x *transfer, args, out []reflect.Value) error {
	var space [maxFlat + 1]uint64
	flat := space[:0]
	var area uint32
	if c.form == formArea {
		var err error
		if area, err = x.block(uint64(c.results.size), c.results.align); err != nil {
			return err
		}
		flat = append(flat, uint64(area))
	}
	at := func(i int) reflect.Value { return args[i] }
	if c.spilled {
		ptr, err := c.params.place(x, at)
		if err != nil {
			return err
		}
		flat = append(flat, uint64(ptr))
	} else {
		n := len(flat)
		flat = append(flat, make([]uint64, len(c.params.flat))...)
		if err := c.params.lower(x, at, flat[n:]); err != nil {
			return err
		}
	}
	results, err := x.host.Call(c.name, flat...)
	if err != nil {
		return err
	}
	at = func(i int) reflect.Value { return out[i] }
	switch c.form {
	case formDirect:
		return c.results.lift(x, results, at)
	case formPacked:
		return c.unpack(x, results[0], at)
	case formPointer:
		ptr := uint32(results[0])
		err := c.results.fetch(x, ptr, at)
		if c.post != "" && !ended(x.host) {
			_, e := x.host.Call(c.post, results[0])
			return errors.Join(err, e)
		}
		return errors.Join(err, x.take(ptr, uint64(c.results.size), c.results.align))
	case formArea:
		return c.results.fetch(x, area, at)
	}
	return nil
}

// errorBit marks an error in the length of a packed result.
const errorBit = 1 << 31

// pack and unpack of a packed result are the two halves of an i64.
func pack(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

func (c *caller) unpack(x *transfer, packed uint64, at func(int) reflect.Value) error {
	ptr, n := uint32(packed>>32), uint32(packed)
	if n&errorBit != 0 {
		return x.errorAt(ptr, n&^errorBit)
	}
	switch {
	case len(c.results.members) == 0:
		if packed != 0 {
			return x.fault(ptr, uint64(n), fmt.Errorf("a result that is neither 0 nor an error: %w", wasip1.EINVAL))
		}
		return nil
	case c.alloc.assemblyScript && len(c.results.members) == 1:
		return c.results.lift(x, []uint64{uint64(ptr)}, at)
	case len(c.results.members) == 1 && c.results.members[0].pair:
		return c.results.lift(x, []uint64{uint64(ptr), uint64(n)}, at)
	}
	if err := x.take(ptr, uint64(c.results.size), c.results.align); err != nil {
		return err
	}
	return c.results.fetch(x, ptr, at)
}

// errorAt returns the error whose text is at ptr.
func (x *transfer) errorAt(ptr, n uint32) error {
	var message string
	c, err := codecOf(reflect.TypeFor[string](), x.alloc.assemblyScript)
	if err != nil {
		return err
	}
	flat := []uint64{uint64(ptr), uint64(n)}
	if err := c.lift(x, flat, reflect.ValueOf(&message).Elem()); err != nil {
		return err
	}
	return &Error{Func: x.name, Message: message}
}
