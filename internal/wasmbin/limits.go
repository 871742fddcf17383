package wasmbin

import "fmt"

// Limits bound what a module may hold. A field that is 0 bounds nothing.
type Limits struct {
	ModuleBytes uint64 // of the whole file

	Types      uint64 // function types
	Params     uint64 // parameters of one type
	Results    uint64 // results of one type
	TypeValues uint64 // parameters and results of all types together

	Imports   uint64
	Exports   uint64
	Functions uint64 // that the module defines
	Globals   uint64 // that the module defines
	Tags      uint64 // that the module defines
	Tables    uint64 // that the module defines

	TableElements uint64 // that all tables start with together
	Elements      uint64 // of all element segments together
	Segments      uint64 // element segments and data segments together

	NameBytes      uint64 // of one name of an import or export, or of the module
	CustomSections uint64
	CustomBytes    uint64 // of all custom sections together, names of functions included

	BodyBytes     uint64 // of one function
	Locals        uint64 // of one function, without its parameters
	TotalLocals   uint64 // of all functions together
	Nesting       uint64 // blocks inside blocks
	BranchTargets uint64 // of one br_table
	Catches       uint64 // try_tables and their catch clauses in one function

	FunctionCost uint64 // see Cost
	TotalCost    uint64

	NoThrowRef bool // no function has the instruction throw_ref
}

// Cost estimates what the engine's compiler takes for a module beyond a time that is proportional
// to its size. The unit is about a microsecond of one processor, in which it also takes about 60
// bytes.
type Cost struct {
	// Function is the cost of the dearest function, Total that of all.
	Function, Total uint64
}

// LimitError says that a module holds more than it may have.
type LimitError struct {
	// Limit is the name of the field of [Limits].
	Limit string
	// What is counted, in the plural.
	What string
	// Has is what the module holds, Most what it may: 0 if it may have none.
	Has, Most uint64
	// Offset is the position in the module where this shows, Section the section there.
	Offset  int
	Section string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("wasm: %s section, offset %#x: %s", e.Section, e.Offset, e.Reason())
}

// Reason is the error without its offset.
func (e *LimitError) Reason() string {
	if e.Most == 0 {
		return "there are " + e.What + ", which it may not have"
	}
	return fmt.Sprintf("%d %s, and %d is the most", e.Has, e.What, e.Most)
}

// Check reads a module once, from the first byte to the last, and tells whether it is within
// limits. It takes time proportional to the module's size, and memory for the types and for the
// locals of one function. Errors are a [*FormatError], where the module cannot be read so far, or a
// [*LimitError].
//
// Check accepts much that is no valid module: it decides only whether the other readers may begin.
func Check(module []byte, limits Limits) (Cost, error) {
	if err := checkHeader(module); err != nil {
		return Cost{}, err
	}
	k := checker{Limits: limits, cursor: cursor{data: module, pos: 8, end: len(module), section: "header"}}
	k.over("ModuleBytes", "bytes", uint64(len(module)), limits.ModuleBytes)
	for k.pos < k.end && k.stopped() == nil {
		k.readSection()
	}
	return k.cost, k.stopped()
}

// checker counts what a module holds.
type checker struct {
	cursor
	Limits
	limit *LimitError

	types     []arity
	typeSum   uint64
	catches   uint64   // in the function that is read
	funcs     []uint32 // the type of each function, imported ones first
	imported  int
	tableSum  uint64
	segments  uint64
	elements  uint64
	customs   uint64
	customSum uint64
	localSum  uint64
	cost      Cost
	function  functionCost
}

// arity is how many values a function type takes and answers.
type arity struct{ params, results uint32 }

// stopped is the first error, nil where there is none.
func (k *checker) stopped() error {
	switch {
	case k.limit != nil:
		return k.limit
	case k.err != nil:
		return k.err
	}
	return nil
}

