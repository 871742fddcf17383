package virt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// recorded runs a module in a deterministic world and returns the recording, how it ended and its
// output.
func recorded(tb testing.TB, wasm []byte, opts ...virt.Option) ([]byte, *virt.Result, string) {
	tb.Helper()
	var tape, out bytes.Buffer
	host := newHost(tb, append([]virt.Option{virt.WithMaxThreads(8), virt.WithEnv("PWD", "/")}, opts...)...)
	result, err := host.Run(tb.Context(), wasm, virt.WithRecording(&tape), virt.WithStdout(&out), virt.WithStderr(&out))
	if err != nil {
		tb.Fatal(err)
	}
	return tape.Bytes(), result, out.String()
}

// replayed replays a recording and wants the same end and output.
func replayed(tb testing.TB, wasm, tape []byte, want *virt.Result, wantOut string, opts ...virt.Option) {
	tb.Helper()
	var out bytes.Buffer
	result, err := replay.Run(tb.Context(), wasm, bytes.NewReader(tape), append(opts, virt.WithStdout(&out), virt.WithStderr(&out))...)
	if err != nil {
		tb.Fatal(err)
	}
	if result.Outcome != want.Outcome || result.ExitCode != want.ExitCode {
		tb.Errorf("replayed to %v, want %v", result, want)
	}
	if out.String() != wantOut {
		tb.Errorf("replayed the output\n%s\nwant\n%s", out.String(), wantOut)
	}
}

func TestReplayThreads(t *testing.T) {
	for _, name := range []string{"race_counter", "race_counter_fixed", "deadlock_mutexes", "missed_wakeup", "missed_wakeup_fixed"} {
		t.Run(name, func(t *testing.T) {
			wasm := bareGuest(t, name)
			for seed := range uint64(30) {
				tape, result, out := recorded(t, wasm, virt.Deterministic(seed), virt.WithAccessSwitches())
				replayed(t, wasm, tape, result, out)
				if seed%10 == 0 {
					replayed(t, wasm, tape, result, out, virt.WithInterpreter())
				}
			}
		})
	}
}

// A run in the real world, with its clock, its randomness and threads that take turns, is replayed.
func TestReplayRealRun(t *testing.T) {
	wasm := goGuest(t, "busy")
	tape, result, out := recorded(t, wasm, shared)
	replayed(t, wasm, tape, result, out, shared)
	if full {
		replayed(t, wasm, tape, result, out, virt.WithInterpreter())
	}

	threads := bareGuest(t, "race_counter")
	tape, result, out = recorded(t, threads, virt.WithScheduler(sched.NewSeeded(sched.SeededConfig{Seed: 1})))
	replayed(t, threads, tape, result, out)
}

func TestRecordingsThatDiffer(t *testing.T) {
	wasm := goGuest(t, "busy")
	a, _, _ := recorded(t, wasm, shared, virt.Deterministic(1))
	b, _, _ := recorded(t, wasm, shared, virt.Deterministic(1))
	c, _, _ := recorded(t, wasm, shared, virt.Deterministic(2))
	if p, err := replay.Compare(bytes.NewReader(a), bytes.NewReader(b), 3); p != nil || err != nil {
		t.Errorf("two runs of one seed part: %v, %v", p, err)
	}
	slow := virt.FramedBy(virt.Events(a), a, 7)
	if p, err := replay.Compare(bytes.NewReader(a), bytes.NewReader(slow), 3); p != nil || err != nil {
		t.Errorf("a run in small frames parts from itself: %v, %v", p, err)
	}
	p, err := replay.Compare(bytes.NewReader(a), bytes.NewReader(c), 3)
	if err != nil {
		t.Fatal(err)
	}
	if p == nil || p.Event == 0 || len(p.Before) == 0 || len(p.Before) > 3 || len(p.A) != 4 || len(p.B) != 4 {
		t.Fatalf("runs of two seeds part at %v", p)
	}
	if !strings.Contains(p.A[0], "random_get") || p.A[0] == p.B[0] {
		t.Errorf("they part at\n%s\n%s\nwant random_get, with different bytes", p.A[0], p.B[0])
	}
}

