package explore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// Two variables that are written by one store are read by another thread one by one: each read saw
// what was written.
func TestStoryOfAccessesOfDifferentSizes(t *testing.T) {
	for _, model := range []sched.MemoryModel{sched.SequentialConsistency, sched.TotalStoreOrder} {
		tell := newTeller(model)
		memory := make([]byte, 64)
		access := func(a trace.Access) {
			a.Memory = memory
			tell.access(&a)
		}
		access(trace.Access{Thread: 0, Op: trace.AccessStore, Addr: 16, Size: 8})
		memory[20] = 1
		access(trace.Access{Thread: 0, Op: trace.AccessCall, Call: "thread-spawn"})
		tell.switched(Switch{From: 0, To: 1, Point: sched.PointSpawn})
		access(trace.Access{Thread: 1, Op: trace.AccessLoad, Addr: 16, Size: 4})
		access(trace.Access{Thread: 1, Op: trace.AccessLoad, Addr: 20, Size: 4})
		access(trace.Access{Thread: 1, Op: trace.AccessCall, Call: "proc_exit"})
		tell.result = &virt.Result{}
		var told []string
		for _, step := range tell.tell(&names{}).Steps {
			if !step.Switch {
				told = append(told, step.Text+step.Note)
			}
		}
		if diff := cmp.Diff([]string{"reads 0x10: 0", "reads 0x14: 1", "calls proc_exit"}, told); diff != "" {
			t.Errorf("%v: %s", model, diff)
		}
	}
}
