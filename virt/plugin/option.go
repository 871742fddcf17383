package plugin

import "math"

// Option is an option of [Func], [Bind] and [HostFunc].
type Option func(*options)

type options struct {
	limit          uint64
	alloc, free    string
	static         bool
	assemblyScript bool
}

// DefaultMaxSize is the default of [WithMaxSize]: 64 MiB.
const DefaultMaxSize = 64 << 20

// WithMaxSize limits how many bytes one call takes for what it gets from the guest: values as they
// are in Go, and 24 bytes for each block of them that has to be freed. A call that a host function
// makes with its context takes no more than is left of those that it is within. 0 is no limit.
// Default: [DefaultMaxSize].
func WithMaxSize(bytes uint64) Option {
	return func(o *options) {
		o.limit = bytes
		if bytes == 0 {
			o.limit = math.MaxUint64
		}
	}
}

// WithAllocator names the exports that allocate and free. alloc takes (size) or (size, align) and
// returns a pointer; free takes (pointer), (pointer, size) or (pointer, size, align). All are i32.
// Default: malloc and free, else AssemblyScript's functions, else cabi_realloc.
func WithAllocator(alloc, free string) Option {
	return func(o *options) { o.alloc, o.free = alloc, free }
}

// WithStaticResults keeps the host from freeing results. Use it if the guest returns pointers to
// memory that it reuses, such as a static buffer.
func WithStaticResults() Option { return func(o *options) { o.static = true } }

// WithAssemblyScript makes HostFunc use strings and []byte of AssemblyScript. [Func] detects such
// guests without it.
func WithAssemblyScript() Option { return func(o *options) { o.assemblyScript = true } }

func optionsOf(opts []Option) options {
	o := options{limit: DefaultMaxSize}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}
