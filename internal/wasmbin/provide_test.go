package wasmbin

// providers are modules that export what a module imports: functions that answer zeros and nulls,
// and zeroed globals, memories and tables. A shared memory is also there under the name that the
// rewriter gives it.
func providers(info *Module) map[string][]byte {
	modules := map[string]*testModule{}
	seen := map[string]bool{}
	for _, i := range info.Imports {
		names := []string{i.Module}
		if i.Kind == KindMemory && i.Memory.Shared {
			names = append(names, "wasivirt.memory")
		}
		for _, name := range names {
			if id := name + "\x00" + i.Name; seen[id] {
				continue
			} else {
				seen[id] = true
			}
			if modules[name] == nil {
				modules[name] = &testModule{}
			}
			modules[name].provide(i)
		}
	}
	out := map[string][]byte{}
	for name, m := range modules {
		out[name] = m.bytes()
	}
	return out
}

func (m *testModule) provide(i Import) {
	export := func(index int) {
		m.exports = append(m.exports, appendU32(append(appendName(nil, i.Name), byte(i.Kind)), uint32(index), 1))
	}
	limits := func(lo, hi uint64, hasMax, shared bool) []byte {
		flags := byte(0)
		if hasMax {
			flags |= 1
		}
		if shared {
			flags |= 2
		}
		l := appendU32([]byte{flags}, uint32(lo), 1)
		if hasMax {
			l = appendU32(l, uint32(hi), 1)
		}
		return l
	}
	zero := func(t ValueType) (code []byte) {
		switch t {
		case ValueI32, ValueI64:
			return []byte{byte(opI32Const) + byte(ValueI32-t), 0}
		case ValueF32:
			return []byte{0x43, 0, 0, 0, 0}
		case ValueF64:
			return []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0}
		case ValueV128:
			return append([]byte{prefixVec, 0x0c}, make([]byte, 16)...)
		case ValueFuncref, ValueExternref, ValueExnref:
			return []byte{0xd0, byte(t)}
		}
		return []byte{0}
	}
	switch i.Kind {
	case KindFunc:
		var code []byte
		for _, t := range i.Func.Results {
			code = append(code, zero(t)...)
		}
		m.add(testFunc{export: i.Name, params: i.Func.Params, results: i.Func.Results, code: append(code, byte(opEnd))})
	case KindTable:
		export(len(m.tables))
		m.tables = append(m.tables, append([]byte{byte(i.Table.Type)}, limits(i.Table.Min, i.Table.Max, i.Table.HasMax, false)...))
	case KindMemory:
		export(len(m.memories))
		m.memories = append(m.memories, limits(i.Memory.Min, i.Memory.Max, i.Memory.HasMax, i.Memory.Shared))
	case KindGlobal:
		export(len(m.globals))
		mutable := byte(0)
		if i.Global.Mutable {
			mutable = 1
		}
		m.globals = append(m.globals, append(append([]byte{byte(i.Global.Type), mutable}, zero(i.Global.Type)...), byte(opEnd)))
	case KindTag:
		export(len(m.tags))
		m.tags = append(m.tags, appendU32([]byte{0}, uint32(len(m.types)), 1))
		m.types = append(m.types, []byte("\x60"+encodeTypes(i.Func.Params)+encodeTypes(i.Func.Results)))
	}
}
