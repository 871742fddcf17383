package sched

// MemoryModel decides when threads see the stores of other threads.
type MemoryModel uint8

const (
	// SequentialConsistency lets every thread see a store as soon as it has been made.
	SequentialConsistency MemoryModel = iota
	// TotalStoreOrder keeps stores that are not atomic in a buffer for each thread, as x86
	// processors do: the thread itself sees them, others do when the buffer is drained, in order,
	// at moments that the seed decides. Atomic instructions, fences, waits, notifies, bulk
	// operations and calls of the Host drain it first.
	TotalStoreOrder
	// Relaxed lets accesses that are not atomic change places, as WebAssembly and ARM processors
	// do. Stores wait in a buffer as by [TotalStoreOrder], but those to different bytes leave it in
	// any order. A thread that was stopped may see old values of what others have stored meanwhile,
	// of each place for a time of its own, until it stores there or does what drains its buffer.
	// Not modelled: loads that see values which are stored later, and accesses whose bytes are
	// stored one by one.
	Relaxed
)
