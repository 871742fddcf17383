package trace

// AccessOp is a kind of [Access].
type AccessOp uint8

const (
	AccessLoad   AccessOp = iota // a load that is not atomic
	AccessStore                  // a store that is not atomic
	AccessAtomic                 // an atomic load
	AccessPut                    // an atomic store
	AccessUpdate                 // an atomic read-modify-write
	AccessWait                   // memory.atomic.wait: it loads, and may wait at the address
	AccessNotify                 // memory.atomic.notify of the address; the memory is not accessed
	AccessCall                   // a call of the Host. What it has read and written follows as loads and stores
	AccessTick                   // the clock has moved on because the thread computes
)

var accessNames = [...]string{"load", "store", "atomic load", "atomic store", "atomic update", "wait", "notify", "call", "tick"}

// String returns the kind's name in lower case.
func (o AccessOp) String() string {
	if int(o) < len(accessNames) {
		return accessNames[o]
	}
	return "?"
}

// Writes reports whether the access may change memory.
func (o AccessOp) Writes() bool {
	return o == AccessStore || o == AccessPut || o == AccessUpdate
}

// Access is what a thread does to what it shares with other threads. See virt.WithAccessObserver.
type Access struct {
	Thread     uint32
	Op         AccessOp
	Addr, Size uint64 // of an access to memory
	Call       string // the function called, of AccessCall
	// At is the offset of the instruction in the module as it was given; 0 of calls.
	At uint32
	// Memory is the guest's memory as the thread sees it, before an instruction and after a call.
	// It must not be written.
	Memory []byte
}
