package explore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// Story explains how a schedule leads to its outcome: what threads did to shared memory, in order,
// and where the turn went from one thread to another.
type Story struct {
	// Threads holds the names of the threads by number.
	Threads map[uint32]string
	// Steps are the steps that matter, in order. Long stories keep only the steps around switches.
	Steps []StoryStep
	// Left is the number of steps that were left out.
	Left int
	// End is how it ended.
	End string
}

// StoryStep is something that a thread did, or a switch of threads.
type StoryStep struct {
	Thread uint32
	// Text says what the thread did: "reads counter: 1".
	Text string
	// Function and Line are where, as far as the module tells.
	Function, Line string
	// Note points out what matters: `thread 1's write of 2 is lost`.
	Note string
	// From is the index in Steps, from 1, of the write that this read saw or that this write
	// replaced; 0 for none.
	From int
	// Switch is true if the turn goes to Thread at this step. Forced is true if the thread that had
	// it could have gone on.
	Switch, Forced bool
}

// happened is something that the teller was told.
type happened struct {
	trace.Access
	before, after uint64
	known         bool // after is
	waiting       int  // of AccessNotify: how many threads wait at the address
	woken         []uint32
	turn          *Switch
}

// teller notes what happens in a run.
type teller struct {
	all      []happened
	open     map[uint32]int // of each thread: its last access, whose end is not known
	memory   []byte         // the guest's
	buffered bool           // stores may wait: memory does not show them when others run
	waits    map[uint32]uint64
	result   *virt.Result
}

// maxTold is how much of a run is noted.
const maxTold = 1_000_000

func newTeller(model sched.MemoryModel) *teller {
	return &teller{open: map[uint32]int{}, waits: map[uint32]uint64{}, buffered: model != sched.SequentialConsistency}
}

// settle notes what the last access of a thread has left in memory.
func (t *teller) settle(thread uint32) {
	if i, ok := t.open[thread]; ok {
		h := &t.all[i]
		h.after, h.known = valueOf(&trace.Access{Addr: h.Addr, Size: h.Size, Memory: t.memory}), true
		delete(t.open, thread)
	}
}

// access is told of the guest's accesses.
func (t *teller) access(a *trace.Access) {
	t.memory = a.Memory
	t.settle(a.Thread)
	if a.Op == trace.AccessTick || len(t.all) >= maxTold || a.Op == trace.AccessCall && t.repeats(a) {
		return
	}
	h := happened{Access: *a, before: valueOf(a)}
	h.Memory = nil
	if a.Op == trace.AccessNotify {
		for _, addr := range t.waits {
			if addr == a.Addr {
				h.waiting++
			}
		}
	}
	if a.Size > 0 {
		t.open[a.Thread] = len(t.all)
	}
	t.all = append(t.all, h)
}

// repeats reports whether a call is the one that was told of last: the Host tells of calls before
// and after them.
func (t *teller) repeats(a *trace.Access) bool {
	for i := len(t.all) - 1; i >= 0; i-- {
		if h := &t.all[i]; h.Thread == a.Thread && h.turn == nil {
			return h.Op == trace.AccessCall && h.Call == a.Call
		}
	}
	return false
}

// switched is told of a switch, before the other thread runs.
func (t *teller) switched(s Switch) {
	if i, ok := t.open[s.From]; ok && !(t.buffered && t.all[i].Op == trace.AccessStore) {
		t.settle(s.From)
	}
	if len(t.all) < maxTold {
		t.all = append(t.all, happened{turn: &s})
	}
}

// watched is a strategy, of whose run a teller is told who waits and who is woken.
type watched struct {
	sched.Strategy
	tell *teller
}

// New implements [sched.Strategy].
func (w watched) New(seed uint64) sched.Picker {
	p := &watchedPicker{Picker: w.Strategy.New(seed), tell: w.tell}
	p.observer, _ = p.Picker.(sched.Observer)
	return p
}

type watchedPicker struct {
	sched.Picker
	observer sched.Observer // Picker, where it is one
	tell     *teller
}

