package virt_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/guestloop"
	"github.com/wasivirt/wasivirt/virt"
)

// A guest with one thread opens and closes files without allocating: nothing that is done when it is made says that others hold its
// descriptors.
func TestOpeningAllocatesNothing(t *testing.T) {
	for _, row := range guestloop.Rows() {
		if row.Name != "path_open+fd_close/1" {
			continue
		}
		host := newHost(t, virt.WithClock(clock.NewVirtual()))
		g := newGuest(t, host, compiled(t, host, row.Module()), virt.WithMount("/", benchFiles(t, &row)))
		const calls = 10_000
		got := testing.AllocsPerRun(3, func() {
			if _, err := g.Call(t.Context(), "run", calls); err != nil {
				t.Fatal(err)
			}
		})
		if got > calls/10 {
			t.Errorf("%v allocations in %d calls", got, calls)
		}
	}
}
