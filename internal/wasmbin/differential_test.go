package wasmbin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// Limits of a run that is compared: what exceeds them is not compared, because it takes too long or
// ends differently for reasons that are the engine's (a stack that is full).
const (
	comparedFuel  = 20_000
	comparedDepth = 50
	comparedPages = 16
)

// Exit codes by which the host ends a run that is not compared.
const (
	exitFuel  = 1001
	exitDepth = 1002
	exitWait  = 1003
	exitTime  = 1004
)

// behaviour is what running a module shows.
type behaviour struct {
	calls   []string // the result or trap of each call, instantiation first
	memory  string   // a digest
	globals []string // those that are exported, at the end
	fuel    int64    // used, if it was counted
	trapped bool     // a call ended with an error
	skipped bool     // a limit was passed
}

func (b *behaviour) String() string {
	return fmt.Sprintf("%s; memory %s; globals %s", strings.Join(b.calls, "; "), b.memory, b.globals)
}

// run instantiates a module, rewritten as report says if there is one, and calls its exports.
func run(config wazero.RuntimeConfig, original, module []byte, report *Report) (b *behaviour, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithMemoryLimitPages(comparedPages).WithCloseOnContextDone(report == nil))
	defer r.Close(context.Background())
	b = &behaviour{}
	info, err := Inspect(original)
	if err != nil {
		return nil, err
	}
	for name, provider := range providers(info) {
		m, err := r.CompileModule(ctx, provider)
		if err != nil {
			return nil, fmt.Errorf("provider %q: %w", name, err)
		}
		if _, err := r.InstantiateModule(ctx, m, wazero.NewModuleConfig().WithName(name)); err != nil {
			return nil, fmt.Errorf("provider %q: %w", name, err)
		}
	}
	// set writes a cell before a call: it is not there while a start function runs.
	set := func(api.Module, string, int64) {}
	given := int64(0)
	if report != nil {
		h := host{slice: 1}
		set = func(m api.Module, name string, v int64) {
			if m != nil && name != "" {
				m.ExportedGlobal(name).(api.MutableGlobal).Set(uint64(v))
			}
		}
		h.onFuel = func(m api.Module) {
			if given >= comparedFuel {
				panic(sys.NewExitError(exitFuel))
			}
			given += 300
			cell := m.ExportedGlobal(report.FuelGlobal).(api.MutableGlobal)
			cell.Set(uint64(int64(cell.Get()) + 300))
		}
		h.onCheck = func(m api.Module) {
			if h.checks > comparedFuel {
				panic(sys.NewExitError(exitFuel))
			}
		}
		h.onDepth = func(api.Module) { panic(sys.NewExitError(exitDepth)) }
		shared := info.SharedMemory()
		h.wait32 = func(_ context.Context, m api.Module, stack []uint64) { stack[0] = wait(m, stack, 4, shared) }
		h.wait64 = func(_ context.Context, m api.Module, stack []uint64) { stack[0] = wait(m, stack, 8, shared) }
		h.notifyFunc = func(_ context.Context, m api.Module, stack []uint64) {
			stack[0] = notify(m, uint32(stack[0]), uint32(stack[2]))
		}
		h.grow = func(_ context.Context, m api.Module, stack []uint64) {
			previous, ok := m.Memory().Grow(uint32(stack[0]))
			if stack[0] = uint64(previous); !ok {
				stack[0] = 0xffffffff
			}
		}
		if err := h.instantiate(ctx, r, "wasivirt", report); err != nil {
			return nil, err
		}
	}
	note := func(what string, err error) {
		var exit *sys.ExitError
		if errors.As(err, &exit) || err != nil && strings.Contains(err.Error(), "stack overflow") {
			b.skipped = true
		}
		b.trapped = b.trapped || err != nil
		b.calls = append(b.calls, what+trap(err))
	}
	compiled, err := r.CompileModule(ctx, module)
	if err != nil {
		return nil, err
	}
	mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	note("instantiate ", err)
	if err != nil || b.skipped {
		return b, nil
	}
	for _, e := range info.Exports {
		if e.Kind != KindFunc || len(b.calls) > 12 {
			continue
		}
		typ, _ := info.FuncType(e.Index)
		for _, args := range arguments(typ) {
			if report != nil {
				set(mod, report.DepthGlobal, 0)
				set(mod, report.StackGlobal, 0)
			}
			results, err := mod.ExportedFunction(e.Name).Call(ctx, args...)
			note(fmt.Sprintf("%q%v %s ", e.Name, args, shown(typ, results)), err)
			if b.skipped {
				return b, nil
			}
		}
	}
	for _, e := range info.Exports {
		if e.Kind == KindGlobal && info.globals[e.Index].Type <= ValueI32 && info.globals[e.Index].Type >= ValueF64 {
			b.globals = append(b.globals, fmt.Sprint(e.Name, mod.ExportedGlobal(e.Name).Get()))
		}
	}
	if mem := mod.Memory(); len(info.Memories) > 0 {
		content, _ := mem.Read(0, mem.Size())
		b.memory = fmt.Sprintf("%d %x", mem.Size(), sha256.Sum256(content))
	}
	if report != nil && report.FuelGlobal != "" {
		b.fuel = given - int64(mod.ExportedGlobal(report.FuelGlobal).Get())
	}
	return b, nil
}

