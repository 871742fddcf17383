package vfs

// MachineUser is implemented by file systems and streams that know whether they show files, sockets
// or anything else of the machine. [UsesMachine] asks. A wrapper passes the question on:
//
//	func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.below) }
type MachineUser interface {
	// UsesMachine reports whether the answers depend on the machine.
	UsesMachine() bool
}

// UsesMachine reports whether part, a file system or a stream, shows anything of the machine.
// Defaults: a part that is no [MachineUser] does not.
func UsesMachine(part any) bool {
	m, ok := part.(MachineUser)
	return ok && m.UsesMachine()
}
