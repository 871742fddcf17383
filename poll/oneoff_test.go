package poll_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// thing is a Pollable that a test sets.
type thing struct {
	poll.Queue
	mu    sync.Mutex
	state poll.State
	reach poll.Reach
	asked poll.Events // what was polled for, ever
}

func (p *thing) Poll(want poll.Events) poll.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked |= want
	s := p.state
	s.Ready &= want
	return s
}

func (p *thing) Reach() poll.Reach { return p.reach }

func (p *thing) set(s poll.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	p.Wake()
}

// table is a Lookup: things by number. A missing one is EBADF, a nil one ENOTCAPABLE.
type table map[uint32]poll.Pollable

func (t table) LookupPoll(fd uint32, _ poll.Events) (poll.Pollable, wasip1.Errno) {
	p, ok := t[fd]
	switch {
	case !ok:
		return nil, wasip1.EBADF
	case p == nil:
		return nil, wasip1.ENOTCAPABLE
	}
	return p, wasip1.ESUCCESS
}

func read(fd uint32) wasip1.Subscription {
	return wasip1.Subscription{Tag: wasip1.EventtypeFdRead, Fd: fd}
}

func write(fd uint32) wasip1.Subscription {
	return wasip1.Subscription{Tag: wasip1.EventtypeFdWrite, Fd: fd}
}

func timer(id wasip1.ClockID, timeout uint64) wasip1.Subscription {
	return wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: id, Timeout: timeout}}
}

func abstime(id wasip1.ClockID, timeout uint64) wasip1.Subscription {
	s := timer(id, timeout)
	s.Clock.Flags = wasip1.SubclockAbstime
	return s
}

const (
	in      = 8 + 1 // not aligned
	out     = 1024 + 1
	nevents = 5
)

// call puts subs, numbered from 100, into memory and calls Oneoff.
func call(t *testing.T, s *poll.Set, subs ...wasip1.Subscription) ([]wasip1.Event, wasip1.Errno) {
	t.Helper()
	v := memory.NewView(make([]byte, 4096))
	for i, sub := range subs {
		sub.Userdata = uint64(100 + i)
		sub.Encode(v.Bytes()[in+i*wasip1.SizeSubscription:])
	}
	errno := poll.Oneoff(s, v, in, out, uint32(len(subs)), nevents)
	if errno != wasip1.ESUCCESS {
		return nil, errno
	}
	n, _ := v.Uint32(nevents)
	var events []wasip1.Event
	for i := range n {
		events = append(events, wasip1.DecodeEvent(v.Bytes()[out+i*wasip1.SizeEvent:]))
	}
	return events, errno
}

