package wasmbin

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Options say what Rewrite changes. The zero Options change nothing.
type Options struct {
	// ImportModule is the module name of the imports that are added, and
	// with a dot after it the beginning of the names of the exports:
	// "wasivirt" gives the import "wasivirt" "check" and the export
	// "wasivirt.stop". Needed for everything but the zero Options.
	ImportModule string
	// Stop has the host function check called from time to time, whatever
	// the guest does.
	Stop bool
	// Period is at most what the code weighs that runs between two calls of check,
	// in units of a simple instruction, give or take what is between two looks at
	// the counter; 0 means DefaultPeriod.
	Period uint32
	// Fuel counts instructions and has the host function fuel called when
	// the count runs out. It implies what Stop does, for a host that gives out
	// fuel in slices, and replaces it.
	Fuel bool
	// Waits makes memory.atomic.wait32, wait64 and notify calls of host
	// functions of those names.
	Waits bool
	// Grow makes memory.grow of a shared memory a call of the host function
	// grow.
	Grow bool
	// MemoryModule, unless it is "", is the module that a shared memory is
	// imported from, instead of the one that the guest names: it can be the
	// host's own even if the guest imports functions from there as well.
	MemoryModule string
	// SharedAccess has the host function access called before every load,
	// store and atomic instruction, and note before every fence and bulk
	// operation of memory, if a memory is shared.
	SharedAccess bool
	// Turns says that threads take turns at checks, and a seed draws whose turn it is: checks stand
	// where they have always stood, so that a seed goes on meaning the same. An indirect call
	// counts as one of any function then, instead of those of its type, and branches lead where
	// the module says.
	Turns bool
	// CanonicalNaNs makes each NaN that arithmetic gives the canonical one with sign 0, which has
	// the same bits on all machines: see nan.go.
	CanonicalNaNs bool
	// ExportGlobals exports the mutable globals.
	ExportGlobals bool
	// Capture adds what a host needs to save instances; see [Capture]. It
	// needs Stop or Fuel.
	Capture bool
	// Checkpoint is the function of ImportModule that a module may import
	// itself, "" for none: it takes two i32 and answers one.
	Checkpoint string
	// CallDepth limits how many calls of functions that can call themselves,
	// directly or through others, are under way: one more calls the host
	// function depth. 0 is no limit.
	CallDepth uint32
	// Stack has the host function stack called at the entry of a function where the calls under way
	// may take more of the engine's stack than the cell StackEndGlobal says, in bytes. That is
	// Stack at first; the host function may raise it. 0 counts nothing.
	Stack uint32
	// TableElements is how many elements the tables that the module defines may
	// hold together: those that it starts with are left to each, and what
	// remains is divided among them as what they may grow by. A module that
	// starts with more is a [*LimitError]. 0 is no limit.
	TableElements uint64
	// NameBytes is how many bytes of the names of functions and of the module stay in the name
	// section, in which control characters are escaped then. 0 leaves names as they are.
	NameBytes int
	// Offsets, unless it is "", has wazero print "0x1f: NAME:1" with each function of a stack: the
	// offset in the rewritten code section, which an [OffsetMap] leads back from, and Offsets for
	// NAME. wazero keeps 16 bytes for each instruction then.
	Offsets string
	// HostModules are the import modules whose functions never call back
	// into the guest; nil stands for those of WASI. What else is imported is
	// taken to do so, which costs checks.
	HostModules []string
}

// DefaultPeriod is the Period for Options that give none: 5 to 30 microseconds of ordinary code in
// wazero's compiler, in which a host call (50 ns) is lost, 100 where each instruction waits for the
// one before, and some milliseconds where every access to memory misses every cache. Looks count
// the heaviest path to the next, so that ordinary code counts several times what it takes.
const DefaultPeriod = 1 << 19

func (o *Options) isZero() bool {
	return !o.Stop && !o.Fuel && !o.Waits && !o.Grow && o.MemoryModule == "" && !o.SharedAccess && !o.CanonicalNaNs && !o.ExportGlobals && o.CallDepth == 0 && o.Stack == 0 && o.NameBytes == 0 && o.Offsets == ""
}

// Signature is an import that was added.
type Signature struct {
	Name            string
	Params, Results []ValueType
}

// ExportedGlobal is a global that was exported.
type ExportedGlobal struct {
	Index  uint32 // in the rewritten module; the guest's own keep theirs
	Type   ValueType
	Export string
	Added  bool // one of ours, not the guest's
}

// Report says what Rewrite added.
type Report struct {
	// Imports are the host functions to provide, from Options.ImportModule.
	Imports []Signature
	// StopGlobal, FuelGlobal and DepthGlobal are the exports of the cells
	// that the checks work on, "" where there is none.
	StopGlobal, FuelGlobal, DepthGlobal, StackGlobal, StackEndGlobal string
	// Globals are all exported by ExportGlobals, in the order of their
	// indices, and the cells.
	Globals []ExportedGlobal
	// Capture is what Options.Capture added, nil without it.
	Capture *Capture
	// References is how many functions the code refers to by ref.func, each of which has become an
	// immutable global.
	References int
	// Tries says that the module has try_table, before which try is called.
	Tries bool
	// Loops and Entries are the loops and function entries that have a check, Waits and Grows the
	// instructions that became calls, and Accesses those that have a switch point.
	Loops, Entries, Waits, Grows, Accesses int
	// Dropped are the custom sections that were left out because they name
	// offsets in the code, which has changed.
	Dropped []string
}