// Stop implements [sched.Observer].
func (p *watchedPicker) Stop(t *sched.Thread, at sched.Point) {
	p.tell.stopped(t.ID(), at)
	if p.observer != nil {
		p.observer.Stop(t, at)
	}
}

// Ready implements [sched.Observer].
func (p *watchedPicker) Ready(t, by *sched.Thread) {
	if by != nil {
		p.tell.woken(t.ID(), by.ID())
	}
	if p.observer != nil {
		p.observer.Ready(t, by)
	}
}

// Turn implements [sched.Observer].
func (p *watchedPicker) Turn(t *sched.Thread) {
	if p.observer != nil {
		p.observer.Turn(t)
	}
}

// last is what a thread has done last.
func (t *teller) last(thread uint32) *happened {
	for i := len(t.all) - 1; i >= 0; i-- {
		if h := &t.all[i]; h.turn == nil && h.Thread == thread {
			return h
		}
	}
	return &happened{}
}

// stopped is told that a thread does not go on at once.
func (t *teller) stopped(thread uint32, at sched.Point) {
	if h := t.last(thread); at == sched.PointWait && h.Op == trace.AccessWait {
		t.waits[thread] = h.Addr
	}
}

// woken is told that a thread has woken another.
func (t *teller) woken(thread, by uint32) {
	addr, waits := t.waits[thread]
	delete(t.waits, thread)
	if h := t.last(by); waits && h.Op == trace.AccessNotify && h.Addr == addr {
		h.woken = append(h.woken, thread)
	}
}

// harness are functions that tell nothing about what a thread is for.
var harness = []string{"wasi_thread_start", "thread_main", "lock", "unlock", "join", "start", "_start", "__wasm_call_ctors", "__wasm_init_memory"}

// tell makes a story of what happened.
func (t *teller) tell(n *names) *Story {
	shared := t.shared()
	s := &Story{Threads: t.threads(n)}
	writes := &writes{bytes: map[uint64]writtenByte{}}
	seen := map[view]uint64{} // what a thread has seen or written last
	lastOf := map[view]int{}  // which step that was
	closing := t.closing(n)
	for i := range t.all {
		h := &t.all[i]
		step := StoryStep{Thread: h.Thread}
		switch {
		case h.turn != nil:
			if last := len(s.Steps) - 1; last >= 0 && s.Steps[last].Switch {
				s.Steps = s.Steps[:last] // nothing to tell happened in between
			}
			step = StoryStep{Thread: h.turn.To, Switch: true, Forced: h.turn.Forced,
				Text: fmt.Sprintf("%s %s; %s goes on", s.name(h.turn.From), t.stops(i), s.name(h.turn.To))}
			s.Steps = append(s.Steps, step)
			continue
		case h.Op == trace.AccessCall:
			step.Text = "calls " + h.Call
			s.Steps = append(s.Steps, step)
			continue
		case h.Op != trace.AccessNotify && !shared.of(h) && !closing[i]:
			writes.put(h, 0)
			continue
		}
		p := n.place(h.At)
		if p.function == "wasi_thread_start" || strings.HasPrefix(p.function, "__wasm_") {
			writes.put(h, 0)
			continue // how threads begin
		}
		step.Function, step.Line = p.function, p.line
		where, key := n.address(h.Addr), view{h.Thread, h.Addr, h.Size}
		w, written := writes.last(h)
		mine := w.thread == h.Thread
		switch {
		case h.Op == trace.AccessNotify:
			step.Text = s.wakes(h) + where
		case h.Op == trace.AccessWait:
			step.Text = fmt.Sprintf("waits at %s, which is %s", where, number(h.before))
		case h.Size > 8 && !h.Op.Writes():
			step.Text = fmt.Sprintf("reads %d bytes at %s", h.Size, where)
			if written && !mine {
				step.From = w.step
			}
		case h.Size > 8:
			step.Text = fmt.Sprintf("writes %d bytes at %s", h.Size, where)
			writes.put(h, len(s.Steps)+1)
		case h.Op == trace.AccessLoad || h.Op == trace.AccessAtomic:
			step.Text = fmt.Sprintf("reads %s: %s%s", where, number(h.before), atomically(h.Op))
			if written && !mine {
				step.From = w.step
				if was, looked := seen[key]; looked && was != h.before {
					step.Note = fmt.Sprintf("it was %s when this thread looked before: %s has changed it", number(was), s.name(w.thread))
				} else if t.buffered && w.value != h.before {
					step.Note, step.From = fmt.Sprintf("%s has written %s, which this thread does not see yet", s.name(w.thread), number(w.value)), 0
				}
			}
			seen[key], lastOf[key] = h.before, len(s.Steps)+1
		default:
			after := number(h.after)
			if !h.known {
				after = "?"
			}
			switch {
			case h.Op == trace.AccessUpdate && h.known && h.after == h.before:
				step.Text = fmt.Sprintf("updates %s in one step: it stays %s", where, after)
			case h.Op == trace.AccessUpdate:
				step.Text = fmt.Sprintf("updates %s in one step: %s becomes %s", where, number(h.before), after)
				if looked := lastOf[key]; written && !mine && looked > 0 && w.step > looked && seen[key] == h.before {
					step.From = w.step
					step.Note = fmt.Sprintf("it is %s as when this thread looked, but %s has changed it meanwhile, and back", number(h.before), s.name(w.thread))
				}
			default:
				step.Text = fmt.Sprintf("writes %s: %s, in place of %s%s", where, after, number(h.before), atomically(h.Op))
				if looked := lastOf[key]; written && !mine && looked > 0 && w.step > looked {
					step.From = w.step
					step.Note = fmt.Sprintf("%s wrote %s after this thread had looked: that write is lost", s.name(w.thread), number(w.value))
				}
			}
			seen[key], lastOf[key] = h.after, len(s.Steps)+1
			writes.put(h, len(s.Steps)+1)
		}
		s.Steps = append(s.Steps, step)
	}
	s.end(n, t.result, writes)
	s.shorten()
	return s
}

