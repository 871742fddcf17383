package virt

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/wasivirt/wasivirt/wasip1"
)

// answer answers a call as it was answered.
func (r *replayer) answer(t *thread, i int, f *Function, p []uint64) wasip1.Errno {
	width := f.width()
	var args [12]uint64
	copy(args[:], p[:width])
	a, ok := r.call(t, i, args[:width])
	if !ok {
		return wasip1.ECANCELED
	}
	errno := wasip1.Errno(a.result)
	if i == spawnRow && errno == wasip1.ESUCCESS {
		if r.spawn(t, args[0]); t.spawned != a.spawned {
			r.part(t, fmt.Sprintf("thread-spawn answers %d, not %d", int32(t.spawned), a.spawned))
		}
	} else if errno == wasip1.ESUCCESS {
		r.show(t, f.Name, args[:width])
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
	if kernel[i].name == "grow" && a.result != math.MaxUint32 {
		if kernel[i].call(t, p); uint32(p[0]) != a.result {
			r.part(t, fmt.Sprintf("memory.grow answers %d, not %d", int32(p[0]), int32(a.result)))
		}
	}
	p[0] = uint64(a.result)
}

// call takes a call from the recording, and does in memory what it did. It reports whether the guest goes on.
func (r *replayer) call(t *thread, row int, args []uint64) (a answer, ok bool) {
	r.types.narrow(row, args)
	e, err := r.peek()
	switch {
	case t.guest.ended.Load():
		return a, false
	case err != nil:
		r.fail(err)
		return a, false
	case e.op == opFinish:
		r.stop(t, e, false)
	}
	if t.guest.ended.Load() {
		return a, false
	}
	if !e.call() || e.row != row || !slices.Equal(e.args[:e.width], args) {
		r.part(t, describeCall(row, args))
		return a, false
	}
	begun := e.op >= opBegin
	r.take()
	if begun && !r.during(t, row, args) {
		return a, false
	}
	return r.answered(t, row, func() string { return describeCall(row, args) })
}

// answered takes what a call answered, and does in memory what it did. describe tells of the call.
func (r *replayer) answered(t *thread, row int, describe func() string) (a answer, ok bool) {
	a, err := r.script.answer(row)
	if err == nil {
		err = r.writes(t, a.writes)
	}
	if err != nil {
		r.failed = err
		r.fail(err)
		return a, false
	}
	sum, mem := uint32(0), t.view.Bytes()
	for _, rg := range a.reads {
		sum = digest(sum, mem, rg)
	}
	if len(a.reads) > 0 && sum != a.sum {
		r.fail(&Difference{Event: r.count, Thread: t.id(), Recorded: fmt.Sprintf("%s, with bytes of checksum %08x", describe(), a.sum),
			Replayed: fmt.Sprintf("the same call with bytes of checksum %08x", sum)})
		return a, false
	}
	return a, true
}

// during does what happened while a call was under way, up to its answer.
func (r *replayer) during(t *thread, row int, args []uint64) bool {
	for {
		e, err := r.peek()
		switch {
		case t.guest.ended.Load():
			return false
		case err != nil:
			r.fail(err)
			return false
		case e.op == opEnd:
			r.take()
			return true
		case e.op == opSwitch:
			if row == spawnRow {
				r.spawn(t, args[0]) // it may run before the call that started it returns
			}
			if !r.handOver(t, e) {
				return false
			}
		case e.op == opExport:
			if _, err := t.guest.Call(t, e.name, append([]uint64(nil), e.values...)...); err != nil {
				r.fail(err)
				return false
			}
		case e.op == opWrote:
			r.apply(t.guest)
		case e.op == opReturned && r.header.resumes:
			// The call has trapped, and the export with it.
			panic(&Trap{Kind: TrapHost, Message: "the recorded call has trapped"})
		case e.op == opFinish:
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
		at, err := r.ranged()
		if err != nil {
			return err
		}
		b, errno := t.view.Window(at.Ptr, at.Len)
		if errno != wasip1.ESUCCESS {
			return r.outside(at)
		}
		if err := r.bytes(b); err != nil {
			return err
		}
	}
	return nil
}

func (r *replayer) enter(t *thread) { t.crossing.entries++ }

// back gives the turn away where it was given away, before the guest's code goes on.
func (r *replayer) back(t *thread) {
	for !t.guest.ended.Load() {
		e, err := r.peek()
		switch {
		case err != nil:
			r.fail(err)
			return
		case e.op == opSwitch:
			x := &t.crossing
			if e.entries > x.entries-x.told {
				return
			}
			if !r.handOver(t, e) {
				return
			}
		case e.op == opFinish:
			r.stop(t, e, false)
			return
		default:
			return
		}
	}
}

// handOver gives the turn to the thread that got it, and returns when it has come back.
func (r *replayer) handOver(t *thread, e *event) bool {
	if !r.placed(t, e) {
		return false
	}
	to := e.to
	if !r.threads.has(to) {
		r.fail(r.bad(fmt.Sprintf("the turn goes to thread %d, which is not there", to)))
		return false
	}
	r.take()
	t.crossing.told = t.crossing.entries
	r.threads.pass(t.task, to)
	t.attach()
	return !t.guest.ended.Load()
}

// placed compares the place of thread t with that in the event.
func (r *replayer) placed(t *thread, e *event) bool {
	x := &t.crossing
	if n, fuel := x.entries-x.told, t.spent(); n != e.entries || fuel != e.fuel {
		r.part(t, fmt.Sprintf("is at its call %d with fuel %d", n, fuel))
		return false
	}
	return true
}

// stop ends the guest where it was ended from outside of its code, by a limit of time or a deadlock, or by a call that it
// has made.
func (r *replayer) stop(t *thread, e *event, called bool) {
	x := &t.crossing
	if e.entries != x.entries-x.told {
		return
	}
	switch e.result.Outcome {
	case Canceled, Deadlocked, Failed, Exhausted:
	case Exited, Signaled, Trapped:
		if !called {
			return
		}
	default:
		return
	}
	result := e.result
	r.guest.decide(&result)
}

func (r *replayer) end(t *thread) {
	if t.guest.ended.Load() {
		return
	}
	t.crossing.entries++
	e, err := r.peek()
	if err != nil {
		r.fail(err)
		return
	}
	switch e.op {
	case opFinish:
		r.stop(t, e, true) // it has used more fuel than there was
	case opSwitch:
		if e.entries != t.crossing.entries-t.crossing.told {
			r.part(t, "ends")
			return
		}
		// Its fuel is not compared: it counts what was given back at the end.
		to := e.to
		r.take()
		t.crossing.told = t.crossing.entries
		r.threads.direct(to)
	}
}

func (r *replayer) export(t *thread, name string, params []uint64) {
	e, err := r.peek()
	if err != nil {
		r.fail(err)
		return
	}
	if e.op != opExport || e.name != name || !slices.Equal(e.values, params) {
		r.part(t, fmt.Sprintf("the export %s is called with %v", name, params))
		return
	}
	r.take()
}

func (r *replayer) returned(t *thread, results []uint64) {
	if t.guest.ended.Load() {
		return
	}
	e, err := r.peek()
	if err != nil {
		r.fail(err)
		return
	}
	if e.op != opReturned || !slices.Equal(e.values, results) {
		r.part(t, fmt.Sprintf("the export returns %v", results))
		return
	}
	r.take()
}

func (r *replayer) refueled(slice int64) int64 {
	e, err := r.peek()
	if err != nil || e.op != opFuel {
		return slice
	}
	r.take()
	return int64(e.size)
}

func (r *replayer) wrote(uint32, []byte) {}

func (r *replayer) refuses(size uint64, _ bool) bool {
	e, err := r.peek()
	if err != nil || e.op != opRefused || e.size != size {
		return false
	}
	r.take()
	return true
}

func (r *replayer) finish(*Guest) error { return nil }

// show writes what the guest wrote to standard output and error, and follows where these descriptors go.
func (r *replayer) show(t *thread, name string, args []uint64) {
	fd := uint32(args[0])
	switch name {
	case "fd_close":
		delete(r.shown, fd)
	case "fd_renumber":
		to := uint32(args[1])
		if w, ok := r.shown[fd]; ok {
			r.shown[to] = w
		} else {
			delete(r.shown, to)
		}
		if fd != to {
			delete(r.shown, fd)
		}
	case "fd_write":
		if w, ok := r.shown[fd]; ok {
			r.write(t, w, uint32(args[1]), uint32(args[2]), uint32(args[3]))
		}
	}
}

func (r *replayer) write(t *thread, w io.Writer, iovs, count, written uint32) {
	left, errno := t.view.Uint32(written)
	for i := range count {
		raw, e := t.view.Read(iovs+i*wasip1.SizeIovec, wasip1.SizeIovec)
		if e != wasip1.ESUCCESS || errno != wasip1.ESUCCESS || left == 0 {
			return
		}
		iov := wasip1.DecodeIovec(raw)
		b, e := t.view.Read(iov.Buf, min(iov.Len, left))
		if e != wasip1.ESUCCESS {
			return
		}
		left -= uint32(len(b))
		if _, err := w.Write(b); err != nil {
			r.fail(fmt.Errorf("replay: write the guest's output: %w", err))
			return
		}
	}
}