// over notes that the module has more than it may.
func (k *checker) over(name, what string, has, most uint64) {
	if most != 0 && has > most && k.stopped() == nil {
		k.limit = &LimitError{Limit: name, What: what, Has: has, Most: most, Offset: k.pos, Section: k.section}
		k.pos = k.end
	}
}

// never notes that the module has what it may not have at all.
func (k *checker) never(name, what string, at int) {
	if k.stopped() == nil {
		k.limit = &LimitError{Limit: name, What: what, Has: 1, Offset: at, Section: k.section}
		k.pos = k.end
	}
}

// each reads a vector whose length is limited.
func (k *checker) each(name, what string, most uint64, minSize int, read func()) {
	n := k.count(what, minSize)
	k.over(name, what, uint64(n), most)
	for i := 0; i < n && k.stopped() == nil; i++ {
		read()
	}
}

func (k *checker) readSection() {
	id := k.byte()
	size := k.count("bytes of a section", 1)
	if k.err != nil {
		return
	}
	if int(id) < len(sectionNames) {
		k.section = sectionNames[id]
	}
	end := k.end
	k.end = k.pos + size
	k.readContents(id, size)
	if k.stopped() == nil {
		k.pos = k.end // what is left over is for the parser to refuse
	}
	k.end = end
}

func (k *checker) readContents(id byte, size int) {
	switch id {
	case secCustom:
		k.customs++
		k.customSum += uint64(size)
		k.over("CustomSections", "custom sections", k.customs, k.CustomSections)
		k.over("CustomBytes", "bytes of custom sections", k.customSum, k.CustomBytes)
		if string(k.skipName("bytes of a section's name", 0)) == "name" {
			k.moduleName()
		}
	case secType:
		k.each("Types", "types", k.Types, 2, k.readType)
	case secImport:
		k.each("Imports", "imports", k.Imports, 4, k.readImport)
		k.imported = len(k.funcs)
	case secFunction:
		k.each("Functions", "functions", k.Functions, 1, func() { k.funcs = append(k.funcs, k.u32()) })
	case secTable:
		k.each("Tables", "tables", k.Tables, 3, func() { k.readTable(true) })
	case secGlobal:
		k.each("Globals", "globals", k.Globals, 4, func() {
			parseGlobalType(&k.cursor)
			parseConstExpr(&k.cursor, &noRefs)
		})
	case secTag:
		k.each("Tags", "tags", k.Tags, 2, func() { k.byte(); k.u32() })
	case secExport:
		k.each("Exports", "exports", k.Exports, 3, func() {
			k.skipName("bytes of an export's name", k.NameBytes)
			k.byte()
			k.u32()
		})
	case secElement:
		k.countSegments()
		k.each("Segments", "segments", k.Segments, 2, k.readElement)
	case secData:
		k.countSegments() // their bytes are within the module's
	case secCode:
		fn := k.imported
		k.each("Functions", "function bodies", k.Functions, 2, func() { k.readBody(fn); fn++ })
	}
}

// noRefs is told of nothing.
var noRefs = refs{global: func(int, uint32) {}, fn: func(int, int, uint32) error { return nil }}

// countSegments counts those of a section, which stays to be read.
func (k *checker) countSegments() {
	at := k.pos
	k.segments += uint64(k.count("segments", 1))
	k.over("Segments", "segments", k.segments, k.Segments)
	if k.stopped() == nil {
		k.pos = at
	}
}

// skipName passes a name whose length is limited.
func (k *checker) skipName(what string, most uint64) []byte {
	n := k.count(what, 1)
	k.over("NameBytes", what, uint64(n), most)
	if k.stopped() != nil {
		return nil
	}
	return k.bytes(n)
}

// moduleName looks for the module's own name in a name section.
func (k *checker) moduleName() {
	for k.pos < k.end && k.stopped() == nil {
		id := k.byte()
		size := k.count("bytes of names", 1)
		next := k.pos + size
		if id == nameModule && k.err == nil {
			k.skipName("bytes of the module's name", k.NameBytes)
		}
		if k.stopped() == nil {
			k.pos = next
		}
	}
}

