package vfs

// MachineUser is implemented by file systems and streams that may show files, sockets or anything
// else of the machine. [UsesMachine] asks them. A wrapper passes the question on:
//
//	func (f *FS) UsesMachine() bool { return vfs.UsesMachine(f.below) }
type MachineUser interface {
	// UsesMachine reports whether the answers depend on the machine.
	UsesMachine() bool
}

// SpaceUser is implemented by file systems that know whether they keep what guests write.
// [KeepsWrites] asks. A wrapper passes the question on.
type SpaceUser interface {
	// KeepsWrites reports whether something that a guest writes takes space in the file system.
	KeepsWrites() bool
}

// KeepsWrites reports whether a file system keeps what guests write, so that budgets of disk count
// it. A file system that is no [SpaceUser] does.
func KeepsWrites(fsys FS) bool {
	s, ok := fsys.(SpaceUser)
	return !ok || s.KeepsWrites()
}

// UsesMachine reports whether part, a file system or a stream, shows anything of the machine. It
// returns false for a part that is no [MachineUser].
func UsesMachine(part any) bool {
	m, ok := part.(MachineUser)
	return ok && m.UsesMachine()
}
