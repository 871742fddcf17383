package wasmbin

import "slices"

// Kind is what an import or export is.
type Kind byte

// The kinds, numbered as in the binary format.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
	KindTag    Kind = 4
)

var kindNames = [...]string{"func", "table", "memory", "global", "tag"}

// String is the name of the kind in the text format: "func", "table",
// "memory", "global" or "tag".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// ValueType is the type of a value, by its byte in the binary format, which is
// also wazero's api.ValueType for the types that has.
type ValueType byte

// The value types. A reference to one function type is [ValueRefNull] or
// [ValueRef]; which type it is is not kept.
const (
	ValueI32       ValueType = 0x7f
	ValueI64       ValueType = 0x7e
	ValueF32       ValueType = 0x7d
	ValueF64       ValueType = 0x7c
	ValueV128      ValueType = 0x7b
	ValueFuncref   ValueType = 0x70
	ValueExternref ValueType = 0x6f
	ValueExnref    ValueType = 0x69
	ValueRefNull   ValueType = 0x63
	ValueRef       ValueType = 0x64
)

// String is the name of the type in the text format.
func (t ValueType) String() string {
	switch t {
	case ValueI32:
		return "i32"
	case ValueI64:
		return "i64"
	case ValueF32:
		return "f32"
	case ValueF64:
		return "f64"
	case ValueV128:
		return "v128"
	case ValueFuncref:
		return "funcref"
	case ValueExternref:
		return "externref"
	case ValueExnref:
		return "exnref"
	case ValueRefNull:
		return "ref null"
	case ValueRef:
		return "ref"
	}
	return "unknown"
}

// FuncType is what a function takes and answers.
type FuncType struct {
	Params, Results []ValueType

	rawResults []byte // as encoded, for block types
}

// Memory is a memory that the module defines or imports.
type Memory struct {
	// Min and Max are in pages of 64 KiB; Max is 0 unless HasMax.
	Min, Max uint64
	HasMax   bool
	// Shared memories are those of threads.
	Shared bool
	// Imported memories have the names they are imported by.
	Imported     bool
	Module, Name string
}

// Table is a table that the module defines or imports.
type Table struct {
	Type     ValueType
	Min, Max uint64 // elements
	HasMax   bool
}

// GlobalType is the type of a global.
type GlobalType struct {
	Type    ValueType
	Mutable bool
}

// Import is one entry of the import section. Only the field of its Kind is
// set.
type Import struct {
	Module, Name string
	Kind         Kind
	Func         FuncType // KindFunc, and the payload of a KindTag
	Memory       Memory
	Table        Table
	Global       GlobalType
}

// Export is one entry of the export section.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32 // in the index space of its kind, imports first
}

// Module is the structure of a module, without the bodies of its functions.
type Module struct {
	Types   []FuncType
	Imports []Import
	Exports []Export
	// Memories are the imported ones, then those defined.
	Memories []Memory
	// Start is the function that runs during instantiation, nil for none.
	Start *uint32
	// Functions is how many functions there are, imported ones included.
	Functions int
	// CustomSections are the names of the custom sections, in order.
	CustomSections []string
	// FunctionNames reports whether there is a name section, so that traps
	// show names.
	FunctionNames bool
	// UsesAtomics reports whether the module was made for threads: a memory
	// is shared, or the target_features section lists atomics.
	UsesAtomics bool

	layout
}

// SharedMemory reports whether a memory is shared between threads.
func (m *Module) SharedMemory() bool {
	return slices.ContainsFunc(m.Memories, func(mem Memory) bool { return mem.Shared })
}

// FuncType is the type of function index, which counts imported functions
// first; ok is false if there is no such function.
func (m *Module) FuncType(index uint32) (t FuncType, ok bool) {
	if uint64(index) >= uint64(len(m.funcs)) {
		return FuncType{}, false
	}
	return m.Types[m.funcs[index]], true
}

// layout is what the rewriter needs to know beside what Inspect tells.
type layout struct {
	data          []byte
	sections      []section
	typeEntries   int      // entries of the type section: a recursive group is one
	funcs         []uint32 // the type of each function, imported ones first
	importedFuncs int
	memoryFrom    span         // where the module name of a shared memory that is imported stands
	globals       []GlobalType // imported ones first
	importedGlobs int
	tables        int
	ownTables     []Table // those that it defines
	tags          int
	bodies        int
	elements      uint64 // elements of all segments
	passive       uint64 // of these those that are kept for table.init
	segments      int    // element segments and data segments
	tableExports  int
}

// span is a part of the module.
type span struct{ at, end int }

// section is where a section lies in the module.
type section struct {
	id       byte
	name     string // of a custom section
	at       int    // its first byte, the id
	size     int    // where its size is
	pos, end int    // its contents; a custom section's begin after its name
	vector   int    // where its elements begin, after their count
}

// Identifiers of sections.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
	secTag       = 13
)

var sectionNames = [...]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export",
	"start", "element", "code", "data", "data count", "tag",
}

// sectionRank is the place of each section in the order that the format asks
// for, which is not that of the identifiers.
var sectionRank = [...]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secTag: 6, secGlobal: 7,
	secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13,
}

// section returns the section of that identifier, nil if the module has none.
func (l *layout) section(id byte) *section {
	for i := range l.sections {
		if l.sections[i].id == id {
			return &l.sections[i]
		}
	}
	return nil
}
