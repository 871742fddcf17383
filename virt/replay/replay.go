// Package replay runs guests again as virt.WithRecording recorded them, and compares recordings.
//
//	var tape bytes.Buffer
//	result, err := virt.Run(ctx, wasm, virt.WithRecording(&tape))
//	…
//	again, err := replay.Run(ctx, wasm, &tape, virt.WithStdout(os.Stdout))
//
// A replay needs nothing of the world in which the guest ran, because the recording holds the
// Host's answers. It stops with a *DivergenceError if the guest does anything that it did not do
// before.
package replay

import (
	"context"
	"io"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

// ErrCut says that a recording has no end: it was cut, or the process that wrote it died. All
// events before that are good.
var ErrCut = recording.ErrCut

// Error says that a recording is damaged, is of another version, or is none.
type Error = recording.Error

// DivergenceError says where a run that is replayed does something else than the recorded one:
// after how many events (Event), in which thread (Thread), and what each did (Recorded, Replayed).
type DivergenceError = recording.DivergenceError

// Run replays a recording of wasm, which must be the recorded module, byte for byte. The Result is
// the recorded one. Options say which engine runs the module (virt.WithInterpreter,
// virt.WithRuntimeConfig), where compiled code is kept, and where standard output and error go.
// Others have no effect.
//
// A recording of a guest that was started from a snapshot needs [WithSnapshot].
//
// Errors: a [*DivergenceError] if the run did anything else; the cause of ctx if that ended first;
// [ErrCut], after all events were replayed, if the recording has no end; an [*Error] if it is
// damaged.
func Run(ctx context.Context, wasm []byte, recording io.Reader, opts ...virt.Option) (*virt.Result, error) {
	return result(link.Replay(ctx, wasm, recording, opts))
}

// WithLibrary says which module was the library of a name. See [virt.WithLibrary].
func WithLibrary(name string, wasm []byte) virt.HostOption {
	return link.ReplayLibrary(name, wasm).(virt.HostOption)
}

// WithSnapshot says which snapshot the recorded guest was started from. A recording holds only its
// hash; a replay with another one is refused. The snapshot has to be of a Host with the options of
// the recorded guest's, and stay open. Read one from a file with [virt.ReadSnapshot].
func WithSnapshot(s *virt.Snapshot) virt.HostOption {
	return link.ReplaySnapshot(s).(virt.HostOption)
}

func result(r any, err error) (*virt.Result, error) {
	v, _ := r.(*virt.Result)
	return v, err
}

// Player replays recordings of one module, which is compiled once.
type Player struct{ p link.Player }

// NewPlayer returns a Player for recordings that share the header of this one: they are of the same
// module, compiled in the same way. It reads only the header. See [Run] for the options.
func NewPlayer(ctx context.Context, wasm []byte, recording io.Reader, opts ...virt.Option) (*Player, error) {
	p, err := link.NewPlayer(ctx, wasm, recording, opts)
	if err != nil {
		return nil, err
	}
	return &Player{p}, nil
}

// Play replays a recording as [Run] does. It may be called by several goroutines, unless an option
// says where the output goes.
func (p *Player) Play(ctx context.Context, recording io.Reader) (*virt.Result, error) {
	return result(p.p.Play(ctx, recording))
}

// Close frees the module.
func (p *Player) Close(ctx context.Context) error { return p.p.Close(ctx) }
