package virt_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/virt"
)

// A guest with one thread opens and closes files without allocating more than the engine does for
// two calls: nothing that is done when it is made says that others hold its descriptors.
func TestOpeningAllocatesNothing(t *testing.T) {
	const calls = 10_000
	allocations := func(name string) float64 {
		for _, row := range guestloop.Rows() {
			if row.Name != name {
				continue
			}
			host := newHost(t, virt.WithClock(clock.NewVirtual()))
			g := newGuest(t, host, compiled(t, host, row.Module()), virt.WithMount("/", benchFiles(t, &row)))
			return testing.AllocsPerRun(3, func() {
				if _, err := g.Call(t.Context(), "run", calls); err != nil {
					t.Fatal(err)
				}
			})
		}
		t.Fatalf("no row %s", name)
		return 0
	}
	engine := allocations("sched_yield")
	if got := allocations("path_open+fd_close/1"); got > 2*engine+calls/10 {
		t.Errorf("%v allocations in %d calls, of which the engine has %v", got, calls, 2*engine)
	}
}