func (k *checker) readType() {
	if k.pos < k.end && k.data[k.pos] == typeRecGroup {
		k.pos++
		k.each("Types", "types of a group", k.Types, 3, k.readFuncType)
		k.over("Types", "types", uint64(len(k.types)), k.Types)
		return
	}
	k.readFuncType()
}

func (k *checker) readFuncType() {
	k.byte()
	var a arity
	values := func(name, what string, most uint64) uint32 {
		n := uint32(0)
		k.each(name, what, most, 1, func() { parseValueType(&k.cursor); n++ })
		return n
	}
	a.params = values("Params", "parameters of one type", k.Params)
	a.results = values("Results", "results of one type", k.Results)
	k.types = append(k.types, a)
	k.typeSum += uint64(a.params) + uint64(a.results)
	k.over("TypeValues", "parameters and results of all types", k.typeSum, k.TypeValues)
}

func (k *checker) readImport() {
	k.skipName("bytes of an import's module", k.NameBytes)
	k.skipName("bytes of an import's name", k.NameBytes)
	at := k.pos
	switch kind := Kind(k.byte()); kind {
	case KindFunc:
		k.funcs = append(k.funcs, k.u32())
	case KindTable:
		k.readTable(false)
	case KindMemory:
		parseMemory(&k.cursor)
	case KindGlobal:
		parseGlobalType(&k.cursor)
	case KindTag:
		k.byte()
		k.u32()
	default:
		k.fail(at, "unknown kind of import %d", kind)
	}
}

func (k *checker) readTable(own bool) {
	r := &noRefs
	if !own {
		r = nil
	}
	t := new(Module).parseTable(&k.cursor, r)
	if own {
		k.tableSum += t.Min
		k.over("TableElements", "elements of tables to start with", k.tableSum, k.TableElements)
	}
}

func (k *checker) readElement() {
	_, n := parseElement(&k.cursor, &noRefs)
	k.elements += uint64(n)
	k.over("Elements", "elements of segments", k.elements, k.Elements)
}

// readBody reads the body of function fn.
func (k *checker) readBody(fn int) {
	at := k.pos
	size := k.count("bytes of a body", 1)
	k.over("BodyBytes", "bytes of one function", uint64(size), k.BodyBytes)
	if k.stopped() != nil {
		return
	}
	end := k.end
	k.end = k.pos + size
	f := &k.function
	k.catches = 0
	f.begin(k.signature(fn))
	var locals uint64
	groups := k.count("groups of locals", 2)
	for i := 0; i < groups && k.err == nil; i++ {
		locals += uint64(k.u32())
		parseValueType(&k.cursor)
	}
	k.localSum += locals
	k.over("Locals", "locals in one function", locals, k.Locals)
	k.over("TotalLocals", "locals in all functions", k.localSum, k.TotalLocals)
	k.readCode(f)
	if k.stopped() == nil {
		cost := f.end(size)
		k.cost.Function = max(k.cost.Function, cost)
		k.cost.Total += cost + uint64(len(k.types))/typesWeight
		k.pos = at // the error's place is the function's beginning
		k.over("FunctionCost", "units of estimated compile time in one function", cost, k.FunctionCost)
		k.over("TotalCost", "units of estimated compile time in all functions", k.cost.Total, k.TotalCost)
	}
	if k.stopped() == nil {
		k.pos = k.end
	}
	k.end = end
}

// signature is the arity of function fn.
func (k *checker) signature(fn int) arity {
	if fn < len(k.funcs) {
		return k.typeArity(k.funcs[fn])
	}
	return arity{}
}

func (k *checker) typeArity(t uint32) arity {
	if int(t) < len(k.types) {
		return k.types[t]
	}
	return arity{}
}
