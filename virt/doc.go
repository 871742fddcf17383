// Package virt runs WebAssembly guests in a virtual world: a small operating system whose processes
// are WebAssembly modules that call WASI preview1.
//
// A [Builder] collects options and builds a [Host]. The Host owns the world: file systems, clock,
// randomness, scheduler. A [Guest] is a process in it: an instance of a [Module] with arguments,
// environment and descriptors. Its [Result] tells how it ended.
//
//	result, err := virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithArgs("/a.txt"), virt.WithStdout(&out))
//
// is short for
//
//	host, err := virt.NewBuilder(virt.WithMount("/", files)).Build(ctx)
//	…
//	defer host.Close(ctx)
//	result, err := host.Run(ctx, wasm, virt.WithArgs("/a.txt"), virt.WithStdout(&out))
//
// If err is not nil, the Host failed: a bad module, a mistake in an option, an error of the
// embedder's writer. A guest that fails is never an error: look at the Result.
//
// Nothing of the machine is in the world unless an option puts it there. Defaults:
//
//   - argv holds only the program's name; the environment is empty;
//   - standard input is at EOF; output is discarded, except the beginning and the end of standard
//     error, which are in Result.Stderr;
//   - each guest has a file system of its own in memory, with /dev and an empty /tmp;
//   - the real clock, the system's randomness, no threads besides the first.
//
// An [Option] is a [HostOption] or a [GuestOption]. A GuestOption passed to [NewBuilder] applies to
// every guest; passed to [Host.Run] or [Host.Instantiate] it applies to that guest only, and wins.
// A guest's mount replaces the Builder's mount at the same path. A HostOption passed for one guest
// does not compile.
//
// # I want to …
//
//	run a command once                        [Run]
//	run a module many times                   [Host.Compile], then [Host.RunModule]
//	call exports                              [Host.Instantiate], then [Guest.Call]; with strings and structs: package virt/plugin
//	run untrusted modules                     [Untrusted], then single limits
//	limit one guest; all guests together      [WithLimits], or [WithFuel] and others; [WithSharedLimits], [WithMaxGuests]
//	answer imports that are not WASI          [WithFunctions] (recorded); [WithModules] (wazero host modules)
//	change or watch WASI calls                [WithMiddleware]
//	have WASI answered by WebAssembly         [Host.CompilePlug], [WithPlug]
//	link modules that import from each other  [Host.CompileLinked], [WithLibrary]
//	answer some WASI calls by myself          [WithReplacement]; by another host module: [WithFallback]
//	forbid calls or paths                     [WithPolicy]
//	refuse modules by what they import        [WithAllowedImports]
//	keep guests ready for requests            [Guest.Snapshot], package virt/pool
//	see what guests do now                    package virt/ps
//	see calls                                 [WithTrace]; count them: [WithUsage]
//	make calls fail                           [WithFaults]; operations of a file system: package vfs/faultfs
//	repeat a run exactly                      [Deterministic]; find races: package virt/explore; test: package virt/virttest
//	simulate several guests, and faults       package virt/simulate
//	record a run and replay it                [WithRecording], package virt/replay
//	use it from code written for wazero       package virt/dropin
//
// # Errors
//
// Match errors with errors.Is and errors.As:
//
//	[*inspect.Error]                  the module is malformed or exceeds [inspect.Limits]
//	[*ImportError]                    the module imports what the Host does not provide or allow
//	[*ExitError]                      a call of an export ended the guest; it unwraps to [*Trap], [*BudgetError] or the cause
//	[*BudgetError]                    a budget is used up; for wall time it matches context.DeadlineExceeded
//	[*OutputError]                    output was lost: a writer of the embedder failed
//	[*StuckError], [ErrInside]        Close did not wait to the end; Close was called by the guest's own call
//	[ErrSnapshotMismatch]             a file for [ReadSnapshot] is of another module, or of other options
//	[ErrBusy], [ErrClosed]            another call is under way; the Host or guest is closed
//	[ErrNotCommand], [ErrAlreadyRun]  Run of a reactor; a second Run
//	[ErrNoExport], [ErrParams]        no such export; its parameters are others
//	[ErrOtherHost]                    the module or guest belongs to another Host
//
// A Host and a Module may be used by any number of goroutines. A Guest runs one call of an export
// at a time.
package virt
