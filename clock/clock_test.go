package clock_test

import (
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
)

func BenchmarkTimeGet(b *testing.B) {
	v := memory.NewView(make([]byte, 65536))
	for _, c := range []struct {
		name  string
		clock clock.Clock
	}{{"virtual", clock.NewVirtual()}, {"real", clock.Real()}, {"stepped", clock.Stepped(time.Unix(0, 0), 1)}} {
		for id, name := range []string{"realtime", "monotonic"} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				t := &clock.Times{Clock: c.clock}
				b.ReportAllocs()
				for b.Loop() {
					clock.TimeGet(t, v, uint32(id), 0, 8)
				}
			})
		}
	}
}
