package vfs

// MachineUser is implemented by file systems and streams that may show files, sockets or anything
// else of the machine. [UsesMachine] asks them. A wrapper passes the question on:
//
//	func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.below) }
type MachineUser interface {
	// UsesMachine reports whether the answers depend on the machine.
	UsesMachine() bool
}

// UsesMachine reports whether part, a file system or a stream, shows anything of the machine. It
// returns false for a part that is no [MachineUser].
func UsesMachine(part any) bool {
	m, ok := part.(MachineUser)
	return ok && m.UsesMachine()
}
