package virt

import "github.com/tetratelabs/wazero/api"

// Param is a parameter of a [Function].
type Param struct {
	Name string
	Kind Kind
}

// Kind says what a parameter means, which is all that tracing and recording need in order to decode it.
type Kind uint8

// The kinds that are values.
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
	KindOutRoflags   // 2 bytes
	KindOutFdstat    // wasip1.Fdstat
	KindOutFilestat  // wasip1.Filestat
	KindOutPrestat   // wasip1.Prestat
	KindOutEvents    // wasip1.Event, as many as the call returned
)

// pair reports whether the parameter is a pointer and a length: two WebAssembly parameters.
func (k Kind) pair() bool {
	return k == KindPath || k == KindCiovs || k == KindIovs || k == KindOutBuffer
}

// wide reports whether the parameter is an i64.
func (k Kind) wide() bool { return k >= KindFilesize && k <= KindRights }

// signature returns the function's WebAssembly type and its parameters' names.
func (f *Function) signature() (types, results []api.ValueType, names []string) {
	for _, p := range f.Params {
		switch {
		case p.Kind.pair():
			types = append(types, api.ValueTypeI32, api.ValueTypeI32)
			names = append(names, p.Name, p.Name+"_len")
		case p.Kind.wide():
			types = append(types, api.ValueTypeI64)
			names = append(names, p.Name)
		default:
			types = append(types, api.ValueTypeI32)
			names = append(names, p.Name)
		}
	}
	if !f.NoResult {
		results = []api.ValueType{api.ValueTypeI32}
	}
	return types, results, names
}
