package virt

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/virt/abi"
)

// Usage holds what a guest has used so far.
//
// Calls are counted only with [WithUsage]. While a thread computes, its last calls may be missing,
// at most 255 of each function. After a call of an export, and after the guest's end, the numbers
// are exact.
type Usage struct {
	// Functions are those that were called: those of the Host in the order of the table, then those
	// of [WithFunctions] by name.
	Functions []FunctionUsage
	// Calls and Errors are over all functions.
	Calls, Errors uint64
	// Waited is the real time that threads waited in calls and at atomic waits, each thread by
	// itself counted.
	Waited time.Duration
	// CPUTime is the time that threads computed; see [Limits].CPUTime for what counts. It is
	// counted where a budget of it is set.
	CPUTime time.Duration
	// BytesIn is what was read from files, streams and sockets; BytesOut what was written to them.
	BytesIn, BytesOut uint64

	// PeakMemory is the largest size of linear memory in bytes.
	PeakMemory uint64
	// Descriptors is how many are open, or were when the guest ended.
	Descriptors int
	// Threads is how many are alive, and Spawned how many thread-spawn has started.
	Threads int
	Spawned uint64
	// Fuel is the instructions that were run, where they are counted. While a thread computes it
	// includes the slice that the thread is using up.
	Fuel uint64
	// Real is how long the guest has existed, until its end; Virtual is the same on the Host's
	// clock. In runs that are deterministic (see [Deterministic]) all of Usage repeats but Real,
	// Waited and CPUTime, which are the machine's time.
	Real, Virtual time.Duration

	// Guests is the number of guests by how they ended, [Running] for those that have not. A guest
	// that was closed before its end, as reactors are, is [Canceled]. Only [Host.Usage] sets it.
	Guests map[Outcome]uint64
}

// FunctionUsage is what concerns one function in a [Usage].
type FunctionUsage struct {
	Name          string
	Calls, Errors uint64
	// Waited is the real time that threads waited in its calls.
	Waited time.Duration
}

// WithUsage counts the guest's calls; see [Guest.Usage] and [Host.Usage]. It costs two to three
// nanoseconds a call.
func WithUsage() GuestOption {
	return guestOption("WithUsage", func(c *config) error { c.control.usage = true; return nil })
}

// tally is what is counted of calls.
type tally struct {
	functions [rows]struct{ calls, errors uint64 }
	bytes     [none]uint64
}

func (a *tally) add(b *tally) {
	for i := range b.functions {
		a.functions[i].calls += b.functions[i].calls
		a.functions[i].errors += b.functions[i].errors
	}
	a.bytes[in] += b.bytes[in]
	a.bytes[out] += b.bytes[out]
}

// threadUsage is what one thread counts. It counts by itself, and shows the count to others from
// time to time: a counter that others may read at every moment would cost several times as much.
type threadUsage struct {
	tally // the thread's own

	mu    sync.Mutex
	shown tally
}

// showEvery is how many calls of a function come between two shows; a power of two.
const showEvery = 256

// flow is which way bytes go in the calls of a row, and the parameter that points to their number.
type flow struct {
	way uint8 // an index in tally.bytes, or none
	at  uint8
}

const (
	in = iota
	out
	none
)

// flows is derived from the table.
var flows = func() (all [rows]flow) {
	for i := range all {
		f := row(i)
		p, at := f.Only(abi.KindOutSize)
		all[i] = flow{none, uint8(at)}
		for _, each := range f.Params {
			switch {
			case p == nil:
			case each.Kind == abi.KindIovs:
				all[i].way = in
			case each.Kind == abi.KindCiovs:
				all[i].way = out
			}
		}
	}
	return all
}()

// hostedUsage counts the calls of a function of the embedder's.
type hostedUsage struct{ calls, errors atomic.Uint64 }

