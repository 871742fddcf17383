package poll_test

import (
	"context"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

func BenchmarkOneoffDue(b *testing.B) {
	v := memory.NewView(make([]byte, 65536))
	c := clock.NewVirtual()
	s := &poll.Set{Task: poll.NewTask(context.Background()), Clock: c}
	for _, row := range []struct {
		name string
		sub  wasip1.SubscriptionClock
	}{
		{"relative", wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic}},
		{"absolute", wasip1.SubscriptionClock{ID: wasip1.ClockRealtime, Timeout: 1, Flags: wasip1.SubclockAbstime}},
	} {
		b.Run(row.name, func(b *testing.B) {
			sub := wasip1.Subscription{Userdata: 7, Clock: row.sub}
			m, _ := v.Write(64, wasip1.SizeSubscription)
			sub.Encode(m)
			b.ReportAllocs()
			for b.Loop() {
				if poll.Oneoff(s, v, 64, 256, 1, 8) != wasip1.ESUCCESS {
					b.Fatal("failed")
				}
			}
		})
	}
}
