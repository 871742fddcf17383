package virt_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// FuzzReplay replays damaged recordings: whatever they hold, the answer is a Result or an error.
func FuzzReplay(f *testing.F) {
	wasm := bareGuest(f, "race_counter")
	for seed := range uint64(3) {
		tape, _, _ := recorded(f, wasm, virt.Deterministic(seed), virt.WithAccessSwitches())
		f.Add(tape)
		f.Add(virt.Events(tape))
	}
	first, _, _ := recorded(f, wasm, virt.Deterministic(1), virt.WithAccessSwitches())
	player, err := replay.NewPlayer(f.Context(), wasm, bytes.NewReader(first))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { player.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, tape []byte) {
		_, _ = player.Play(t.Context(), bytes.NewReader(tape))
		_, _ = player.Play(t.Context(), bytes.NewReader(virt.Framed(tape, first)))
		_, _ = replay.Compare(bytes.NewReader(tape), bytes.NewReader(first), 2)
	})
}
