// Package vfslink lets package virt tell package vfs what only virt knows, and what is no business
// of those who use vfs: whether a table of descriptors is used by one thread alone.
package vfslink

// Package vfs sets these functions when it is initialized.
var (
	// Alone says that no other Caller than c, a *vfs.Caller, uses its Table. A file that is closed
	// then makes room for the next one that is opened, as long as host code has not looked at what
	// is open.
	Alone func(c any, alone bool)
	// Share says that others than one Caller may hold what is open in t, a *vfs.Table, now or
	// later.
	Share func(t any)
)
