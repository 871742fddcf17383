package virt_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// endless is input that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, "0123456789"), nil }

// The recording of a process that was killed is replayed up to where it was written.
func TestReplayOfAKilledProcess(t *testing.T) {
	wasm := bareGuest(t, "relay")
	if file := os.Getenv("WASIVIRT_TEST_RECORDING"); file != "" {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		host := newHost(t, virt.Deterministic(1), virt.WithMaxThreads(2))
		result, err := host.Run(t.Context(), wasm, virt.WithRecording(f), virt.WithStdin(endless{}), virt.WithStdout(os.Stdout))
		t.Fatal(result, err)
	}
	file := filepath.Join(t.TempDir(), "tape")
	cmd := exec.Command(os.Args[0], "-test.run=^TestReplayOfAKilledProcess$")
	cmd.Env = append(os.Environ(), "WASIVIRT_TEST_RECORDING="+file)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := io.CopyN(&out, pipe, 100_000); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(&out, pipe); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	tape, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	result, err := replay.Run(t.Context(), wasm, bytes.NewReader(tape), virt.WithStdout(&again))
	if !errors.Is(err, replay.ErrCut) {
		t.Errorf("replayed to %v, %v, want %v", result, err, replay.ErrCut)
	}
	if again.Len() < 10_000 || !bytes.HasPrefix(out.Bytes(), again.Bytes()) {
		t.Errorf("the replay of %d bytes printed %d bytes, of the %d that were printed", len(tape), again.Len(), out.Len())
	}
}
