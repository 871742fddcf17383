package virt_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// TestGuestsEndedAtAnyMoment ends guests with threads at random moments of their lives, by their
// context, by Close and by themselves, several at a time: nothing is left of them.
func TestGuestsEndedAtAnyMoment(t *testing.T) {
	rounds := sized(400, 1000)
	if testing.Short() || raceDetector {
		rounds = 200
	}
	exports := []struct {
		name string
		args []uint64
	}{
		{"with_mutex", []uint64{200}}, {"with_condition", []uint64{20}}, {"with_barrier", []uint64{20}}, {"with_queue", []uint64{100}},
		{"parallel_sum", []uint64{1 << 12}}, {"churn", []uint64{20}}, {"grow_together", []uint64{20}},
		{"hang_in_threads", []uint64{hangSpin, 3, 0}}, {"hang_in_threads", []uint64{hangWait, 3, 0}},
		{"hang_in_threads", []uint64{hangSleep, 3, 0}}, {"hang_in_threads", []uint64{hangYield, 3, 0}},
		{"fail_beside", []uint64{0, hangWait}}, {"fail_beside", []uint64{1, hangSpin}}, {"leave_threads", []uint64{hangSleep, 3, 0}},
	}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		p := sched.NewParallel(sched.Limits{})
		host := newHost(t, engine, virt.WithScheduler(p), virt.WithMaxThreads(64))
		m := compiled(t, host, threadsGuest(t))
		one := func(r *rand.Rand) {
			g, err := host.Instantiate(t.Context(), m)
			if err != nil {
				t.Error(err)
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// A moment is a random time, because the guest's own course is not repeatable either.
			end := cancel
			if r.IntN(3) == 0 {
				end = func() { _ = g.Close(t.Context()) } // closing it again below answers for it
			}
			ended := make(chan struct{})
			timer := time.AfterFunc(time.Duration(r.IntN(2_000_000)), func() { defer close(ended); end() })
			call := exports[r.IntN(len(exports))]
			_, err = g.Call(ctx, call.name, call.args...)
			if exit := (*virt.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Errorf("%s: %v", call.name, err)
			}
			if !timer.Stop() {
				<-ended
			}
			if err := g.Close(context.Background()); err != nil {
				t.Errorf("%s: close: %v", call.name, err)
			}
		}
		several := func(rounds int) {
			var group sync.WaitGroup
			for i := range 8 {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				group.Go(func() {
					for range rounds / 8 {
						one(r)
					}
				})
			}
			group.Wait()
		}
		several(80) // what is kept for the next guest is there now
		before, mapped := measure(), mappings()
		several(rounds)
		expectNothingLeft(t, before, 64<<20)
		if s := p.Stats(); s.Alive != 0 || s.Running != 0 {
			t.Errorf("threads are left: %+v", s)
		}
		// Go's own heap and the threads of the machine that it starts take some; a guest's memory
		// would be one each.
		now := mappings()
		if now > mapped+rounds/10 {
			t.Errorf("%d mappings, %d before %d guests", now, mapped, rounds)
		}
		t.Logf("%d guests: %d mappings before, %d after", rounds, mapped, now)
	})
}
