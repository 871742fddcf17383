// Package trap names the reasons for which WebAssembly stops a guest.
package trap

// Kind is the reason for a trap.
type Kind uint8

// The kinds of traps.
const (
	Unknown Kind = iota
	Unreachable
	MemoryOutOfBounds
	DivideByZero
	IntegerOverflow
	InvalidConversion
	TableOutOfBounds
	IndirectCall
	StackOverflow
	UnalignedAtomic
	NotShared
	Exception // that no function of the guest catches
	NullReference
	Host // by a Handler or HostFunction; see virt.Call.Trap
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
