package clock_test

import (
	"math"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

type cpu int64

func (c cpu) CPUTime() int64 { return int64(c) }

func TestTimeGetResGet(t *testing.T) {
	v := clock.NewVirtual(clock.WithStart(time.Unix(0, 1234)))
	for _, row := range []struct {
		name      string
		times     clock.Times
		id        uint32
		result    uint32
		time, res uint64
		terr      wasip1.Errno // of clock_time_get
		rerr      wasip1.Errno // of clock_res_get
	}{
		{"realtime", clock.Times{Clock: v}, 0, 8, 1234, 1, 0, 0},
		{"monotonic", clock.Times{Clock: v}, 1, 8, uint64(v.Monotonic()), 1, 0, 0},
		{"before 1970", clock.Times{Clock: clock.Offset(v, -time.Hour)}, 0, 8, 0, 1, 0, 0},
		{"process", clock.Times{Clock: v, Process: cpu(5)}, 2, 8, 5, 1, 0, 0},
		{"thread", clock.Times{Clock: v, Thread: cpu(6)}, 3, 8, 6, 1, 0, 0},
		{"no process", clock.Times{Clock: v, Thread: cpu(6)}, 2, 8, 0, 0, wasip1.EINVAL, wasip1.EINVAL},
		{"no thread", clock.Times{Clock: v, Process: cpu(6)}, 3, 8, 0, 0, wasip1.EINVAL, wasip1.EINVAL},
		{"unknown", clock.Times{Clock: v}, 4, 8, 0, 0, wasip1.EINVAL, wasip1.EINVAL},
		{"unknown, far", clock.Times{Clock: v}, math.MaxUint32, 8, 0, 0, wasip1.EINVAL, wasip1.EINVAL},
		{"unknown before the pointer", clock.Times{Clock: v}, 4, 1 << 31, 0, 0, wasip1.EINVAL, wasip1.EINVAL},
		{"end of memory", clock.Times{Clock: v}, 0, 57, 0, 0, wasip1.EFAULT, wasip1.EFAULT},
		{"past memory", clock.Times{Clock: v}, 0, math.MaxUint32, 0, 0, wasip1.EFAULT, wasip1.EFAULT},
		{"unaligned", clock.Times{Clock: v}, 0, 55, 1234, 1, 0, 0},
		{"denied", clock.Times{Clock: clock.Deny(v, wasip1.EPERM, wasip1.ClockRealtime)}, 0, 8, 0, 0, wasip1.EPERM, wasip1.EPERM},
		{"denied through a lens", clock.Times{Clock: clock.Offset(clock.Deny(v, wasip1.EPERM, 0), 1)}, 0, 8, 0, 0, wasip1.EPERM, wasip1.EPERM},
		{"denied twice", clock.Times{Clock: clock.Deny(clock.Deny(v, wasip1.EPERM, 0), wasip1.ENOTSUP, 1, 99)}, 1, 8, 0, 0, wasip1.ENOTSUP, wasip1.ENOTSUP},
		{"not denied", clock.Times{Clock: clock.Deny(v, wasip1.EPERM, 1)}, 0, 8, 1234, 1, 0, 0},
		{"scaled", clock.Times{Clock: clock.Scaled(v, 1000)}, 0, 8, 1234, 1000, 0, 0},
		{"stepped", clock.Times{Clock: clock.Stepped(time.Unix(0, 9), 50)}, 0, 8, 9, 50, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := memory.NewView(make([]byte, 64))
			if errno := clock.TimeGet(&row.times, m, row.id, 7, row.result); errno != row.terr {
				t.Errorf("clock_time_get: %v, want %v", errno, row.terr)
			} else if got, _ := m.Uint64(row.result); row.terr == 0 && got != row.time {
				t.Errorf("clock_time_get: %d, want %d", got, row.time)
			}
			if errno := clock.ResGet(&row.times, m, row.id, row.result); errno != row.rerr {
				t.Errorf("clock_res_get: %v, want %v", errno, row.rerr)
			} else if got, _ := m.Uint64(row.result); row.rerr == 0 && got != row.res {
				t.Errorf("clock_res_get: %d, want %d", got, row.res)
			}
		})
	}
}

func BenchmarkTimeGet(b *testing.B) {
	v := memory.NewView(make([]byte, 65536))
	for _, c := range []struct {
		name  string
		clock clock.Clock
	}{{"virtual", clock.NewVirtual()}, {"real", clock.Real()}, {"stepped", clock.Stepped(y2k, 1)}} {
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