// trap is the text of an error, by whomever it was made.
func trap(err error) string {
	return strings.TrimSuffix(strings.TrimPrefix(firstLine(err), "wasm error: "), " (recovered by wazero)")
}

// arguments are what an export is called with, nothing if it takes what cannot be made here.
func arguments(t FuncType) [][]uint64 {
	lists := make([][]uint64, 2)
	for _, p := range t.Params {
		switch p {
		case ValueI32, ValueF32:
			lists[0], lists[1] = append(lists[0], 0), append(lists[1], 0x40a00003)
		case ValueI64, ValueF64, ValueFuncref, ValueExternref:
			lists[0], lists[1] = append(lists[0], 0), append(lists[1], 0)
		case ValueV128:
			lists[0], lists[1] = append(lists[0], 0, 0), append(lists[1], 7, 1<<40)
		default:
			return nil
		}
	}
	if len(t.Params) == 0 {
		return lists[:1]
	}
	return lists
}

// shown is the text of results: references, which are addresses, are null or not.
func shown(t FuncType, results []uint64) string {
	text := ""
	for _, p := range t.Results {
		if len(results) == 0 {
			break
		}
		switch v := results[0]; p {
		case ValueI32, ValueF32:
			text += fmt.Sprintf(" %x", uint32(v))
		case ValueI64, ValueF64:
			text += fmt.Sprintf(" %x", v)
		case ValueV128:
			text += fmt.Sprintf(" %x", results[:2])
			results = results[1:]
		default:
			text += fmt.Sprint(" null:", v == 0)
		}
		results = results[1:]
	}
	return text
}

// wait is the atomic wait of a guest with one thread, which must not block.
func wait(m api.Module, stack []uint64, size uint64, shared bool) uint64 {
	addr := uint64(uint32(stack[0])) + uint64(uint32(stack[3]))
	switch {
	case !shared:
		panic(errors.New("expected shared memory"))
	case addr%size != 0 && addr+size > uint64(m.Memory().Size()):
		panic(sys.NewExitError(exitWait)) // wazero's engines name different ones of the two faults
	case addr+size > uint64(m.Memory().Size()):
		panic(errors.New("out of bounds memory access"))
	case addr%size != 0:
		panic(errors.New("unaligned atomic"))
	}
	equal := false
	if size == 4 {
		v, _ := m.Memory().ReadUint32Le(uint32(addr))
		equal = v == uint32(stack[1])
	} else {
		v, _ := m.Memory().ReadUint64Le(uint32(addr))
		equal = v == stack[1]
	}
	switch {
	case !equal:
		return 1
	case stack[2] == 0:
		return 2
	}
	panic(sys.NewExitError(exitWait))
}

func notify(m api.Module, addr, offset uint32) uint64 {
	switch at := uint64(addr) + uint64(offset); {
	case at%4 != 0 && at+4 > uint64(m.Memory().Size()):
		panic(sys.NewExitError(exitWait)) // as in wait
	case at+4 > uint64(m.Memory().Size()):
		panic(errors.New("out of bounds memory access"))
	case at%4 != 0:
		panic(errors.New("unaligned atomic"))
	}
	return 0
}

