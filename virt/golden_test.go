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
		"race_counter/1":                 "6ffe6eb9b3b57ee0",
		"race_counter/1099511627776":     "7c69d191239874e7",
		"deadlock_mutexes/1":             "449f24809d93956f",
		"deadlock_mutexes/1099511627776": "faa3a79e4cf48250",
		"missed_wakeup/1":                "b455fc6ea48a5f76",
		"missed_wakeup/1099511627776":    "73a37a339d9c55ea",
		"together/0":                     "d75d60f3974f98c1",
		"together/1":                     "66911d9a7acd44b1",
		"together/2":                     "b8500fddb5db8bf1",
		"together/3":                     "9b307db4313bb029",
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