// Rewrite returns the module with the changes that opts ask for, and with the
// zero Options the same bytes. Errors are a [*FormatError], a
// [*ReservedError] or a [*LimitError]. The result depends on nothing but the arguments.
func Rewrite(module []byte, opts Options) ([]byte, *Report, error) {
	return rewrite(module, opts, tuning{})
}

// tuning is what tests and measurements vary.
type tuning struct {
	force bool                              // write every section anew, even if nothing changes
	emit  func(r *rewriter, b *body) []byte // writes the bodies instead of the emitter
	trace *tracing                          // is told where code goes

	workers, batch int // how many there are at once, and how large a batch is, unless 0
}

// rewriter holds one rewriting.
type rewriter struct {
	*Module
	opts   Options
	report *Report
	tune   tuning

	imports []Signature
	types   []newType
	globals []newGlobal

	typeIndex map[newType]uint32
	helpers   []helper
	shift     uint32 // how many functions were put before the defined ones

	callWait32, callWait64, callNotify, callGrow, callAccess uint32
	callNote                                                 uint32
	callCheck, callFuel, callDepth, callStack, callLook      uint32
	callTry, callTables, callUngrown                         uint32
	stopGlobal, fuelGlobal, depthGlobal                      uint32
	stackGlobal, stackEndGlobal                              uint32
	calls                                                    *calls
	bulk                                                     bulkHelpers
	workers                                                  []*worker

	captured *capture // nil where nothing is captured
	changes  codeChanges

	looksByCall bool // a function has many points

	// referenced is the global that holds the reference to each function that a ref.func of the
	// code names. Others stay, which are not valid or not to be changed.
	referenced map[uint32]uint32

	room uint64 // what each table may grow by, where Options.TableElements is set

	out []byte
}

// newType is a function type that is added: vectors of value types, encoded.
type newType struct{ params, results string }

type newGlobal struct {
	typ  ValueType // ValueRef: a reference to function init, which is one of the module's
	init int64
}

func rewrite(module []byte, opts Options, tune tuning) ([]byte, *Report, error) {
	m, err := parse(module)
	if err != nil {
		return nil, nil, err
	}
	r := &rewriter{Module: m, opts: opts, report: &Report{}, tune: tune}
	if r.room, err = r.tableRoom(); err != nil {
		return nil, nil, err
	}
	if opts.isZero() && !r.capsTables() && !tune.force {
		if err := r.checkBodies(); err != nil {
			return nil, nil, err
		}
		return slices.Clone(module), r.report, nil
	}
	if !opts.isZero() {
		if opts.ImportModule == "" {
			return nil, nil, errors.New("wasm: Options.ImportModule is empty")
		}
		if err := r.checkReserved(); err != nil {
			return nil, nil, err
		}
	}
	if err := r.plan(); err != nil {
		return nil, nil, err
	}
	if err := r.write(); err != nil {
		return nil, nil, err
	}
	return r.out, r.report, nil
}