// hostedUsage returns what counts the calls of f.
func (u *guestUsage) hostedUsage(f *hostFunction) *hostedUsage {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hosted == nil {
		u.hosted = map[*hostFunction]*hostedUsage{}
	}
	c := u.hosted[f]
	if c == nil {
		c = new(hostedUsage)
		u.hosted[f] = c
	}
	return c
}

// failed counts a call that answered an errno. proc_exit, which does not return, answers nobody.
func (u *threadUsage) failed(i int) {
	if !row(i).NoResult {
		u.functions[i].errors++
	}
}

// show lets others see the count.
func (u *threadUsage) show() {
	u.mu.Lock()
	u.shown = u.tally
	u.mu.Unlock()
}

// guestUsage is what is counted of a guest.
type guestUsage struct {
	memory  atomic.Uint64
	spawned atomic.Uint64
	fuel    atomic.Int64
	cpu     atomic.Int64           // nanoseconds
	waited  [rows + 1]atomic.Int64 // nanoseconds by row, the last for atomic waits

	number      uint64 // of the guest in its Host, from 1
	born        time.Time
	bornVirtual int64

	mu            sync.Mutex
	threads       map[*threadUsage]struct{}
	gone          tally // of threads that ended
	hosted        map[*hostFunction]*hostedUsage
	died          bool
	real, virtual time.Duration // at the end
	open          int           // descriptors, at the end
}

// start notes the guest's birth.
func (u *guestUsage) start(g *Guest) {
	u.number = g.host.past.guests.Add(1)
	u.born, u.bornVirtual = time.Now(), g.host.clock.Monotonic()
}

// thread returns the counters of a new thread.
func (u *guestUsage) thread() *threadUsage {
	t := new(threadUsage)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.threads == nil {
		u.threads = map[*threadUsage]struct{}{}
	}
	u.threads[t] = struct{}{}
	return t
}

// leaveUsage notes the end of a thread.
func (t *thread) leaveUsage() {
	if t.calls == nil || t.calls.usage == nil {
		return
	}
	u := &t.guest.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if mine := t.calls.usage; u.threads != nil {
		if _, ok := u.threads[mine]; ok {
			delete(u.threads, mine)
			u.gone.add(&mine.tally)
		}
	}
}

// showUsage makes what the thread has counted exact.
func (t *thread) showUsage() {
	if t.calls != nil && t.calls.usage != nil {
		t.calls.usage.show()
	}
}

// stop notes the guest's end.
func (u *guestUsage) stop(g *Guest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.died {
		u.died = true
		u.real, u.virtual = u.ages(g)
		u.open = g.files.Len()
	}
}

func (u *guestUsage) ages(g *Guest) (real, virtual time.Duration) {
	return time.Since(u.born), time.Duration(g.host.clock.Monotonic() - u.bornVirtual)
}

// wait notes a wait, which ends when the returned function is called.
func (u *threadUsage) wait(g *Guest, w poll.Wait) func() {
	u.show()
	i := rows
	for n := range rows {
		if row(n).Name == w.Op {
			i = n
			break
		}
	}
	began := time.Now()
	return func() { g.usage.waited[i].Add(int64(time.Since(began))) }
}

