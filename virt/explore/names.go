package explore

import (
	"cmp"
	"debug/dwarf"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/internal/srcline"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// names tells what instructions and addresses of a module are called in its source.
type names struct {
	module    *wasmbin.Module
	functions map[uint32]string
	variables []variable // by their address
	places    map[uint32]place
}

// place is where an instruction is.
type place struct{ function, line string }

// variable is a global variable.
type variable struct {
	name       string
	addr, size uint64
	of         dwarf.Type // nil where that is not known
}

func newNames(wasm []byte) *names {
	m, err := wasmbin.Inspect(wasm)
	if err != nil {
		return &names{places: map[uint32]place{}} // it was compiled, so that it can be read
	}
	return &names{module: m, functions: m.NamesOfFunctions(), variables: variablesOf(m), places: map[uint32]place{}}
}

// place returns where the instruction at an offset of the module is.
func (n *names) place(at uint32) place {
	if p, ok := n.places[at]; ok || n.module == nil {
		return p
	}
	var p place
	if fn, offset, ok := n.module.FunctionAt(at); ok {
		p.function = visible(srcline.Demangle(n.functions[fn]))
		p.line = visible(srcline.Find(n.module, []srcline.Place{{Function: fn, Offset: offset}})[0].String())
	}
	n.places[at] = p
	return p
}

// hasLines reports whether the module tells the lines of its source.
func (n *names) hasLines() bool {
	return n.module != nil && n.module.CustomSection(".debug_line") != nil
}

// address is what a place in memory is called: "counter", "places[1]" "worker.done" or "0x428".
func (n *names) address(addr uint64) string {
	i, found := slices.BinarySearchFunc(n.variables, addr, func(v variable, a uint64) int { return cmp.Compare(v.addr, a) })
	if !found {
		i--
	}
	if i >= 0 && addr < n.variables[i].addr+max(n.variables[i].size, 1) {
		v := n.variables[i]
		return v.name + part(v.of, addr-v.addr)
	}
	return fmt.Sprintf("%#x", addr)
}

// maxNested is how deep types are followed: what a module says of itself may have no end.
const maxNested = 16

// part is what a place in a variable of a type is called: "", "[2]", ".next" or "+8".
func part(t dwarf.Type, offset uint64) (name string) {
	for range maxNested {
		switch of := t.(type) {
		case *dwarf.QualType:
			t = of.Type
			continue
		case *dwarf.TypedefType:
			t = of.Type
			continue
		case *dwarf.ArrayType:
			if size := sizeOf(of.Type, maxNested); of.Count > 0 && size > 0 {
				name += fmt.Sprintf("[%d]", offset/size)
				t, offset = of.Type, offset%size
				continue
			}
		case *dwarf.StructType:
			i := slices.IndexFunc(of.Field, func(f *dwarf.StructField) bool {
				at := uint64(f.ByteOffset)
				return f.Name != "" && offset >= at && offset-at < sizeOf(f.Type, maxNested)
			})
			if i >= 0 {
				name += "." + visible(of.Field[i].Name)
				t, offset = of.Field[i].Type, offset-uint64(of.Field[i].ByteOffset)
				continue
			}
		}
		break
	}
	if offset > 0 {
		name += fmt.Sprintf("+%d", offset)
	}
	return name
}

// sizeOf is the size of a type in bytes, 0 if it is not known. [dwarf.Type.Size] does not end for
// types that contain themselves.
func sizeOf(t dwarf.Type, nested int) uint64 {
	if nested == 0 || t == nil {
		return 0
	}
	switch t := t.(type) {
	case *dwarf.QualType:
		return sizeOf(t.Type, nested-1)
	case *dwarf.TypedefType:
		return sizeOf(t.Type, nested-1)
	case *dwarf.ArrayType:
		return uint64(max(t.Count, 0)) * sizeOf(t.Type, nested-1)
	}
	return uint64(max(t.Common().ByteSize, 0))
}

// maxVariables is how many variables are known by name.
const maxVariables = 100_000

// variablesOf reads the global variables of a module with DWARF. What cannot be read has no names.
func variablesOf(m *wasmbin.Module) (list []variable) {
	section := m.CustomSection
	if section(".debug_info") == nil {
		return nil
	}
	defer func() {
		if recover() != nil { // debug/dwarf is not made for what is meant to break it
			list = nil
		}
	}()
	d, err := dwarf.New(section(".debug_abbrev"), nil, nil, section(".debug_info"), nil, nil, section(".debug_ranges"), section(".debug_str"))
	if err != nil {
		return nil
	}
	for _, more := range []string{".debug_addr", ".debug_str_offsets", ".debug_line_str", ".debug_rnglists"} {
		if b := section(more); b != nil && d.AddSection(more, b) != nil {
			return nil
		}
	}
	for r := d.Reader(); len(list) < maxVariables; {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		location, _ := e.Val(dwarf.AttrLocation).([]byte)
		const opAddr = 0x03
		if e.Tag != dwarf.TagVariable || name == "" || len(location) != 5 || location[0] != opAddr {
			continue
		}
		v := variable{name: visible(name), addr: uint64(binary.LittleEndian.Uint32(location[1:]))}
		if at, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
			if t, err := d.Type(at); err == nil {
				v.size, v.of = sizeOf(t, maxNested), t
			}
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b variable) int { return cmp.Compare(a.addr, b.addr) })
	return list
}