func TestRecordingRefuses(t *testing.T) {
	threads := bareGuest(t, "race_counter")
	if _, err := newHost(t).Run(t.Context(), threads, virt.WithRecording(io.Discard)); err == nil || !strings.Contains(err.Error(), "take turns") {
		t.Errorf("threads in parallel: %v", err)
	}
	host := newHost(t, virt.WithModules(func(r wazero.Runtime) (api.Module, error) {
		return r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("call_host").Instantiate(t.Context())
	}))
	// A module that imports env.call_host, of type [] → [].
	wasm := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x02\x11\x01\x03env\x09call_host\x00\x00")
	if _, err := host.Run(t.Context(), wasm, virt.WithRecording(io.Discard)); err == nil || !strings.Contains(err.Error(), "env.call_host") {
		t.Errorf("a function of the embedder: %v", err)
	}
	host = newHost(t, virt.Deterministic(1), virt.WithMaxThreads(4), virt.WithRecording(io.Discard))
	if _, err := host.Run(t.Context(), threads); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Run(t.Context(), threads); err == nil || !strings.Contains(err.Error(), "another guest") {
		t.Errorf("one writer for two guests: %v", err)
	}
}

// fullDisk answers an error after some bytes.
type fullDisk struct{ left int }

var errDiskFull = errors.New("the disk is full")

func (w *fullDisk) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errDiskFull
	}
	return len(p), nil
}

func TestRecordingTellsOfWriteErrors(t *testing.T) {
	host := newHost(t, virt.Deterministic(1), virt.WithMaxThreads(4))
	_, err := host.Run(t.Context(), bareGuest(t, "race_counter"), virt.WithRecording(&fullDisk{left: 100}))
	if !errors.Is(err, errDiskFull) {
		t.Errorf("%v, want %v", err, errDiskFull)
	}
}

func TestReplayOfDamagedRecordings(t *testing.T) {
	wasm := bareGuest(t, "race_counter")
	tape, want, _ := recorded(t, wasm, virt.Deterministic(3), virt.WithAccessSwitches())
	step := sized(7, 1)
	for at := 0; at < len(tape); at += step {
		if _, err := replay.Run(t.Context(), wasm, bytes.NewReader(tape[:at])); err == nil {
			t.Errorf("cut after %d of %d bytes: no error", at, len(tape))
		}
		damaged := bytes.Clone(tape)
		damaged[at] ^= 0x10
		result, err := replay.Run(t.Context(), wasm, bytes.NewReader(damaged))
		if err == nil && (at < 8 || result.String() != want.String()) {
			t.Errorf("byte %d changed: replayed to %v without an error", at, result)
		}
	}
	if _, err := replay.Run(t.Context(), wasm, bytes.NewReader(tape[:len(tape)-1])); !errors.Is(err, replay.ErrCut) {
		t.Errorf("without the last byte: %v", err)
	}
	if _, err := replay.Run(t.Context(), bareGuest(t, "missed_wakeup"), bytes.NewReader(tape)); err == nil || !strings.Contains(err.Error(), "another module") {
		t.Errorf("another module: %v", err)
	}
}

// A recording whose events were changed, with checksums that are right, ends in a Result or an
// error: no thread waits for a turn that nobody gives.
func TestReplayOfChangedEventsEnds(t *testing.T) {
	wasm := bareGuest(t, "race_counter")
	tape, _, _ := recorded(t, wasm, virt.Deterministic(1), virt.WithAccessSwitches())
	player, err := replay.NewPlayer(t.Context(), wasm, bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close(context.Background())
	events := virt.Events(tape)
	rng := rand.New(rand.NewPCG(1, 2))
	for range sized(200, 20_000) {
		changed := bytes.Clone(events)
		for range 1 + rng.IntN(4) {
			switch at := rng.IntN(len(changed)); rng.IntN(4) {
			case 0:
				changed[at] = byte(rng.Uint32())
			case 1:
				changed[at] = changed[rng.IntN(len(changed))]
			case 2:
				changed = slices.Delete(changed, at, min(at+1+rng.IntN(8), len(changed)))
			case 3:
				changed = slices.Insert(changed, at, changed[:rng.IntN(8)]...)
			}
		}
		_, _ = player.Play(t.Context(), bytes.NewReader(virt.Framed(changed, tape)))
	}
}

// trickle gives a recording out until its reader's context ends, and then the rest of it.
type trickle struct {
	io.Reader
	end context.CancelCauseFunc
}

var errEnough = errors.New("enough")

func (r *trickle) Read(p []byte) (int, error) {
	r.end(errEnough)
	return r.Reader.Read(p)
}

func TestReplayHonoursItsContext(t *testing.T) {
	wasm := bareGuest(t, "race_counter")
	tape, _, _ := recorded(t, wasm, virt.Deterministic(1), virt.WithAccessSwitches())
	player, err := replay.NewPlayer(t.Context(), wasm, bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close(context.Background())
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := player.Play(ctx, &trickle{bytes.NewReader(tape), cancel}); !errors.Is(err, errEnough) {
		t.Errorf("replayed with %v, want %v", err, errEnough)
	}
}