// atomically says of an access that it is atomic.
func atomically(op trace.AccessOp) string {
	if op == trace.AccessAtomic || op == trace.AccessPut {
		return " (atomic)"
	}
	return ""
}

// wakes says whom a notify wakes, before where.
func (s *Story) wakes(h *happened) string {
	var names []string
	for _, thread := range h.woken {
		names = append(names, s.name(thread))
	}
	switch {
	case h.waiting == 0:
		return "wakes nobody: no thread waits at "
	case len(names) == 0:
		return "wakes nobody at "
	case len(names) < h.waiting:
		return fmt.Sprintf("wakes %s, one of %d that wait at ", strings.Join(names, " and "), h.waiting)
	}
	return fmt.Sprintf("wakes %s, waiting at ", strings.Join(names, " and "))
}

// end says how the story ends.
func (s *Story) end(n *names, r *virt.Result, w *writes) {
	s.End = "the program ends: " + visible(r.String())
	dead, ok := errors.AsType[*sched.DeadlockError](r.Err)
	if !ok {
		return
	}
	s.End = "nothing can go on:"
	for _, t := range dead.Threads {
		s.End += "\n  " + s.name(t.Thread) + " waits"
		if !strings.HasPrefix(t.Op, "memory.") {
			s.End += " in " + t.Op
			continue
		}
		s.End += " at " + n.address(t.On) + s.lastAt(t, w)
	}
}

// threads names threads by the function in which they do most.
func (t *teller) threads(n *names) map[uint32]string {
	counts := map[uint32]map[string]int{}
	for i := range t.all {
		h := &t.all[i]
		if h.turn != nil {
			continue
		}
		if counts[h.Thread] == nil {
			counts[h.Thread] = map[string]int{}
		}
		if f := n.place(h.At).function; f != "" && !slices.Contains(harness, f) && !strings.HasPrefix(f, "__") {
			counts[h.Thread][f]++
		}
	}
	threads := map[uint32]string{}
	for thread, functions := range counts {
		best := ""
		for f, count := range functions {
			if best == "" || cmp.Or(cmp.Compare(functions[best], count), cmp.Compare(f, best)) < 0 {
				best = f
			}
		}
		switch {
		case thread == 0:
			threads[thread] = "the main thread"
		case best != "":
			threads[thread] = fmt.Sprintf("thread %d (%s)", thread, best)
		default:
			threads[thread] = fmt.Sprintf("thread %d", thread)
		}
	}
	return threads
}