// comparable reports whether a module can be run here: its tables stay small, and no type refers to
// another.
func comparable(info *Module, module []byte) bool {
	typed := func(types []ValueType) bool {
		return slices.Contains(types, ValueRef) || slices.Contains(types, ValueRefNull) || slices.Contains(types, ValueExnref)
	}
	for _, i := range info.Imports {
		if typed(i.Func.Params) || typed(i.Func.Results) || typed([]ValueType{i.Global.Type, i.Table.Type}) ||
			i.Table.Max > 1000 || i.Memory.Min > comparedPages {
			return false
		}
	}
	if s := info.section(secTable); s != nil {
		c := info.cursor(s)
		for n := c.u32(); n > 0 && c.err == nil; n-- {
			if t := new(Module).parseTable(c, &refs{fn: func(_, _ int, _ uint32) error { return nil }, global: func(int, uint32) {}}); t.Min > 1000 || t.Max > 1000 {
				return false
			}
		}
	}
	bodies := newBodyReader(info)
	for {
		b, ok, err := bodies.next()
		if err != nil || !ok {
			return err == nil
		}
		for _, in := range b.instrs {
			if in.op == prefixMisc<<8|0x0f && !tablesEnd(info) { // table.grow
				return false
			}
		}
	}
}

// tablesEnd reports whether every table that the module defines has a maximum.
func tablesEnd(info *Module) bool {
	for _, i := range info.Imports {
		if i.Kind == KindTable && !i.Table.HasMax {
			return false
		}
	}
	s := info.section(secTable)
	if s == nil {
		return true
	}
	c := info.cursor(s)
	for n := c.u32(); n > 0 && c.err == nil; n-- {
		if t := new(Module).parseTable(c, &refs{fn: func(_, _ int, _ uint32) error { return nil }, global: func(int, uint32) {}}); !t.HasMax {
			return false
		}
	}
	return true
}

// eachInstruction is a metering that nobody could get wrong: every instruction pays for itself.
func eachInstruction(r *rewriter, b *body) []byte {
	p := patcher{data: r.data, last: b.locals}
	e := emitter{rewriter: r, body: b, fuelLocal: -1, stopLocal: -1}
	for i := range b.instrs {
		in := &b.instrs[i]
		if in.op.cost() > 0 {
			p.copyTo(int(in.at))
			a := asm{code: p.out}
			a.op(opGlobalGet, r.fuelGlobal)
			a.i64Const(int64(in.op.cost()))
			a.ops(opI64Sub)
			a.op(opGlobalSet, r.fuelGlobal)
			p.out = a.code
		}
		if in.op == opCall || in.op == opReturnCall || in.op == opRefFunc {
			p.u32(in.indexAt(), int(in.end), r.fn(in.index))
		}
		if in.op.isBulk() || in.op == opMemoryGrow { // what its length costs
			e.p = p
			e.bulk(in)
			p = e.p
		}
	}
	p.copyTo(b.end)
	return p.out
}

// compareRuns runs a module that wazero compiles before and after every change: what it answers,
// how it traps and what it leaves behind is the same, and so is the fuel it takes, in both engines.
func compareRuns(t *testing.T, module []byte) (compared bool) {
	t.Helper()
	info, err := Inspect(module)
	if err != nil || !comparable(info, module) {
		return false
	}
	limited := Options{ImportModule: "wasivirt", Fuel: true, CallDepth: comparedDepth, Waits: true, Grow: true}
	rewritten, report, err := Rewrite(module, limited)
	if err != nil {
		return false // a reserved name
	}
	first, err := run(interpreterConfig(), module, rewritten, report)
	if err != nil || first.skipped {
		return false
	}
	forms := append([]Options{limited}, compareForms...)
	fuel := make([]int64, len(forms)) // of each form in the first engine
	for _, engine := range engines {
		want, err := run(engine.config(), module, module, nil)
		if err != nil {
			t.Fatalf("%s: %v", engine.name, err)
		}
		if want.skipped {
			t.Fatalf("%s: ends only before it is rewritten: %v, and %v", engine.name, first, want)
		}
		for i, opts := range forms {
			rewritten, report, err := Rewrite(module, opts)
			if err != nil {
				t.Fatal(err)
			}
			got, err := run(engine.config(), module, rewritten, report)
			if err != nil {
				t.Fatalf("%s, %+v: %v", engine.name, opts, err)
			}
			if got.String() != want.String() {
				t.Fatalf("%s, %+v:\n%v, want\n%v", engine.name, opts, got, want)
			}
			if fuel[i] == 0 {
				fuel[i] = got.fuel
			}
			if got.fuel != fuel[i] && !got.trapped { // after a trap the engines can differ by a piece
				t.Fatalf("%s, %+v: fuel %d, and %d in the other engine: %v", engine.name, opts, got.fuel, fuel[i], got)
			}
			if opts.Fuel && !got.trapped && got.fuel != first.fuel {
				t.Fatalf("%s, %+v: fuel %d, and %d before: %v", engine.name, opts, got.fuel, first.fuel, got)
			}
		}
		if first.trapped {
			continue // who does not return has paid for what comes after, or not
		}
		each, report, err := rewrite(module, Options{ImportModule: "wasivirt", Fuel: true}, tuning{emit: eachInstruction})
		if err != nil {
			t.Fatal(err)
		}
		got, err := run(engine.config(), module, each, report)
		if err != nil {
			t.Fatal(err)
		}
		if got.fuel != first.fuel {
			t.Fatalf("%s: fuel %d, but %d instructions run: %v", engine.name, first.fuel, got.fuel, first)
		}
	}
	compareCanonical(t, module)
	return true
}

