package virt

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// answer answers a call as it was answered.
func (r *replayer) answer(t *thread, i int, f *function, p []uint64) wasip1.Errno {
	width := f.Width()
	var args [12]uint64
	copy(args[:], p[:width])
	a, ok := r.call(t, i, args[:width])
	if !ok {
		return wasip1.ECANCELED
	}
	errno := wasip1.Errno(a.Result)
	if i == spawnRow && errno == wasip1.ESUCCESS {
		if r.spawn(t, args[0]); t.spawned != a.Spawned {
			r.part(t, fmt.Sprintf("thread-spawn answers %d, not %d", int32(t.spawned), a.Spawned))
		}
	}
	return errno
}

// spawn starts the thread that was started, unless it has run already.
func (r *replayer) spawn(t *thread, arg uint64) {
	if t.spawned == 0 {
		p := [1]uint64{arg}
		t.spawn(p[:])
		t.spawned = uint32(p[0])
	}
}

// kernelGrows are the instructions for which a guest gets memory of the Host's, also where it is
// replayed, by the function that decides.
var kernelGrows = map[string]string{"grow": "memory.grow", "tables": "table.grow"}

func (r *replayer) kernel(t *thread, i int, p []uint64) {
	if kernel[i].results == nil {
		kernel[i].call(t, p)
		return
	}
	var args [4]uint64
	n := copy(args[:], p[:len(kernel[i].params)])
	a, ok := r.call(t, rows+i, args[:n])
	if !ok {
		return
	}
	t.growing = 0
	if grows := kernelGrows[kernel[i].name]; grows != "" && a.Result != math.MaxUint32 {
		if kernel[i].call(t, p); uint32(p[0]) != a.Result {
			r.part(t, fmt.Sprintf("%s answers %d, not %d", grows, int32(p[0]), int32(a.Result)))
		}
	}
	p[0] = uint64(a.Result)
}

// call takes a call from the recording, and does in memory what it did. It reports whether the
// guest goes on.
func (r *replayer) call(t *thread, row int, args []uint64) (a recording.Answer, ok bool) {
	r.types.narrow(row, args)
	e, err := r.Peek()
	switch {
	case t.guest.ended.Load():
		return a, false
	case err != nil:
		r.fail(err)
		return a, false
	case e.Op == recording.Finish:
		r.stop(t, e, false)
	}
	if t.guest.ended.Load() {
		return a, false
	}
	if !e.Call() || e.Row != row || !slices.Equal(e.Args[:e.Width], args) {
		r.part(t, describeCall(row, args))
		return a, false
	}
	begun := e.Op >= recording.Begin
	r.Take()
	if begun && !r.during(t, row, args) {
		return a, false
	}
	return r.answered(t, row, func() string { return describeCall(row, args) })
}

// answered takes what a call answered, and does in memory what it did. describe tells of the call.
func (r *replayer) answered(t *thread, row int, describe func() string) (a recording.Answer, ok bool) {
	a, err := r.Answer(row)
	if err == nil {
		err = r.writes(t, a.Following)
	}
	if err != nil {
		r.Fail(err)
		r.fail(err)
		return a, false
	}
	sum, mem := uint32(0), t.view.Bytes()
	for _, rg := range a.Reads {
		sum = recording.Digest(sum, mem, rg)
	}
	if len(a.Reads) > 0 && sum != a.Sum {
		r.fail(&recording.DivergenceError{Event: r.Count(), Thread: t.id(), Recorded: fmt.Sprintf("%s, with bytes of checksum %08x", describe(), a.Sum),
			Replayed: fmt.Sprintf("the same call with bytes of checksum %08x", sum)})
		return a, false
	}
	return a, true
}

// during does what happened while a call was under way, up to its answer.
func (r *replayer) during(t *thread, row int, args []uint64) bool {
	for {
		e, err := r.Peek()
		switch {
		case t.guest.ended.Load():
			return false
		case err != nil:
			r.fail(err)
			return false
		case e.Op == recording.End:
			r.Take()
			return true
		case e.Op == recording.Switch:
			if row == spawnRow {
				r.spawn(t, args[0]) // it may run before the call that started it returns
			}
			if !r.handOver(t, e) {
				return false
			}
		case e.Op == recording.Export:
			if _, err := t.guest.Call(t, e.Name, append([]uint64(nil), e.Values...)...); err != nil {
				r.fail(err)
				return false
			}
		case e.Op == recording.Wrote:
			r.apply(t, e)
		case e.Op == recording.Returned && r.header.Resumes:
			// The call has trapped, and the export with it.
			panic(&Trap{Kind: trap.Host, Message: "the recorded call has trapped"})
		case e.Op == recording.Finish:
			if r.stop(t, e, true); !t.guest.ended.Load() {
				r.part(t, "a call that does not end")
			}
			return false
		default:
			r.part(t, "a call that is under way")
			return false
		}
	}
}

