package wasmbin

// What one instance takes of wazero's memory besides its linear memory, in bytes.
const (
	globalBytes   = 96
	elementBytes  = 8
	passiveBytes  = 24
	functionBytes = 32
)

// InstanceBytes is about what each instance of the module takes besides its
// linear memory, in bytes: globals, tables as they begin, element segments that
// are kept, imported functions. Each thread is an instance.
func (m *Module) InstanceBytes() uint64 {
	n := uint64(len(m.globals))*globalBytes + m.passive*passiveBytes + uint64(m.importedFuncs)*functionBytes
	for i := range m.ownTables {
		n += m.ownTables[i].Min * elementBytes
	}
	return n
}
