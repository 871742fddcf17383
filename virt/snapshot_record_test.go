package virt_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// forkRun is what a fork did: what its calls answered, what it printed, how it ended, its hash and
// its usage.
type forkRun struct {
	Answers []uint64
	Printed string
	Outcome virt.Outcome
	Hash    [32]byte
	Usage   virt.Usage
}

// forkRuns makes a deterministic guest, which does some calls, and runs and records two forks of
// it.
func forkRuns(t *testing.T, engine virt.Option, wasm []byte) (runs [2]forkRun, tapes [2][]byte, s *virt.Snapshot) {
	t.Helper()
	host := newHost(t, shared, engine, virt.Deterministic(7))
	g, err := host.Instantiate(t.Context(), compiled(t, host, wasm), virt.WithUsage())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range sequence(1) {
		one(t, g, "step", c...)
	}
	s = snapshotOf(t, g)
	for i := range runs {
		var out, tape bytes.Buffer
		r := &runs[i]
		fork := started(t, s, virt.WithStdout(&out), virt.WithHash(), virt.WithRecording(&tape))
		for _, c := range sequence(2) {
			r.Answers = append(r.Answers, one(t, fork, "step", c...))
		}
		if err := fork.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := fork.Result()
		r.Printed, r.Outcome, r.Hash, r.Usage, tapes[i] = out.String(), end.Outcome, end.Hash, fork.Usage(), tape.Bytes()
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return runs, tapes, s
}

// A fork of a deterministic guest repeats bit for bit: answers, output, hash, usage and recording.
// Its recording is replayed with the snapshot alone.
func TestForksOfDeterministicGuestsRepeat(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		for name, wasm := range map[string][]byte{"C": bareGuest(t, "keep"), "Go": goGuest(t, "warm", "-buildmode=c-shared")} {
			t.Run(name, func(t *testing.T) {
				first, tapes, s := forkRuns(t, engine, wasm)
				second, others, again := forkRuns(t, engine, wasm)
				machine := []cmp.Option{cmpopts.IgnoreFields(virt.Usage{}, "Real", "Waited", "CPUTime"), cmpopts.IgnoreFields(virt.FunctionUsage{}, "Waited")}
				if d := cmp.Diff(first, second, machine...); d != "" {
					t.Errorf("a second run differs:\n%s", d)
				}
				if first[0].Hash == [32]byte{} {
					t.Error("a fork has no hash")
				}
				h1, err1 := s.Hash()
				h2, err2 := again.Hash()
				if h1 != h2 || err1 != nil || err2 != nil {
					t.Errorf("the snapshots have the hashes %x and %x; %v, %v", h1, h2, err1, err2)
				}
				for i := range first {
					d, err := replay.Compare(bytes.NewReader(tapes[i]), bytes.NewReader(others[i]), 3)
					if d != nil || err != nil {
						t.Errorf("the recordings of fork %d differ: %v, %v", i, d, err)
					}
				}
				for _, s := range []*virt.Snapshot{s, again} {
					replayForks(t, wasm, tapes, first, shared, engine, replay.WithSnapshot(s))
				}
			})
		}
	})
}

// replayForks replays the recordings of forks, for which the module is compiled once.
func replayForks(t *testing.T, wasm []byte, tapes [2][]byte, forks [2]forkRun, opts ...virt.Option) {
	t.Helper()
	player, err := replay.NewPlayer(t.Context(), wasm, bytes.NewReader(tapes[0]), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close(t.Context())
	for i, tape := range tapes {
		r, err := player.Play(t.Context(), bytes.NewReader(tape))
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome != forks[i].Outcome {
			t.Errorf("the replay ended with %v, the fork with %v", r, forks[i].Outcome)
		}
	}
}

// A replay needs the snapshot that the recorded guest began as, and says so.
func TestReplayRefusesOtherSnapshots(t *testing.T) {
	wasm := bareGuest(t, "keep")
	_, tapes, s := forkRuns(t, virt.Options(), wasm)
	host := newHost(t, virt.Deterministic(7))
	g, err := host.Instantiate(t.Context(), compiled(t, host, wasm))
	if err != nil {
		t.Fatal(err)
	}
	other := snapshotOf(t, g)
	var plain bytes.Buffer
	g, err = host.Instantiate(t.Context(), compiled(t, host, wasm), virt.WithRecording(&plain))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		tape []byte
		opts []virt.Option
		want string
	}{
		"none":           {tapes[0], nil, "give that by replay.WithSnapshot"},
		"another":        {tapes[0], []virt.Option{replay.WithSnapshot(other)}, "and the one given by replay.WithSnapshot has the hash"},
		"one too many":   {plain.Bytes(), []virt.Option{replay.WithSnapshot(s)}, "leave replay.WithSnapshot out"},
		"no snapshot":    {tapes[0], []virt.Option{replay.WithSnapshot(nil)}, "the snapshot is nil"},
		"another engine": {tapes[0], []virt.Option{replay.WithSnapshot(s), virt.WithInterpreter()}, ""},
	} {
		_, err := replay.Run(t.Context(), wasm, bytes.NewReader(tc.tape), tc.opts...)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	d, err := replay.Compare(bytes.NewReader(tapes[0]), bytes.NewReader(plain.Bytes()), 1)
	if err != nil || d == nil || !strings.Contains(d.String(), "another snapshot") {
		t.Errorf("compared with a run from the beginning: %v, %v", d, err)
	}
}

// A command that goes on from its checkpoint is recorded and replayed, also where the snapshot went
// through a file.
func TestCheckpointsAreRecorded(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, checkpointWasm)
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, g)
	var file, tape, out, again bytes.Buffer
	if _, err := s.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	fork := started(t, s, virt.WithStdout(&out), virt.WithRecording(&tape))
	want, err := fork.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	read, err := virt.ReadSnapshot(m, &file)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	got, err := replay.Run(t.Context(), checkpointWasm, &tape, replay.WithSnapshot(read), virt.WithStdout(&again))
	if err != nil {
		t.Fatal(err)
	}
	if got.Outcome != want.Outcome || got.ExitCode != want.ExitCode || again.String() != out.String() {
		t.Errorf("the replay ended with %v and printed %q, the guest with %v and %q", got, &again, want, &out)
	}
}
