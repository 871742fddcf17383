// Package trap names the reasons for which WebAssembly stops a guest.
package trap

// Kind is the reason for a trap.
type Kind uint8

// The kinds of traps.
const (
	Unknown           Kind = iota // a trap whose reason this package does not know
	Unreachable                   // the instruction unreachable: abort, panic, a failed assertion
	MemoryOutOfBounds             // an access outside of the linear memory
	DivideByZero                  // an integer division by 0
	IntegerOverflow               // the result of a division or conversion does not fit
	InvalidConversion             // NaN or an infinity converted to an integer
	TableOutOfBounds              // an access outside of a table, or an indirect call of nothing
	IndirectCall                  // an indirect call of a function of another type
	StackOverflow                 // calls nested too deeply
	UnalignedAtomic               // an atomic access to an unaligned address
	NotShared                     // a wait on memory that is not shared
	Exception                     // an exception that no function of the guest catches
	NullReference                 // the use of a null reference
	Host                          // a Handler or HostFunction stopped the guest; see virt.Call.Trap
)

var names = [...]string{
	Unknown:           "unknown trap",
	Unreachable:       "unreachable",
	MemoryOutOfBounds: "out of bounds memory access",
	DivideByZero:      "integer divide by zero",
	IntegerOverflow:   "integer overflow",
	InvalidConversion: "invalid conversion to integer",
	TableOutOfBounds:  "invalid table access",
	IndirectCall:      "indirect call type mismatch",
	StackOverflow:     "stack overflow",
	UnalignedAtomic:   "unaligned atomic",
	NotShared:         "expected shared memory",
	Exception:         "uncaught exception",
	NullReference:     "null reference",
	Host:              "host trap",
}

// String returns the kind in the words of the WebAssembly specification's tests.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Unknown]
}
