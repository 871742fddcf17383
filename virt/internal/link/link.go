// Package link gives packages beside virt what virt alone can do, and no user of virt needs.
// Package virt sets the functions when it is initialized.
package link

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

var (
	// Replay replays one recording with opts, a []virt.Option, and returns a *virt.Result.
	Replay func(ctx context.Context, wasm []byte, from io.Reader, opts any) (any, error)
	// ReplayLibrary returns a virt.HostOption that says which module was a library.
	ReplayLibrary func(name string, wasm []byte) any
	// ReplaySnapshot returns a virt.HostOption that says which snapshot, a *virt.Snapshot, the
	// recorded guest began as.
	ReplaySnapshot func(snapshot any) any
	// NewPlayer returns a player for recordings like the one that from begins.
	NewPlayer func(ctx context.Context, wasm []byte, from io.Reader, opts any) (Player, error)
	// Table describes the functions in recordings.
	Table recording.Table
	// Describe tells of an event in one line, without what a call answered, and Name names the
	// function in a row.
	Describe func(e *recording.Event) string
	Name     func(row int) string
	// Spawn is the row of thread-spawn, and Kernel the first row of the Host's own functions.
	Spawn, Kernel int

	// CompileElsewhere returns a virt.HostOption that has compile put the code of each module into
	// the cache in dir.
	CompileElsewhere func(name string, compile Compiler) any
	// NewExporter returns what exports a Host's functions into the modules of r, with opts, a
	// []virt.Option.
	NewExporter func(ctx context.Context, r wazero.Runtime, opts any) (Exporter, error)
	// WithOptions returns a context with opts, a []virt.GuestOption, for the modules that wazero
	// instantiates with it.
	WithOptions func(ctx context.Context, opts any) context.Context

	// NamesRuntime reports whether one of opts, a []virt.Option, is virt.WithRuntime.
	NamesRuntime func(opts any) bool

	// CheckOptions reports why snapshot, a *virt.Snapshot, starts no guest with opts, a
	// []virt.GuestOption.
	CheckOptions func(snapshot, opts any) error
	// Rest stops the budget of wall time of guest, a *virt.Guest of which nothing runs. Resume
	// begins it anew, and reports whether the guest has not ended.
	Rest   func(guest any)
	Resume func(guest any) bool

	// Nest returns where package plugin keeps the innermost of its calls on the thread of c, a
	// *virt.HostCall.
	Nest func(c any) *any

	// Compile puts a module's code into the cache in dir.
	Compile func(ctx context.Context, wasm []byte, dir string) error
)

// Compiler compiles a module into the cache in dir.
type Compiler func(ctx context.Context, wasm []byte, dir string) error

// Player replays recordings and returns a *virt.Result.
type Player interface {
	Play(ctx context.Context, from io.Reader) (any, error)
	Close(ctx context.Context) error
}

// Exporter exports a Host's functions.
type Exporter interface {
	ExportFunctions(b wazero.HostModuleBuilder)
	Instantiate(ctx context.Context, b wazero.HostModuleBuilder) error
	Close(ctx context.Context) error
}
