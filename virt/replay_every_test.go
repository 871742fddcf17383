package virt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Every function of preview1 is replayed, with what it printed, in both engines.
func TestReplayOfEveryFunction(t *testing.T) {
	const out = "a\x00b\xff\""
	var tape, again bytes.Buffer
	traceEveryCall(t, virt.WithRecording(&tape))
	for name, opts := range map[string][]virt.Option{"compiler": nil, "interpreter": {virt.WithInterpreter()}} {
		again.Reset()
		result, err := replay.Run(t.Context(), everyCall(), bytes.NewReader(tape.Bytes()), append(opts, virt.WithStdout(&again), virt.WithStderr(&again))...)
		if err != nil || result.Outcome != virt.Exited || result.ExitCode != 3 || again.String() != out {
			t.Errorf("%s: replayed to %v, %v with output %q, want exit 3 with %q", name, result, err, again.String(), out)
		}
	}
}

// Each function is replayed alone too, whatever it answers: also where it ends the guest.
func TestReplayOfEachFunction(t *testing.T) {
	for _, f := range abi.Functions() {
		for _, arg := range []int{0, 1, 3, 64} {
			var args []any
			for _, p := range f.Params {
				switch p.Kind {
				case abi.KindPath, abi.KindCiovs, abi.KindIovs, abi.KindOutBuffer:
					args = append(args, arg, arg)
				case abi.KindFilesize, abi.KindFiledelta, abi.KindTimestamp, abi.KindCookie, abi.KindRights:
					args = append(args, uint64(arg))
				default:
					args = append(args, arg)
				}
			}
			wasm := command(texts("hello"), call{f.Name, args}, writeText(1, 0))
			tape, result, out := recorded(t, wasm, shared, virt.Deterministic(1), virt.WithStdin(strings.NewReader("input")))
			replayed(t, wasm, tape, result, out, shared)
			if t.Failed() {
				t.Fatalf("%s with %d", f.Name, arg)
			}
		}
	}
}

// What a guest printed is replayed, whichever way it took: its descriptors, duplicates of them, the
// devices, and a call that ended the guest.
func TestReplayPrintsWhatTheRunPrinted(t *testing.T) {
	for _, tc := range []struct {
		name  string
		calls []call
		opts  []virt.Option
		want  string
	}{
		{"standard output and error", []call{writeText(1, 0), writeText(2, 1)}, nil, "hello, world"},
		{"a renumbered descriptor", []call{{"fd_renumber", []any{1, 0}}, writeText(0, 0)}, nil, "hello, "},
		{"the device", []call{openText(2, 10, 0, resultAt), writeText(from(resultAt), 1)}, nil, "world"},
		{"a call that used up the budget", []call{writeText(1, 0), writeText(1, 1), writeText(1, 0)}, []virt.Option{virt.WithLimits(func(l *virt.Limits) { l.OutputBytes = 9 })}, "hello, wo"},
		{"an exit behind it", []call{writeText(1, 0), {"proc_exit", []any{7}}}, nil, "hello, "},
		{"a call budget", []call{writeText(1, 0), writeText(1, 1)}, []virt.Option{virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1 })}, "hello, "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wasm := command(texts("hello, ", "world", "dev/stdout"), tc.calls...)
			for _, opts := range [][]virt.Option{{virt.Deterministic(1)}, nil} {
				tape, result, out := recorded(t, wasm, append(opts, tc.opts...)...)
				if out != tc.want {
					t.Fatalf("the run printed %q (%v), want %q", out, result, tc.want)
				}
				replayed(t, wasm, tape, result, out)
			}
		})
	}
}

func TestReplayTellsWhyARunWasCanceled(t *testing.T) {
	cause := errors.New("ended by a signal: terminated")
	ctx, cancel := context.WithCancelCause(t.Context())
	wasm := command(texts("hello"), writeText(1, 0), writeText(1, 0))
	var tape bytes.Buffer
	host := newHost(t, virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
		errno := c.Next()
		cancel(cause)
		<-c.Context().Done()
		return errno
	}))
	result, err := host.Run(ctx, wasm, virt.WithRecording(&tape))
	if err != nil || result.Outcome != virt.Canceled || !errors.Is(result.Err, cause) {
		t.Fatalf("%v, %v", result, err)
	}
	again, err := replay.Run(t.Context(), wasm, &tape)
	if err != nil || again.Outcome != virt.Canceled || again.Err == nil || again.Err.Error() != result.Err.Error() {
		t.Errorf("replayed to %v, %v, want %v", again, err, result)
	}
}

// 1000 vectors over the same 40 KB: a call adds to a recording what the memory has, not what the
// vectors say.
func TestARecordingIsBoundedByWhatTheGuestHas(t *testing.T) {
	const vectors, size = 1000, 40_000
	const vectorsAt = 0x1000
	data := append(texts("dev/zero"), make([]byte, vectorsAt)...)[:vectorsAt]
	data = append(data, make([]byte, vectors*wasip1.SizeIovec)...)
	for i := range vectors {
		wasip1.Iovec{Buf: 1 << 14, Len: size}.Encode(data[vectorsAt+wasip1.SizeIovec*i:])
	}
	wasm := command(data, openText(0, 8, 0, resultAt), call{"fd_read", []any{from(resultAt), vectorsAt, vectors, resultAt + 8}},
		call{"fd_write", []any{1, vectorsAt, vectors, resultAt + 8}})
	var tape counter
	host := newHost(t)
	result, err := host.Run(t.Context(), wasm, virt.WithRecording(&tape), virt.WithStdout(io.Discard), virt.WithLimits(func(l *virt.Limits) { l.OutputBytes = 1000 }))
	if err != nil {
		t.Fatal(err)
	}
	if tape > 1<<18 {
		t.Errorf("%v: %d bytes recorded, of a guest with 256 KiB", result, tape)
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func TestARecordingHasABudget(t *testing.T) {
	read := call{"random_get", []any{bufferAt, 1000}}
	wasm := command(texts("hello"), writeText(1, 0), read, read, read, read, read)
	var tape, out bytes.Buffer
	result, err := newHost(t).Run(t.Context(), wasm, virt.WithRecording(&tape), virt.WithLimits(func(l *virt.Limits) { l.RecordingBytes = 3500 }), virt.WithStdout(&out))
	if err != nil || result.Outcome != virt.Exhausted || result.Budget != virt.BudgetRecording {
		t.Fatalf("%v, %v, want an end by the budget of the recording", result, err)
	}
	if tape.Len() > 3700 || tape.Len() < 3000 {
		t.Errorf("%d bytes recorded", tape.Len())
	}
	replayed(t, wasm, tape.Bytes(), result, out.String())
}

func TestTrapKeepsItsError(t *testing.T) {
	why := fmt.Errorf("it is not supported here: %w", errors.ErrUnsupported)
	wasm := command(texts("hello"), writeText(1, 0))
	var tape bytes.Buffer
	host := newHost(t, virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno { c.Trap(why); return 0 }))
	g := newGuest(t, host, compiled(t, host, wasm), virt.WithRecording(&tape))
	_, err := g.Call(t.Context(), "_start")
	if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(g.Result().Trap, why) || !strings.Contains(g.Result().String(), why.Error()) {
		t.Errorf("%v; %v", err, g.Result())
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := replay.Run(t.Context(), wasm, &tape)
	if err != nil || again.Outcome != virt.Trapped || again.String() != g.Result().String() {
		t.Errorf("replayed to %v, %v, want %v", again, err, g.Result())
	}
}