// canonicalForms are the changes after which runs are the same to the bit in both engines.
var canonicalForms = []Options{
	{Fuel: true, Waits: true, Grow: true, CallDepth: comparedDepth, CanonicalNaNs: true, ImportModule: "wasivirt"},
	{Stop: true, Period: 60, SharedAccess: true, Waits: true, Grow: true, CanonicalNaNs: true, ImportModule: "wasivirt"},
}

// compareCanonical runs a module whose NaNs are made canonical: results, memory and traps are the
// same in both engines.
func compareCanonical(t *testing.T, module []byte) {
	t.Helper()
	var want *behaviour
	for _, engine := range engines {
		for _, opts := range canonicalForms {
			rewritten, report, err := Rewrite(module, opts)
			if err != nil {
				t.Fatal(err)
			}
			got, err := run(engine.config(), module, rewritten, report)
			if err != nil {
				t.Fatalf("%s, %+v: %v", engine.name, opts, err)
			}
			if got.skipped {
				return // other bits may lead into a loop
			}
			for i, call := range got.calls { // engines ask in another order
				got.calls[i] = strings.ReplaceAll(call, "unaligned atomic", "out of bounds memory access")
			}
			if want == nil {
				want = got
			}
			if got.String() != want.String() {
				t.Fatalf("%s, %+v:\n%v, want\n%v", engine.name, opts, got, want)
			}
		}
	}
}

// compareForms are the changes that runs are compared after.
var compareForms = []Options{
	{Stop: true, Period: 60, Waits: true, Grow: true, ExportGlobals: true, SharedAccess: true, CallDepth: 1000, Stack: 1 << 10, ImportModule: "wasivirt"},
	{Stop: true, Period: 60, ImportModule: "wasivirt"},
	{Fuel: true, Waits: true, Grow: true, MemoryModule: "wasivirt.memory", CallDepth: 1000, ImportModule: "wasivirt"},
	{Fuel: true, SharedAccess: true, ImportModule: "wasivirt"},
	{Waits: true, Grow: true, CallDepth: 1000, Stack: 1 << 10, ImportModule: "wasivirt"},
}

// TestGeneratedModules compares runs of generated modules.
func TestGeneratedModules(t *testing.T) {
	n := uint64(120)
	if testing.Short() {
		n = 30
	}
	compared := 0
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	defer r.Close(ctx)
	used := map[opcode]bool{}
	for seed := range n {
		module := generate(seed)
		if err := compiles(ctx, r, module); err != nil {
			t.Fatalf("module %d: %v", seed, err)
		}
		info, err := Inspect(module)
		if err != nil {
			t.Fatal(err)
		}
		for bodies := newBodyReader(info); ; {
			b, ok, err := bodies.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			for _, in := range b.instrs {
				used[in.op] = true
			}
		}
		if compareRuns(t, module) {
			compared++
		}
	}
	t.Logf("%d of %d modules compared, %d opcodes", compared, n, len(used))
	for _, op := range allOpcodes() {
		if !used[op] && !testing.Short() {
			t.Errorf("opcode %#x is in none", uint16(op))
		}
	}
	if compared < int(n)/4 {
		t.Errorf("%d of %d modules compared", compared, n)
	}
}