func (s *Story) name(thread uint32) string {
	if name := s.Threads[thread]; name != "" {
		return name
	}
	return fmt.Sprintf("thread %d", thread)
}

// number is a value as people read it.
func number(v uint64) string {
	if v < 1<<32 && int32(v) < 0 && int32(v) > -1000 {
		return fmt.Sprint(int32(v)) // -1, most likely
	}
	return fmt.Sprint(v)
}

// The steps of a story that are kept: all if there are no more than maxSteps, else those near what
// is remarkable.
const (
	maxStory = 80
	near     = 4
)

// shorten leaves out what is far from switches that matter, from notes and from the end.
func (s *Story) shorten() {
	// The beginning, before there is another thread, tells nothing.
	begin := 0
	for i, step := range s.Steps {
		if step.Switch {
			begin = i
			break
		}
	}
	keep := make([]bool, len(s.Steps))
	if len(s.Steps)-begin > maxStory {
		mark := func(i int) {
			for k := max(begin, i-near); k <= min(len(keep)-1, i+near); k++ {
				keep[k] = true
			}
		}
		for i, step := range s.Steps {
			if step.Forced || step.Note != "" {
				mark(i)
			}
		}
		mark(len(keep) - 1)
	} else {
		for i := begin; i < len(keep); i++ {
			keep[i] = true
		}
	}
	places := make([]int, len(s.Steps)+1)
	var kept []StoryStep
	for i, step := range s.Steps {
		if keep[i] && len(kept) < 2*maxStory {
			kept = append(kept, step)
			places[i+1] = len(kept)
		} else {
			s.Left++
		}
	}
	for i := range kept {
		kept[i].From = places[kept[i].From]
	}
	s.Steps = kept
}

// lines tells the story for people.
func (s *Story) lines() (lines []string) {
	width, text := 0, 0
	for _, name := range s.Threads {
		width = max(width, len(name))
	}
	for _, step := range s.Steps {
		if !step.Switch {
			text = max(text, min(len(step.Text), 40))
		}
	}
	for i, step := range s.Steps {
		if i > 0 && step == s.Steps[i-1] && step.Note == "" && !step.Switch {
			continue // told with the first one
		}
		if step.Switch {
			if step.Forced {
				lines = append(lines, "--- "+step.Text+" ---")
			} else {
				lines = append(lines, "    ("+step.Text+")")
			}
			continue
		}
		where := step.Function
		if step.Line != "" {
			where = strings.TrimSpace(where + " " + step.Line)
		}
		line := fmt.Sprintf("%-*s  %s", width, s.name(step.Thread), step.Text)
		if n := s.alike(i); n > 1 {
			line += fmt.Sprintf(" (%d times)", n)
		}
		if where != "" {
			line = fmt.Sprintf("%-*s  [%s]", width+2+text, line, where)
		}
		lines = append(lines, line)
		if step.Note != "" {
			lines = append(lines, fmt.Sprintf("%-*s  ^ %s", width, "", step.Note))
		}
	}
	if s.Left > 0 {
		lines = append(lines, fmt.Sprintf("(%d steps that do not matter were left out)", s.Left))
	}
	return append(lines, strings.Split(s.End, "\n")...)
}

// alike is how many steps from the i-th on are the same.
func (s *Story) alike(i int) int {
	n := 1
	for i+n < len(s.Steps) && s.Steps[i+n] == s.Steps[i] {
		n++
	}
	return n
}

// switchOf is a switch as a scheduler tells it.
func switchOf(s sched.Switch) Switch {
	forced := s.Choice > 0 && s.Point != sched.PointWait && s.Point != sched.PointEnd && s.Point != sched.PointIdle
	return Switch{Step: s.Step, From: s.From.ID(), To: s.To.ID(), Point: s.Point, Forced: forced}
}
