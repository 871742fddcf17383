package wasmbin

// What one instance takes of wazero's memory besides its linear memory, in bytes.
const (
	globalBytes   = 96
	elementBytes  = 8
	functionBytes = 32
	// referenceBytes is for each function that an element or a global refers to: wazero's compiler
	// makes it for each of them, and keeps it in a slice that it appends to.
	referenceBytes = 40
)

// InstanceBytes is about what each instance of the module takes besides its
// linear memory, in bytes: globals, tables as they begin, element segments,
// imported functions. Each thread is an instance. A module that has been
// rewritten takes [Report.InstanceBytes] as well.
func (m *Module) InstanceBytes() uint64 {
	n := uint64(len(m.globals))*globalBytes + m.elements*referenceBytes + m.passive*elementBytes + uint64(m.importedFuncs)*functionBytes
	for i := range m.ownTables {
		n += m.ownTables[i].Min * elementBytes
	}
	return n
}

// InstanceBytes is about what an instance takes more than without the changes, in bytes.
func (r *Report) InstanceBytes() uint64 {
	return uint64(r.References) * (globalBytes + referenceBytes)
}