// writes makes what a call wrote.
func (r *replayer) writes(t *thread, n uint64) error {
	t.attach()
	for range n {
		at, err := r.Range()
		if err != nil {
			return err
		}
		b, errno := t.view.Window(at.Ptr, at.Len)
		if errno != wasip1.ESUCCESS {
			return r.outside(at)
		}
		if err := r.Bytes(b); err != nil {
			return err
		}
	}
	return nil
}

func (r *replayer) enter(t *thread) { t.record.entries++ }

// back gives the turn away where it was given away, before the guest's code goes on.
func (r *replayer) back(t *thread) {
	for !t.guest.ended.Load() {
		e, err := r.Peek()
		switch {
		case err != nil:
			r.fail(err)
			return
		case e.Op == recording.Switch:
			x := t.record
			if e.Entries > x.entries-x.told {
				return
			}
			if !r.handOver(t, e) {
				return
			}
		case e.Op == recording.Finish:
			r.stop(t, e, false)
			return
		default:
			return
		}
	}
}

// handOver gives the turn to the thread that got it, and returns when it has come back.
func (r *replayer) handOver(t *thread, e *recording.Event) bool {
	if !r.placed(t, e) {
		return false
	}
	if t.task == nil {
		r.fail(r.Damaged("a start function gives its turn to a thread"))
		return false
	}
	to := e.To
	if !r.threads.has(to) {
		r.fail(r.Damaged(fmt.Sprintf("the turn goes to thread %d, which is not there", to)))
		return false
	}
	r.Take()
	t.record.told = t.record.entries
	r.threads.pass(t.task, to)
	t.attach()
	return !t.guest.ended.Load()
}

// placed compares the place of thread t with that in the event.
func (r *replayer) placed(t *thread, e *recording.Event) bool {
	x := t.record
	if n, fuel := x.entries-x.told, t.spent(); n != e.Entries || fuel != e.Fuel {
		r.part(t, fmt.Sprintf("is at its call %d with fuel %d", n, fuel))
		return false
	}
	return true
}

// stop ends the guest where it was ended from outside of its code, by a limit of time or a
// deadlock, or by a call that it has made.
func (r *replayer) stop(t *thread, e *recording.Event, called bool) {
	x := t.record
	if e.Entries != x.entries-x.told {
		return
	}
	result := resultOfEnding(&e.Ending)
	switch result.Outcome {
	case Canceled, Deadlocked, Failed, Exhausted:
	case Exited, Signaled, Trapped:
		if !called {
			return
		}
	default:
		return
	}
	r.guest.decide(result)
}

// deepened ends the guest if it was ended here for what its calls took of the stack.
func (r *replayer) deepened(t *thread) {
	if e, err := r.Peek(); err == nil && e.Op == recording.Finish && Budget(e.Ending.Budget) == BudgetStack {
		r.stop(t, e, false)
	}
}

func (r *replayer) end(t *thread) {
	if t.guest.ended.Load() {
		return
	}
	t.record.entries++
	e, err := r.Peek()
	if err != nil {
		r.fail(err)
		return
	}
	switch e.Op {
	case recording.Finish:
		r.stop(t, e, true) // it has used more fuel than there was
	case recording.Switch:
		if e.Entries != t.record.entries-t.record.told {
			r.part(t, "ends")
			return
		}
		// Its fuel is not compared: it counts what was given back at the end.
		to := e.To
		if !r.threads.has(to) {
			r.fail(r.Damaged(fmt.Sprintf("the turn goes to thread %d, which is not there", to)))
			return
		}
		r.Take()
		t.record.told = t.record.entries
		r.threads.direct(to)
	}
}

func (r *replayer) export(t *thread, name string, params []uint64) {
	e, err := r.Peek()
	if err != nil {
		r.fail(err)
		return
	}
	if e.Op != recording.Export || e.Name != name || !slices.Equal(e.Values, params) {
		r.part(t, fmt.Sprintf("the export %s is called with %v", name, params))
		return
	}
	r.Take()
}

func (r *replayer) returned(t *thread, results []uint64) {
	if t.guest.ended.Load() {
		return
	}
	e, err := r.Peek()
	if err != nil {
		r.fail(err)
		return
	}
	if e.Op != recording.Returned || !slices.Equal(e.Values, results) {
		r.part(t, fmt.Sprintf("the export returns %v", results))
		return
	}
	r.Take()
}

func (r *replayer) refueled(slice int64) int64 {
	e, err := r.Peek()
	if err != nil || e.Op != recording.Fuel {
		return slice
	}
	r.Take()
	if e.Size > maxFuelSlice {
		r.fail(r.Damaged(fmt.Sprintf("a thread gets fuel for %d instructions at once", e.Size)))
		return slice
	}
	return int64(e.Size)
}

// maxFuelSlice is more fuel than a thread ever gets at once. It bounds what runs before the end of
// the replay is looked at.
const maxFuelSlice = 1 << 28

func (r *replayer) wrote(uint32, []byte) {}

func (r *replayer) refuses(size uint64, _ bool) bool {
	e, err := r.Peek()
	if err != nil || e.Op != recording.Refused || e.Size != size {
		return false
	}
	r.Take()
	return true
}

func (r *replayer) finish(context.Context, *Guest) error { return nil }
