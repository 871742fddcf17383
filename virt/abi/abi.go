// Package abi describes the functions of WASI preview1: their names, the kinds of their parameters,
// and the part of a Host that answers. Tracing, recording, middleware and policies decode calls
// with it.
package abi

import "iter"

// Subsystem is the part of the Host that answers a function.
type Subsystem string

// The subsystems. Each has the name of the package that implements it.
const (
	SubsystemProcess Subsystem = "process"
	SubsystemClock   Subsystem = "clock"
	SubsystemFiles   Subsystem = "vfs"
	SubsystemPoll    Subsystem = "poll"
	SubsystemSched   Subsystem = "sched"
	SubsystemRandom  Subsystem = "random"
	SubsystemSockets Subsystem = "sockets"
)

// Function describes a function.
type Function struct {
	// Name is the function's name in the specification.
	Name string
	// Subsystem answers it.
	Subsystem Subsystem
	// Params are the parameters in order.
	Params []Param
	// NoResult is set for a function that never returns.
	NoResult bool
}

// Param is a parameter of a [Function].
type Param struct {
	Name string
	Kind Kind
}

// All iterates over the parameters. The first value is the parameter's index among the WebAssembly
// parameters. A parameter of a kind that is a [Kind.Pair] takes two of these.
func (f *Function) All() iter.Seq2[int, *Param] {
	return func(yield func(int, *Param) bool) {
		at := 0
		for i := range f.Params {
			p := &f.Params[i]
			if !yield(at, p) {
				return
			}
			if at++; p.Kind.Pair() {
				at++
			}
		}
	}
}

// Width returns the number of WebAssembly parameters.
func (f *Function) Width() (n int) {
	for at, p := range f.All() {
		if n = at + 1; p.Kind.Pair() {
			n++
		}
	}
	return n
}

// Only returns the one parameter of a kind and its place among the WebAssembly parameters, or nil
// if there are none or several.
func (f *Function) Only(k Kind) (found *Param, place int) {
	for at, p := range f.All() {
		if p.Kind != k {
			continue
		}
		if found != nil {
			return nil, 0
		}
		found, place = p, at
	}
	return found, place
}

// Kind says what a parameter means.
type Kind uint8

// The kinds: values, then pointers to what a function reads, pointers to where it stores, and last
// those of functions that are not preview1's.
const (
	KindFd          Kind = iota // a descriptor
	KindSize                    // a count
	KindFilesize                // bytes of a file, 64 bits
	KindFiledelta               // signed bytes of a file, 64 bits
	KindTimestamp               // nanoseconds, 64 bits
	KindCookie                  // a place in a directory, 64 bits
	KindRights                  // wasip1.Rights, 64 bits
	KindClockID                 // wasip1.ClockID
	KindAdvice                  // wasip1.Advice
	KindFdflags                 // wasip1.Fdflags
	KindFstflags                // wasip1.Fstflags
	KindLookupflags             // wasip1.Lookupflags
	KindOflags                  // wasip1.Oflags
	KindWhence                  // wasip1.Whence
	KindRiflags                 // wasip1.Riflags
	KindSiflags                 // wasip1.Siflags
	KindSdflags                 // wasip1.Sdflags
	KindExitcode                // an exit code
	KindSignal                  // wasip1.Signal

	// The kinds that point to what the guest gives.

	KindPath          // a pointer and a length: a path
	KindBytes         // a pointer and a length: bytes
	KindSockaddr      // a pointer to a pointer and a length: an address, see package vfs/sockets
	KindAddrinfo      // a pointer to a structure of sock_getaddrinfo
	KindCiovs         // a pointer and a count: buffers to write from
	KindSubscriptions // a pointer to wasip1.Subscription, as many as the KindSize parameter says

	// The kinds that point to where an answer goes.

	KindIovs         // a pointer and a count: buffers to read into
	KindOutBuffer    // a pointer and a length
	KindOutBytes     // a pointer to bytes whose number another call tells
	KindOutPointers  // a pointer to pointers whose number another call tells
	KindOutSize      // 4 bytes
	KindOutFd        // 4 bytes
	KindOutFilesize  // 8 bytes
	KindOutTimestamp // 8 bytes
	KindOutNumber    // 4 bytes
	KindOutRoflags   // 2 bytes
	KindOutFdstat    // wasip1.Fdstat
	KindOutFilestat  // wasip1.Filestat
	KindOutPrestat   // wasip1.Prestat
	KindOutEvents    // wasip1.Event, as many as the call returned

	// The kinds of functions that are not of preview1, whose parameters are numbers.

	KindI32
	KindI64
	KindF32
	KindF64
	KindOutSockaddr // a pointer to a pointer and a length: where an address goes, see package vfs/sockets
)

// Pair reports whether the parameter is a pointer and a length or count: two WebAssembly
// parameters.
func (k Kind) Pair() bool {
	return k == KindPath || k == KindBytes || k == KindCiovs || k == KindIovs || k == KindOutBuffer
}

// Wide reports whether the parameter has 64 bits.
func (k Kind) Wide() bool {
	return k >= KindFilesize && k <= KindRights || k == KindI64 || k == KindF64
}

// Value reports whether the parameter is a value and not a pointer.
func (k Kind) Value() bool { return k < KindPath || k >= KindI32 }

// Number reports whether the parameter points to where the function stores a number.
func (k Kind) Number() bool { return k >= KindOutSize && k <= KindOutRoflags }