func TestOneoffAtOnce(t *testing.T) {
	c := clock.NewVirtual()
	now, real := uint64(c.Monotonic()), uint64(c.Realtime())
	fds := table{
		3: &thing{},
		4: &thing{state: poll.State{Ready: poll.Readable | poll.Writable, Bytes: 17}},
		5: &thing{state: poll.State{Ready: poll.Readable, Hangup: true}},
		6: &thing{state: poll.State{Ready: poll.Writable, Err: wasip1.EPIPE}},
		7: &thing{state: poll.State{Err: errors.New("broken")}},
		8: nil,
		9: poll.Always{},
	}
	clk := func(i int, errno wasip1.Errno) wasip1.Event {
		return wasip1.Event{Userdata: uint64(100 + i), Errno: errno}
	}
	for _, row := range []struct {
		name string
		subs []wasip1.Subscription
		want []wasip1.Event
	}{
		{"timeout 0", []wasip1.Subscription{timer(1, 0)}, []wasip1.Event{clk(0, 0)}},
		{"timeout 0 of realtime", []wasip1.Subscription{timer(0, 0)}, []wasip1.Event{clk(0, 0)}},
		{"passed", []wasip1.Subscription{abstime(1, now-1)}, []wasip1.Event{clk(0, 0)}},
		{"now", []wasip1.Subscription{abstime(1, now)}, []wasip1.Event{clk(0, 0)}},
		{"passed in realtime", []wasip1.Subscription{abstime(0, real)}, []wasip1.Event{clk(0, 0)}},
		{"time 0", []wasip1.Subscription{abstime(0, 0), abstime(1, 0)}, []wasip1.Event{clk(0, 0), clk(1, 0)}},
		{"only those that are due", []wasip1.Subscription{timer(1, 5), timer(1, 0), abstime(0, real+1), timer(0, 0)},
			[]wasip1.Event{clk(1, 0), clk(3, 0)}},
		{"CPU time", []wasip1.Subscription{timer(2, 0), timer(3, 9), timer(1, 9)},
			[]wasip1.Event{clk(0, wasip1.ENOTSUP), clk(1, wasip1.ENOTSUP)}},
		{"unknown clocks", []wasip1.Subscription{timer(4, 0), timer(math.MaxUint32, 0)},
			[]wasip1.Event{clk(0, wasip1.EINVAL), clk(1, wasip1.EINVAL)}},
		{"unknown flags", []wasip1.Subscription{{Clock: wasip1.SubscriptionClock{ID: 1, Flags: 2}}},
			[]wasip1.Event{clk(0, wasip1.EINVAL)}},
		{"ready", []wasip1.Subscription{read(3), read(4), write(4), timer(1, 9)}, []wasip1.Event{
			{Userdata: 101, Type: wasip1.EventtypeFdRead, NBytes: 17},
			{Userdata: 102, Type: wasip1.EventtypeFdWrite, NBytes: 17},
		}},
		{"hangup", []wasip1.Subscription{read(5), write(5)}, []wasip1.Event{
			{Userdata: 100, Type: wasip1.EventtypeFdRead, Flags: wasip1.EventFdReadwriteHangup},
		}},
		{"errors", []wasip1.Subscription{write(6), read(7)}, []wasip1.Event{
			{Userdata: 100, Type: wasip1.EventtypeFdWrite, Errno: wasip1.EPIPE},
			{Userdata: 101, Type: wasip1.EventtypeFdRead, Errno: wasip1.EIO},
		}},
		{"bad descriptors", []wasip1.Subscription{read(99), write(8), read(3)}, []wasip1.Event{
			{Userdata: 100, Type: wasip1.EventtypeFdRead, Errno: wasip1.EBADF},
			{Userdata: 101, Type: wasip1.EventtypeFdWrite, Errno: wasip1.ENOTCAPABLE},
		}},
		{"the same thing twice", []wasip1.Subscription{read(9), read(9)}, []wasip1.Event{
			{Userdata: 100, Type: wasip1.EventtypeFdRead}, {Userdata: 101, Type: wasip1.EventtypeFdRead},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &poll.Set{Task: noPark{t}, Clock: c, Lookup: fds}
			for range 2 { // a Set is used again
				got, errno := call(t, s, row.subs...)
				if errno != wasip1.ESUCCESS {
					t.Fatal(errno)
				}
				if d := cmp.Diff(row.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
	t.Run("denied", func(t *testing.T) {
		s := &poll.Set{Task: noPark{t}, Clock: clock.Deny(c, wasip1.EPERM, wasip1.ClockMonotonic)}
		got, _ := call(t, s, timer(1, 0), timer(1, 9), read(0))
		want := []wasip1.Event{clk(0, wasip1.EPERM), clk(1, wasip1.EPERM),
			{Userdata: 102, Type: wasip1.EventtypeFdRead, Errno: wasip1.EBADF}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// noPark is the Task of calls that must not wait.
type noPark struct{ t *testing.T }

func (n noPark) Wake()                    {}
func (n noPark) Context() context.Context { return n.t.Context() }
func (n noPark) Park(w poll.Wait) error {
	n.t.Errorf("parked: %+v", w)
	return errors.New("parked")
}

func TestOneoffRefuses(t *testing.T) {
	s := &poll.Set{Task: noPark{t}, Clock: clock.NewVirtual()}
	v := memory.NewView(make([]byte, 1<<16))
	due := timer(1, 0)
	due.Encode(v.Bytes()[0:])
	v.Bytes()[128+8] = 3 // an unknown type
	const far = math.MaxUint32
	for _, row := range []struct {
		name                    string
		in, out, nsubs, nevents uint32
		want                    wasip1.Errno
	}{
		{"nothing", 0, 256, 0, 8, wasip1.EINVAL},
		{"nothing, anywhere", far, far, 0, far, wasip1.EINVAL},
		{"too many", 0, 256, 4097, 8, wasip1.EINVAL},
		{"far too many", 0, 256, far, 8, wasip1.EINVAL},
		{"many more than memory", 0, 256, 4096, 8, wasip1.EFAULT},
		{"in", far, 256, 1, 8, wasip1.EFAULT},
		{"in, by a byte", 1<<16 - 47, 256, 1, 8, wasip1.EFAULT},
		{"out", 0, far, 1, 8, wasip1.EFAULT},
		{"out, by a byte", 0, 1<<16 - 31, 1, 8, wasip1.EFAULT},
		{"nevents", 0, 256, 1, far, wasip1.EFAULT},
		{"nevents, by a byte", 0, 256, 1, 1<<16 - 3, wasip1.EFAULT},
		{"unknown type", 128, 256, 1, 8, wasip1.EINVAL},
		{"fits exactly", 0, 1<<16 - 36, 1, 1<<16 - 4, wasip1.ESUCCESS},
	} {
		if got := poll.Oneoff(s, v, row.in, row.out, row.nsubs, row.nevents); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestOneoffOverlap has the events written over the subscriptions.
func TestOneoffOverlap(t *testing.T) {
	s := &poll.Set{Task: noPark{t}, Clock: clock.NewVirtual()}
	v := memory.NewView(make([]byte, 1024))
	for i := range 4 {
		sub := timer(wasip1.ClockID(i), 0)
		sub.Userdata = uint64(i)
		sub.Encode(v.Bytes()[64+i*wasip1.SizeSubscription:])
	}
	if errno := poll.Oneoff(s, v, 64, 70, 4, 64); errno != wasip1.ESUCCESS {
		t.Fatal(errno)
	}
	for i, want := range []wasip1.Errno{0, 0, wasip1.ENOTSUP, wasip1.ENOTSUP} {
		e := wasip1.DecodeEvent(v.Bytes()[70+i*wasip1.SizeEvent:])
		if d := cmp.Diff(wasip1.Event{Userdata: uint64(i), Errno: want}, e); i > 0 && d != "" {
			t.Error(d)
		}
	}
}

func TestOneoffWaitsForClocks(t *testing.T) {
	for _, row := range []struct {
		name string
		subs func(now, real uint64) []wasip1.Subscription
		want time.Duration
		ids  []uint64
	}{
		{"the first of several", func(now, real uint64) []wasip1.Subscription {
			return []wasip1.Subscription{timer(1, 3e9), timer(0, 2e9), abstime(1, now+4e9), abstime(0, real+5e9)}
		}, 2 * time.Second, []uint64{101}},
		{"several at once", func(now, real uint64) []wasip1.Subscription {
			return []wasip1.Subscription{timer(1, 3e9), timer(0, 3e9), abstime(1, now+3e9), abstime(0, real+3e9), timer(1, 3e9+1)}
		}, 3 * time.Second, []uint64{100, 101, 102, 103}},
		{"one that never comes", func(now, real uint64) []wasip1.Subscription {
			return []wasip1.Subscription{timer(1, math.MaxUint64), timer(0, math.MaxInt64), abstime(0, math.MaxUint64), abstime(1, math.MaxUint64), timer(1, 1)}
		}, 1, []uint64{104}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := clock.NewVirtual(clock.WithAutoAdvance())
			s := &poll.Set{Task: poll.NewTask(t.Context()), Clock: c}
			events, errno := call(t, s, row.subs(uint64(c.Monotonic()), uint64(c.Realtime()))...)
			var ids []uint64
			for _, e := range events {
				ids = append(ids, e.Userdata)
			}
			if d := cmp.Diff(row.ids, ids); d != "" || errno != wasip1.ESUCCESS {
				t.Error(errno, d)
			}
			if c.Elapsed() != row.want || c.Pending() != 0 {
				t.Errorf("elapsed %v, want %v; %d timers left", c.Elapsed(), row.want, c.Pending())
			}
		})
	}
}

// TestOneoffWaitsForThings has a thing become ready at an instant before the timeout.
func TestOneoffWaitsForThings(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	c.Hold()
	task := poll.NewHoldingTask(t.Context(), c)
	p, q := &thing{}, &thing{}
	s := &poll.Set{Task: task, Clock: c, Lookup: table{0: p, 1: q}}
	c.AfterFunc(c.Monotonic()+int64(time.Second), p.Wake) // for nothing
	c.AfterFunc(c.Monotonic()+int64(2*time.Second), func() {
		p.set(poll.State{Ready: poll.Readable, Bytes: 3})
	})
	for range 2 {
		got, errno := call(t, s, timer(1, 10e9), write(1), read(0))
		if errno != wasip1.ESUCCESS {
			t.Fatal(errno)
		}
		want := []wasip1.Event{{Userdata: 102, Type: wasip1.EventtypeFdRead, NBytes: 3}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if c.Elapsed() != 2*time.Second {
			t.Errorf("elapsed %v", c.Elapsed())
		}
	}
	if q.asked != poll.Writable || p.asked != poll.Readable {
		t.Errorf("asked for %b and %b", p.asked, q.asked)
	}
	p.set(poll.State{})
	if _, errno := call(t, s, timer(1, 8e9), write(1), read(0)); errno != wasip1.ESUCCESS || c.Elapsed() != 10*time.Second {
		t.Errorf("%v; elapsed %v, want 10s", errno, c.Elapsed())
	}
	c.Release()
}

func TestOneoffFollowsRealtime(t *testing.T) {
	c := clock.NewVirtual()
	s := &poll.Set{Task: poll.NewTask(t.Context()), Clock: clock.Offset(c, time.Hour)}
	at := c.Now().Add(2 * time.Hour)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if events, errno := call(t, s, abstime(0, uint64(at.UnixNano()))); len(events) != 1 || errno != wasip1.ESUCCESS {
			t.Errorf("%v, %v", events, errno)
		}
	}()
	c.BlockUntil(1)
	c.SetRealtime(c.Now().Add(-time.Hour)) // back: two hours to go
	c.Advance(time.Hour)
	c.BlockUntil(1)
	select {
	case <-done:
		t.Fatal("came too early")
	default:
	}
	c.SetRealtime(at)
	<-done
	if c.Pending() != 0 {
		t.Errorf("%d timers left", c.Pending())
	}
}

func TestOneoffEnds(t *testing.T) {
	for name, c := range map[string]clock.Clock{"virtual": clock.NewVirtual(), "real": clock.Real(), "frozen": clock.Frozen(time.Unix(0, 0))} {
		ctx, cancel := context.WithCancel(t.Context())
		p := &thing{}
		s := &poll.Set{Task: poll.NewTask(ctx), Clock: c, Lookup: table{0: p}}
		done := make(chan wasip1.Errno)
		go func() {
			_, errno := call(t, s, timer(1, 1e15), read(0))
			done <- errno
		}()
		cancel()
		if errno := <-done; errno != wasip1.ECANCELED {
			t.Errorf("%s: %v, want ECANCELED", name, errno)
		}
		if _, errno := call(t, s, timer(1, 0)); errno != wasip1.ESUCCESS {
			t.Errorf("%s: a clock that is due: %v", name, errno)
		}
	}
}

func TestOneoffMany(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	p := &thing{}
	s := &poll.Set{Task: poll.NewTask(t.Context()), Clock: c, Lookup: table{0: p}}
	v := memory.NewView(make([]byte, 1<<20))
	const n = poll.MaxSubscriptions
	for i := range n {
		sub := timer(1, uint64(1+i%100))
		if i%2 == 0 {
			sub = read(0)
		}
		sub.Userdata = uint64(i)
		sub.Encode(v.Bytes()[16+i*wasip1.SizeSubscription:])
	}
	if errno := poll.Oneoff(s, v, 16, 500000, n, 8); errno != wasip1.ESUCCESS {
		t.Fatal(errno)
	}
	if got, _ := v.Uint32(8); c.Elapsed() != 2 || got != n/100+1 {
		t.Errorf("%d events after %v", got, c.Elapsed())
	}
	p.set(poll.State{Ready: poll.Readable})
	if errno := poll.Oneoff(s, v, 16, 500000, n, 8); errno != wasip1.ESUCCESS {
		t.Fatal(errno)
	}
	if got, _ := v.Uint32(8); got != n/2 {
		t.Errorf("%d events, want %d", got, n/2)
	}
	s.Limit = n / 2
	if errno := poll.Oneoff(s, v, 16, 500000, n, 8); errno != wasip1.EINVAL {
		t.Errorf("over the limit: %v", errno)
	}
}

// crowded counts those that wait for it.
type crowded struct {
	thing
	n, most int
}

func (p *crowded) Subscribe(w *poll.Waiter) {
	p.thing.Subscribe(w)
	p.n++
	p.most = max(p.most, p.n)
}

func (p *crowded) Unsubscribe(w *poll.Waiter) {
	p.thing.Unsubscribe(w)
	p.n--
}

// TestOneoffWaitsOnceForAThing, however many subscriptions are for it: who wakes it holds locks.
func TestOneoffWaitsOnceForAThing(t *testing.T) {
	for _, n := range []int{1, 8, 9, 100, poll.MaxSubscriptions / 2} {
		a, b := new(crowded), new(crowded)
		s := poll.Set{Task: poll.NewTask(t.Context()), Clock: clock.NewVirtual(), Lookup: table{1: a, 2: b, 3: a}}
		var subs []wasip1.Subscription
		for i := range n {
			subs = append(subs, read(uint32(1+i%3)), write(uint32(1+i%3)))
		}
		time.AfterFunc(0, func() { a.set(poll.State{Ready: poll.Readable}) })
		if got, errno := s.Poll(subs, make([]wasip1.Event, len(subs))); errno != wasip1.ESUCCESS || got == 0 {
			t.Fatalf("%d events, %v", got, errno)
		}
		if a.most > 1 || b.most > 1 || a.n != 0 || b.n != 0 {
			t.Errorf("%d subscriptions: %d and %d places at most, %d and %d are left", len(subs), a.most, b.most, a.n, b.n)
		}
	}
}

// TestOneoffCharges what it keeps of many subscriptions, until it returns.
func TestOneoffCharges(t *testing.T) {
	const n, in, out, nevents = 1000, 16, 100_000, 8
	var taken, most int64
	limit := int64(math.MaxInt64)
	s := &poll.Set{Task: poll.NewTask(t.Context()), Clock: clock.NewVirtual(clock.WithAutoAdvance()), Charge: func(n int64) bool {
		if n > limit {
			return false
		}
		taken += n
		most = max(most, taken)
		return true
	}}
	v := memory.NewView(make([]byte, 1<<18))
	for i := range n {
		sub := timer(1, 1)
		sub.Encode(v.Bytes()[in+i*wasip1.SizeSubscription:])
	}
	if errno := poll.Oneoff(s, v, in, out, 256, nevents); errno != wasip1.ESUCCESS || most != 0 {
		t.Errorf("few subscriptions: %v, %d bytes", errno, most)
	}
	if errno := poll.Oneoff(s, v, in, out, n, nevents); errno != wasip1.ESUCCESS || most < n*(wasip1.SizeSubscription+wasip1.SizeEvent) || taken != 0 {
		t.Errorf("many: %v, %d bytes, %d afterwards", errno, most, taken)
	}
	limit = most - 1
	if errno := poll.Oneoff(s, v, in, out, n, nevents); errno != wasip1.ENOMEM || taken != 0 {
		t.Errorf("more than there is: %v, %d bytes afterwards", errno, taken)
	}
}

// TestOneoffReach looks at what the scheduler is told.
func TestOneoffReach(t *testing.T) {
	things := table{1: &thing{reach: poll.ByGroup}, 2: &thing{reach: poll.ByThreads}, 3: &thing{}}
	for _, row := range []struct {
		subs []wasip1.Subscription
		want poll.Wait
	}{
		{[]wasip1.Subscription{read(1)}, poll.Wait{On: 1, Deadline: poll.NoDeadline, By: poll.ByGroup}},
		{[]wasip1.Subscription{read(2), read(1)}, poll.Wait{On: 2, Deadline: poll.NoDeadline, By: poll.ByThreads}},
		{[]wasip1.Subscription{read(1), read(2), write(3)}, poll.Wait{On: 1, Deadline: poll.NoDeadline}},
	} {
		task := &notePark{Task: poll.NewTask(t.Context())}
		s := &poll.Set{Task: task, Clock: clock.NewVirtual(), Lookup: things}
		if _, errno := call(t, s, row.subs...); errno != wasip1.ECANCELED {
			t.Error(errno)
		}
		row.want.Op, row.want.Fds, row.want.Clock = "poll_oneoff", len(row.subs), s.Clock
		if task.w != row.want {
			t.Errorf("told %+v, want %+v", task.w, row.want)
		}
	}
}

type notePark struct {
	poll.Task
	w poll.Wait
}

func (n *notePark) Park(w poll.Wait) error {
	n.w = w
	return context.Canceled
}

// slow is a Poller that answers in place of Set.Poll.
type slow struct{}

func (slow) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	n, errno := s.Poll(subs, events)
	for i := range events[:n] {
		events[i].NBytes = 1
	}
	return n, errno
}

func TestPollerIsAsked(t *testing.T) {
	s := &poll.Set{Task: noPark{t}, Clock: clock.NewVirtual(), Lookup: table{0: poll.Always{}}, Poller: slow{}}
	got, _ := call(t, s, read(0))
	if d := cmp.Diff([]wasip1.Event{{Userdata: 100, Type: wasip1.EventtypeFdRead, NBytes: 1}}, got); d != "" {
		t.Error(d)
	}
}

func FuzzOneoff(f *testing.F) {
	f.Add(make([]byte, 48), uint32(0), uint32(48), uint32(1), uint32(4))
	sub := read(4)
	b := make([]byte, 48)
	sub.Encode(b)
	f.Add(b, uint32(0), uint32(48), uint32(2), uint32(4))
	f.Fuzz(func(t *testing.T, b []byte, in, out, nsubs, nevents uint32) {
		mem := make([]byte, 4096)
		copy(mem, b)
		c := clock.NewVirtual(clock.WithAutoAdvance())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := &poll.Set{Task: poll.NewTask(ctx), Clock: c, Lookup: table{0: &thing{}, 1: poll.Always{}, 2: nil}}
		v := memory.NewView(mem)
		switch errno := poll.Oneoff(s, v, in, out, nsubs, nevents); errno {
		case wasip1.ESUCCESS:
			if n, errno := v.Uint32(nevents); errno != 0 || n == 0 || n > nsubs {
				t.Errorf("%d events for %d subscriptions", n, nsubs)
			}
		case wasip1.EINVAL, wasip1.EFAULT, wasip1.ECANCELED:
		default:
			t.Errorf("errno %v", errno)
		}
	})
}

func BenchmarkOneoff(b *testing.B) {
	v := memory.NewView(make([]byte, 1<<16))
	c := clock.NewVirtual(clock.WithAutoAdvance())
	s := &poll.Set{Task: poll.NewTask(context.Background()), Clock: c, Lookup: table{0: poll.Always{}, 1: &thing{}}}
	for _, row := range []struct {
		name string
		subs []wasip1.Subscription
	}{
		{"due", []wasip1.Subscription{timer(1, 0)}},
		{"due/absolute", []wasip1.Subscription{abstime(0, 1)}},
		{"ready", []wasip1.Subscription{read(0)}},
		{"ready of 2", []wasip1.Subscription{read(0), timer(1, 1e9)}},
		{"sleep", []wasip1.Subscription{timer(1, 1e9)}},
		{"sleep beside a descriptor", []wasip1.Subscription{timer(1, 1e9), read(1)}},
	} {
		b.Run(row.name, func(b *testing.B) {
			for i := range row.subs {
				row.subs[i].Encode(v.Bytes()[64+i*wasip1.SizeSubscription:])
			}
			b.ReportAllocs()
			for b.Loop() {
				if poll.Oneoff(s, v, 64, 256, uint32(len(row.subs)), 8) != wasip1.ESUCCESS {
					b.Fatal("failed")
				}
			}
		})
	}
}
