package wasmbin

import (
	"errors"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestCheckReadsWhatTheRewriterReads: without limits no module of the corpus is refused that the
// rewriter takes.
func TestCheckReadsWhatTheRewriterReads(t *testing.T) {
	for name, module := range modules(t) {
		checkAgrees(t, name, module)
	}
}

func checkAgrees(t *testing.T, name string, module []byte) {
	t.Helper()
	if _, _, err := Rewrite(module, Options{}); err != nil {
		return
	}
	if _, err := Check(module, Limits{}); err != nil {
		t.Errorf("%s: %v, and the rewriter takes it", name, err)
	}
}

// FuzzCheck: no module makes Check panic, or refuse what the rewriter takes.
func FuzzCheck(f *testing.F) {
	f.Add(kernels())
	f.Fuzz(func(t *testing.T, module []byte) {
		if cost, err := Check(module, Limits{}); cost.Function > cost.Total && err == nil {
			t.Errorf("a function costs %d of %d", cost.Function, cost.Total)
		}
		checkAgrees(t, "fuzzed", module)
	})
}

// costOf is the estimated cost of a function of locals and code.
func costOf(t *testing.T, locals int, code ...[]byte) uint64 {
	t.Helper()
	var m testModule
	m.memories = [][]byte{{0, 1}}
	f := testFunc{locals: make([]ValueType, locals)}
	for i := range f.locals {
		f.locals[i] = ValueI32
	}
	for _, c := range code {
		f.code = append(f.code, c...)
	}
	f.code = append(f.code, byte(opEnd))
	m.add(f)
	cost, err := Check(m.bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return cost.Function
}

// TestCostGrows: twice the blocks, the live locals or the depth of loops cost about twice as much
// at least, and straight code nothing.
func TestCostGrows(t *testing.T) {
	repeat := func(n int, code ...byte) (all []byte) {
		for range n {
			all = append(all, code...)
		}
		return all
	}
	use := func(n int) (all []byte) {
		for i := range n {
			all = append(all, byte(opLocalGet), byte(i), byte(opLocalSet), byte(i))
		}
		return all
	}
	ifs := func(n int) []byte { return repeat(n, byte(opI32Const), 0, byte(opIf), blockEmpty, byte(opEnd)) }
	loops := func(n int) []byte { return repeat(n, byte(opLoop), blockEmpty) }
	ends := func(n int) []byte { return repeat(n, byte(opI32Const), 0, byte(opBrIf), 0, byte(opEnd)) }
	if c := costOf(t, 100, repeat(100, use(100)...)); c != 0 {
		t.Errorf("straight code costs %d", c)
	}
	for _, tc := range []struct {
		name string
		of   func(n int) uint64
	}{
		{"blocks", func(n int) uint64 { return costOf(t, 0, ifs(20_000*n)) }},
		{"live locals", func(n int) uint64 { return costOf(t, 50*n, use(50*n), ifs(1_000), use(50*n)) }},
		{"values on the stack", func(n int) uint64 {
			return costOf(t, 0, repeat(500*n, 0x3f, 0), ifs(1_000), repeat(500*n, byte(opDrop)))
		}},
		{"loops", func(n int) uint64 { return costOf(t, 50, loops(500*n), use(50), ends(500*n)) }},
		{"locals in loops", func(n int) uint64 { return costOf(t, 50*n, loops(500), use(50*n), ends(500)) }},
	} {
		if one, two := tc.of(1), tc.of(2); one == 0 || two < 18*one/10 {
			t.Errorf("%s: %d, and %d of twice as many", tc.name, one, two)
		}
	}
}

// TestTypesCost: wazero's compiler begins each function with a walk over all types.
func TestTypesCost(t *testing.T) {
	cost := func(types, functions int) uint64 {
		m := &testModule{}
		m.add(testFunc{code: []byte{byte(opEnd)}})
		for range types - 1 {
			m.types = append(m.types, m.types[0])
		}
		for range functions - 1 {
			m.funcs, m.codes = append(m.funcs, m.funcs[0]), append(m.codes, m.codes[0])
		}
		c, err := Check(m.bytes(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Total
	}
	few, many := cost(1, 5_000), cost(12_800, 5_000)
	if want := few + 100*5_000; many != want {
		t.Errorf("5,000 functions cost %d with 12,800 types, and %d with one: want %d", many, few, want)
	}
}

// TestLocalsAreCountedOnceEach: a local that several blocks use counts once where they end.
func TestLocalsAreCountedOnceEach(t *testing.T) {
	var f functionCost
	f.begin(arity{})
	block := func(op opcode, inside func()) (l costLabel) {
		f.open(op, arity{})
		inside()
		l = f.labels[len(f.labels)-1]
		f.close()
		return l
	}
	touch := func(write bool, locals ...uint32) func() {
		return func() {
			for _, i := range locals {
				f.access(i, write)
			}
		}
	}
	outer := block(opBlock, func() {
		touch(true, 0)()
		if l := block(opBlock, touch(true, 0, 1, 1)); l.wrote != 2 || l.used != 2 {
			t.Errorf("%+v, want 2 locals written", l)
		}
		if l := block(opLoop, touch(false, 1, 2)); l.wrote != 0 || l.used != 2 {
			t.Errorf("%+v, want 2 locals used", l)
		}
		touch(false, 0, 1, 2)()
	})
	if outer.wrote != 2 || outer.used != 3 {
		t.Errorf("%+v, want 3 locals used and 2 of them written", outer)
	}
}

// TestLimitErrors: the error tells the limit, the number and the place.
func TestLimitErrors(t *testing.T) {
	module := kernels()
	_, err := Check(module, Limits{Functions: 2})
	over, ok := errors.AsType[*LimitError](err)
	if !ok || over.Limit != "Functions" || over.Most != 2 || over.Has <= 2 || over.Offset <= 8 || over.Offset >= len(module) {
		t.Errorf("%#v", err)
	}
}

// TestNamesAreCut: of the names of functions and of the module no more is left than was asked for,
// which is UTF-8, and nothing that a terminal obeys.
func TestNamesAreCut(t *testing.T) {
	name := func(s string) []byte { return appendName(nil, s) }
	subsection := func(id byte, content []byte) []byte {
		return append(appendU32([]byte{id}, uint32(len(content)), 1), content...)
	}
	var m testModule
	m.add(testFunc{code: []byte{byte(opEnd)}})
	m.custom = [][2]string{{"name", string(append(subsection(nameModule, name("mod\nule")),
		subsection(nameFunctions, append([]byte{1, 0}, name("fünf")...))...))}}
	for most, want := range map[int][2]string{
		0: {"mod\nule", "fünf"}, 2: {"mo...(5 bytes more)", "f...(4 bytes more)"}, 3: {"mod...(4 bytes more)", "fü...(2 bytes more)"}, 100: {`mod\nule`, "fünf"},
	} {
		out, _, err := Rewrite(m.bytes(), Options{ImportModule: "wasivirt", NameBytes: most, Stop: true})
		if err != nil {
			t.Fatal(err)
		}
		got := compiledNames(t, out)
		if got != want {
			t.Errorf("at most %d bytes: %q, want %q", most, got, want)
		}
	}
}

// compiledNames are the names that wazero finds for a module and its first function.
func compiledNames(t *testing.T, module []byte) [2]string {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	defer r.Close(ctx)
	c, err := r.CompileModule(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(module)
	if err != nil {
		t.Fatal(err)
	}
	var names [2]string
	names[0] = c.Name()
	s := &m.sections[slices.IndexFunc(m.sections, func(s section) bool { return s.name == "name" })]
	cur := m.cursor(s)
	for cur.pos < cur.end {
		id := cur.byte()
		next := cur.count("bytes", 1) + cur.pos
		if id == nameFunctions {
			for range cur.u32() {
				if index := cur.u32(); int(index) == m.importedFuncs {
					names[1] = cur.name("function")
				} else {
					cur.name("function")
				}
			}
		}
		cur.pos = next
	}
	return names
}
