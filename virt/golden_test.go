package virt_test

import (
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// TestHashOnEveryMachine runs guests whose modules are committed, and wants the hashes that they have on linux/amd64: a
// seed's run is the same on every architecture, in both engines. What changes them changes all runs, and is a change that
// users see.
func TestHashOnEveryMachine(t *testing.T) {
	want := map[string]string{
		"race_counter/1":                 "928d50a8cd8e3049",
		"race_counter/1099511627776":     "29f83c556b8ff6f6",
		"deadlock_mutexes/1":             "50aa79a23f729a55",
		"deadlock_mutexes/1099511627776": "d3bd1d54efa84bf2",
		"missed_wakeup/1":                "f0eacef1ee6fd87c",
		"missed_wakeup/1099511627776":    "4031317c621b15d7",
		"together/0":                     "b63d701c1745436a",
		"together/1":                     "5da434d9e2d047a1",
		"together/2":                     "134d79a4a1f6a64b",
		"together/3":                     "c76df205eb3722d8",
	}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		first := newHost(t, engine, virt.WithAccessSwitches(), virt.Deterministic(0))
		for _, name := range []string{"race_counter", "deadlock_mutexes", "missed_wakeup"} {
			m := compiled(t, first, bareGuest(t, name))
			for _, seed := range []uint64{1, 1 << 40} {
				hash, _ := hashed(t, first, m, seed)
				if got, id := fmt.Sprintf("%x", hash[:8]), fmt.Sprintf("%s/%d", name, seed); got != want[id] {
					t.Errorf("%s: %s, want %s", id, got, want[id])
				}
			}
		}
		hashes, _, _ := together(t, first, compiled(t, first, bareGuest(t, "relay")), compiled(t, first, bareGuest(t, "race_counter")), 7)
		for i, hash := range hashes {
			if got, id := fmt.Sprintf("%x", hash[:8]), fmt.Sprintf("together/%d", i); got != want[id] {
				t.Errorf("%s: %s, want %s", id, got, want[id])
			}
		}
	})
}
