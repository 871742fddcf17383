package virt_test

import (
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// TestHashOnEveryMachine runs guests whose modules are committed, and wants the hashes that they have on linux/amd64: a
// seed's run is the same on every architecture, in both engines. What changes them changes all runs, and is a change that
// users see. A hash has the fuel used up by each switch of threads; in together/3 one lies in the start function of a thread, which
// the Host calls, so that its instructions count there too.
func TestHashOnEveryMachine(t *testing.T) {
	want := map[string]string{
		"race_counter/1":                 "9da1def80e6bc27b",
		"race_counter/1099511627776":     "2ad302fd017f4443",
		"deadlock_mutexes/1":             "e2888d34e608f8c6",
		"deadlock_mutexes/1099511627776": "6b19e8e1d08be718",
		"missed_wakeup/1":                "d2fc4a6c5dadb14e",
		"missed_wakeup/1099511627776":    "892d9326e8cefce8",
		"together/0":                     "9d7da910f28cfdac",
		"together/1":                     "af4e63873fac00ec",
		"together/2":                     "bf012ba2853f2931",
		"together/3":                     "aa1077a9cb7f7c5e",
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
