package virt_test

import (
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// TestHashOnEveryMachine runs guests whose modules are committed, and wants the hashes that they
// have on linux/amd64: a seed's run is the same on every architecture, in both engines. What
// changes them changes all runs, and is a change that users see. A hash has the fuel used up by
// each switch of threads; in together/3 one lies in the start function of a thread, which the Host
// calls, so that its instructions count there too.
func TestHashOnEveryMachine(t *testing.T) {
	want := map[string]string{
		"race_counter/1":                 "fc6ad3861f290702",
		"race_counter/1099511627776":     "7831cc1c7556a619",
		"deadlock_mutexes/1":             "6cf5cffa320b7bf2",
		"deadlock_mutexes/1099511627776": "bc0698b663dc2446",
		"missed_wakeup/1":                "0d6968959448e1f4",
		"missed_wakeup/1099511627776":    "114413d7f34a2839",
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