// checkBodies reads the bodies for their errors alone.
func (r *rewriter) checkBodies() error {
	all, wrong := r.batches()
	err := r.eachBatch(all, func(w *worker, i int) error {
		for range all[i].n {
			if _, _, err := w.bodies.next(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return wrong
}

func (r *rewriter) checkReserved() error {
	for _, i := range r.Imports {
		if r.isCheckpoint(&i) {
			continue
		}
		if i.Module == r.opts.ImportModule || strings.HasPrefix(i.Module, r.opts.ImportModule+".") {
			return &ReservedError{Kind: "import", Name: i.Module + "." + i.Name}
		}
	}
	for _, e := range r.Exports {
		if strings.HasPrefix(e.Name, r.opts.ImportModule+".") {
			return &ReservedError{Kind: "export", Name: e.Name}
		}
	}
	return nil
}

// plan decides what is added: imports, types, globals, helpers.
func (r *rewriter) plan() error {
	o := &r.opts
	if o.Period == 0 {
		o.Period = DefaultPeriod
	}
	if o.Period > 1<<30 {
		o.Period = 1 << 30
	}
	if o.Fuel {
		o.Stop = false
	}
	if !r.SharedMemory() {
		o.SharedAccess, o.Grow, o.MemoryModule = false, false, ""
	}
	i32, i64 := ValueI32, ValueI64
	add := func(dst *uint32, name string, params []ValueType, results ...ValueType) {
		*dst = uint32(r.importedFuncs + len(r.imports))
		r.imports = append(r.imports, Signature{Name: name, Params: params, Results: results})
	}
	if o.Stop {
		add(&r.callCheck, "check", nil)
	}
	if o.Fuel {
		add(&r.callFuel, "fuel", nil)
	}
	if o.CallDepth > 0 {
		add(&r.callDepth, "depth", nil)
	}
	if o.Stack > 0 {
		add(&r.callStack, "stack", nil)
	}
	if o.Waits && len(r.Memories) > 0 {
		add(&r.callWait32, "wait32", []ValueType{i32, i32, i64, i32}, i32)
		add(&r.callWait64, "wait64", []ValueType{i32, i64, i64, i32}, i32)
		add(&r.callNotify, "notify", []ValueType{i32, i32, i32}, i32)
	} else {
		o.Waits = false
	}
	if o.Grow {
		add(&r.callGrow, "grow", []ValueType{i32}, i32)
	}
	if o.SharedAccess {
		add(&r.callAccess, "access", []ValueType{i32, i32, i64})
		add(&r.callNote, "note", []ValueType{i32, i32, i32, i32, i64})
	}
	var calls *callGraph
	if o.Stop || o.Fuel || o.CallDepth > 0 || o.Stack > 0 {
		var err error
		if calls, err = r.findCalls(); err != nil {
			return err
		}
		if calls.tries && (o.Stop || o.Fuel) {
			add(&r.callTry, "try", nil)
			r.report.Tries = true
		}
	}
	if calls != nil && calls.growsTables && (o.Stop || o.Fuel) {
		add(&r.callTables, "tables", []ValueType{i32}, i32)
		add(&r.callUngrown, "ungrown", nil)
	}
	r.shift = uint32(len(r.imports))
	r.report.Imports = r.imports

	if o.ExportGlobals {
		for i, g := range r.Module.globals {
			if g.Mutable {
				r.exportGlobal(uint32(i), g.Type, "global."+strconv.Itoa(i), false)
			}
		}
	}
	if o.Stop {
		r.stopGlobal, r.report.StopGlobal = r.addGlobal(i32, int64(o.Period), "stop")
	}
	if o.Fuel {
		r.fuelGlobal, r.report.FuelGlobal = r.addGlobal(i64, 0, "fuel")
	}
	if o.CallDepth > 0 {
		r.depthGlobal, r.report.DepthGlobal = r.addGlobal(i32, 0, "depth")
	}
	if o.Stack > 0 {
		r.stackGlobal, r.report.StackGlobal = r.addGlobal(i32, 0, "stack")
		r.stackEndGlobal, r.report.StackEndGlobal = r.addGlobal(i32, int64(o.Stack), "stackend")
	}
	if calls != nil {
		if o.Stop || o.Fuel {
			r.addReferences(calls.referenced)
		}
		if o.Stop {
			r.callCheck = r.addCheckHelper()
		}
		r.addBulkHelpers()
		if err := r.solveCalls(calls); err != nil {
			return err
		}
		if r.looksByCall {
			r.callLook = r.addLookHelper()
		}
	}
	r.addResultTypes()
	if o.Capture && (o.Stop || o.Fuel) {
		return r.planCapture()
	}
	return nil
}

// addResultTypes adds the types of the blocks that bodies with several results may get, before
// several bodies are written at once.
func (r *rewriter) addResultTypes() {
	if !r.opts.Stop && !r.opts.Fuel && r.opts.CallDepth == 0 && r.opts.Stack == 0 {
		return
	}
	added := make([]bool, len(r.Types))
	for _, t := range r.funcs[r.importedFuncs:] {
		if !added[t] && len(r.Types[t].Results) > 1 {
			added[t] = true
			r.typeOf("\x00", string(r.Types[t].rawResults))
		}
	}
}

func (r *rewriter) addGlobal(t ValueType, init int64, name string) (index uint32, export string) {
	index = uint32(len(r.Module.globals) + len(r.globals))
	r.globals = append(r.globals, newGlobal{typ: t, init: init})
	return index, r.exportGlobal(index, t, name, true)
}

// addReferences adds a global for each function that code refers to. A ref.func becomes a read of
// it: wazero's compiler makes a new reference each time, which it keeps as long as the instance.
func (r *rewriter) addReferences(referenced []bool) {
	r.referenced = map[uint32]uint32{}
	for f, is := range referenced {
		if is {
			r.referenced[uint32(f)] = uint32(len(r.Module.globals) + len(r.globals))
			r.globals = append(r.globals, newGlobal{typ: ValueRef, init: int64(f)})
		}
	}
	r.report.References = len(r.referenced)
}

func (r *rewriter) exportGlobal(index uint32, t ValueType, name string, added bool) string {
	name = r.opts.ImportModule + "." + name
	r.report.Globals = append(r.report.Globals, ExportedGlobal{Index: index, Type: t, Export: name, Added: added})
	return name
}

// fn is the index in the rewritten module of function index.
func (r *rewriter) fn(index uint32) uint32 {
	if int(index) >= r.importedFuncs {
		return index + r.shift
	}
	return index
}
