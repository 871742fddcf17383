// Package vfslink lets package virt tell package vfs what only virt knows, and what is no business
// of those who use vfs: whether a table of descriptors is used by one thread alone, and what limits
// several tables together.
package vfslink

// Semaphore is a limit of descriptors that several tables share. Its methods may be called from any
// goroutine, with locks of a table held. A *vfs.Table is a Semaphore for others.
type Semaphore interface {
	// Take takes one and reports whether there was one. It does not wait.
	Take() bool
	// Give gives one back.
	Give()
}

// Package vfs sets these functions when it is initialized.
var (
	// Alone says that no other Caller than c, a *vfs.Caller, uses its Table. A file that is closed
	// then makes room for the next one that is opened, as long as host code has not looked at what
	// is open.
	Alone func(c any, alone bool)
	// Share says that others than one Caller may hold what is open in t, a *vfs.Table, now or
	// later.
	Share func(t any)
	// Limit makes each open descriptor of t, a *vfs.Table, count against s too. If s has none left,
	// opening returns ENFILE. Call it before the table is used.
	Limit func(t any, s Semaphore)
)