// Usage tells what the guest has used. It may be called at any time, also after Close.
func (g *Guest) Usage() Usage {
	u := &g.usage
	var all tally
	var r Usage
	var hosted []FunctionUsage
	u.mu.Lock()
	all.add(&u.gone)
	for t := range u.threads {
		t.mu.Lock()
		all.add(&t.shown)
		t.mu.Unlock()
	}
	for f, c := range u.hosted {
		hosted = append(hosted, FunctionUsage{Name: f.String(), Calls: c.calls.Load(), Errors: c.errors.Load()})
	}
	slices.SortFunc(hosted, func(a, b FunctionUsage) int { return cmp.Compare(a.Name, b.Name) })
	r.Real, r.Virtual, r.Descriptors = u.real, u.virtual, u.open
	if !u.died {
		r.Real, r.Virtual = u.ages(g)
		r.Descriptors = g.files.Len()
	}
	u.mu.Unlock()
	for i, f := range all.functions {
		waited := time.Duration(u.waited[i].Load())
		r.Waited += waited
		if f.calls == 0 {
			continue
		}
		r.Functions = append(r.Functions, FunctionUsage{Name: row(i).Name, Calls: f.calls, Errors: f.errors, Waited: waited})
		r.Calls += f.calls
		r.Errors += f.errors
	}
	for _, f := range hosted {
		r.Calls += f.Calls
		r.Errors += f.Errors
	}
	r.Functions = append(r.Functions, hosted...)
	r.Waited += time.Duration(u.waited[rows].Load())
	r.BytesIn, r.BytesOut = all.bytes[in], all.bytes[out]
	r.PeakMemory = u.memory.Load()
	if !g.ended.Load() {
		r.Threads = len(g.group.Threads())
	}
	r.Spawned = u.spawned.Load()
	r.Fuel = uint64(max(u.fuel.Load(), 0))
	r.CPUTime = time.Duration(u.cpu.Load())
	return r
}

// pastUsage is what the guests of a Host that have been closed used.
type pastUsage struct {
	guests atomic.Uint64 // how many there have been

	mu    sync.Mutex
	usage Usage
	ended [len(outcomeNames)]uint64
}

func (p *pastUsage) add(g *Guest, end Outcome) {
	u := g.Usage()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[end]++
	p.usage.add(&u)
	p.usage.Descriptors, p.usage.Threads = 0, 0
}

// Usage returns what all guests of the Host have used together, closed ones included, and how many
// ended in which way. PeakMemory, Real and Virtual are sums over the guests too. The guests are
// counted also without [WithUsage].
func (h *Host) Usage() Usage {
	h.mu.Lock()
	guests := make([]*Guest, 0, len(h.guests))
	for g := range h.guests {
		guests = append(guests, g)
	}
	h.past.mu.Lock()
	all := h.past.usage
	all.Functions = append([]FunctionUsage(nil), all.Functions...)
	ended := h.past.ended
	h.past.mu.Unlock()
	h.mu.Unlock()
	for _, g := range guests {
		u := g.Usage()
		all.add(&u)
		ended[g.outcome()]++
	}
	all.Guests = map[Outcome]uint64{}
	for o, n := range ended {
		if n > 0 {
			all.Guests[Outcome(o)] = n
		}
	}
	return all
}

// add adds what another guest used.
func (u *Usage) add(b *Usage) {
	if len(b.Functions) > 0 {
		u.Functions = sumFunctions(u.Functions, b.Functions)
	}
	u.Calls += b.Calls
	u.Errors += b.Errors
	u.Waited += b.Waited
	u.CPUTime += b.CPUTime
	u.BytesIn += b.BytesIn
	u.BytesOut += b.BytesOut
	u.PeakMemory += b.PeakMemory
	u.Descriptors += b.Descriptors
	u.Threads += b.Threads
	u.Spawned += b.Spawned
	u.Fuel += b.Fuel
	u.Real += b.Real
	u.Virtual += b.Virtual
}

// sumFunctions adds up what concerns the same functions, in the order of [Usage].
func sumFunctions(a, b []FunctionUsage) []FunctionUsage {
	all := map[string]*FunctionUsage{}
	for _, one := range slices.Concat(a, b) {
		f := all[one.Name]
		if f == nil {
			f = &FunctionUsage{Name: one.Name}
			all[one.Name] = f
		}
		f.Calls += one.Calls
		f.Errors += one.Errors
		f.Waited += one.Waited
	}
	sum := make([]FunctionUsage, 0, len(all))
	for i := range rows {
		if f := all[row(i).Name]; f != nil {
			sum = append(sum, *f)
			delete(all, f.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum = append(sum, *all[name])
	}
	return sum
}
