package wasmbin

// What one instance takes of wazero's memory besides its linear memory, in bytes.
const (
	globalBytes   = 96
	elementBytes  = 8
	functionBytes = 32
	segmentBytes  = 24
	tagBytes      = 24
	// tableExportBytes is for each export of a table: the table notes the instance so often.
	tableExportBytes = 12
	// referenceBytes is for each function that an element or a global refers to: wazero's compiler
	// makes it for each of them, and keeps it in a slice that it appends to.
	referenceBytes = 40
)

// InstanceBytes is about what each instance of the module takes besides its
// linear memory, in bytes: globals, tables as they begin, segments, tags,
// imported functions, and in wazero's interpreter all functions. Each thread is
// an instance. A module that has been rewritten takes [Report.InstanceBytes] as
// well.
func (m *Module) InstanceBytes(interpreted bool) uint64 {
	functions := m.importedFuncs
	if interpreted {
		functions = len(m.funcs)
	}
	n := uint64(len(m.globals))*globalBytes + m.elements*referenceBytes + m.passive*elementBytes + uint64(functions)*functionBytes +
		uint64(m.segments)*segmentBytes + uint64(m.tags)*tagBytes + uint64(m.tableExports)*tableExportBytes
	for i := range m.ownTables {
		n += m.ownTables[i].Min * elementBytes
	}
	return n
}

// InstanceBytes is about what an instance takes more than without the changes, in bytes.
func (r *Report) InstanceBytes() uint64 {
	return uint64(r.References) * (globalBytes + referenceBytes)
}
