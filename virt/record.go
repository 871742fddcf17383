package virt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/virt/internal/recording"
	"github.com/wasivirt/wasivirt/wasip1"
)

// WithRecording writes to w everything that passes between one guest and its Host, for package
// replay: each call with its arguments, what it read from the guest's memory (as a checksum), its
// result and what it wrote there; each call of an export; what [Guest.WriteMemory] wrote; growth of
// memory that was refused; and where threads gave the turn to each other. It is written as the
// guest runs, in pieces of 64 KiB with a checksum each and bounded memory, so that the file of a
// process that died can be read up to its last piece. An error of w is an error of [Guest.Run] and
// [Guest.Close], which writes the end.
//
// A guest that starts threads can be recorded only if they take turns ([WithScheduler] with a
// [sched.Seeded], or [Deterministic]), because a recording does not see what threads do to each
// other in memory.
//
// Functions of [WithFunctions] are recorded. A module that imports other functions of the embedder
// is refused, and so are [WithFallback] and [Foreign]; the error names the function. Host code must
// write to the guest's memory by [Call.View], [HostCall.View] or [Guest.WriteMemory]; other writes
// are not recorded.
//
// A guest of a snapshot can be recorded too. The recording holds the snapshot's hash, not the
// snapshot.
//
// [Limits].RecordingBytes bounds the size. A call adds at most the size of the guest's memory,
// because bytes that it reads or writes several times are recorded once.
func WithRecording(w io.Writer) GuestOption {
	r := &recordTo{w: w}
	return guestOption("WithRecording", func(c *config) error {
		if w == nil {
			return errors.New("the writer is nil")
		}
		c.recording = r
		return nil
	})
}

// WithHash sets Result.Hash, which differs between runs that differ in anything that passed between
// guest and Host: calls with arguments, results and the bytes that they wrote, switches of threads
// with the fuel used until then, the end, and the files at the end. The end of the context of Run
// or Close also ends the hashing of files; a guest that it canceled has no hash. The rule of
// [WithRecording] about threads applies.
func WithHash() GuestOption {
	return guestOption("WithHash", func(c *config) error { c.hash = true; return nil })
}

// recordTo is one WithRecording.
type recordTo struct {
	w    io.Writer
	used atomic.Bool
}

// observer sees what passes between one guest and its Host: it records, or replays. As one thread
// runs at a time, and hands the turn over through a channel or lock, it needs no lock of its own.
type observer interface {
	// enter is called when the guest's code has called the Host, back before its code goes on, also
	// when a thread begins. end is called when the code of a thread has ended.
	enter(t *thread)
	back(t *thread)
	end(t *thread)
	// kernel makes a call of row i of the kernel's table, which leaves its result in p.
	kernel(t *thread, i int, p []uint64)
	// export tells of the call of an export, and returned of what it returned.
	export(t *thread, name string, params []uint64)
	returned(t *thread, results []uint64)
	// hosted makes a call of a function of the embedder's, which leaves its results in stack. call
	// makes it in the world.
	hosted(t *thread, f *hostFunction, stack []uint64, call func())
	// refueled tells of the fuel that a thread gets, and decides how much that is.
	refueled(slice int64) int64
	// wrote tells that host code has written memory.
	wrote(ptr uint32, b []byte)
	// refuses decides whether memory grows to size bytes, where the budgets say granted.
	refuses(size uint64, granted bool) bool
	// finish is called once, when nothing of the guest runs any more.
	finish(ctx context.Context, g *Guest) error
}

// recordState is what an observer keeps for each thread.
type recordState struct {
	entries uint64 // how often it has called the Host, and ended
	told    uint64 // of those, at its last switch
	handed  uint64 // fuel it was given
	call    *recorded
	spare   recorded
}

// recorded is a call under way.
type recorded struct {
	t     *thread // that made it
	row   int
	args  [12]uint64
	width int
	begun bool // its beginning has been recorded
	log   memory.Log
	outer *recorded
}

// spent is the fuel that the thread has used. It has no turn, or asks for itself.
func (t *thread) spent() uint64 {
	t = t.first()
	spent, counts := t.record.handed, false
	each := func(t *thread) {
		if t.fuel != nil {
			counts = true
			spent -= t.fuel.Get() + uint64(t.reserve)
		}
	}
	each(t)
	if t == t.guest.main {
		for _, l := range t.guest.libraries {
			each(l.t)
		}
	}
	if !counts {
		return 0
	}
	return spent
}

// recorder is the recorder of a guest that is recorded or hashed.
type recorder struct {
	*recording.Writer
	limit     uint64 // of bytes
	types     wideParams
	functions map[*hostFunction]uint64 // of the embedder's that were called, by their number
	guest     *Guest
	last      *thread // whose code ran last
	hash      hash.Hash

	mu      sync.Mutex
	printed []print // what the guest printed, and is not recorded yet
}

// print is output of the guest.
type print struct {
	stream int
	text   []byte
}

// checkRecording refuses what cannot be recorded, and makes the guest's recorder.
func (g *Guest) checkRecording() error {
	c := g.config
	if g.host.replay != nil {
		g.observer = g.host.replay.attach(g)
		return nil
	}
	if c.recording == nil && !c.hash {
		return nil
	}
	name := "WithHash"
	if c.recording != nil {
		name = "WithRecording"
	}
	if g.module.info == nil {
		return fmt.Errorf("%s: the module was instantiated by the embedder: compile it with Host.Compile", name)
	}
	if sharedMemory(g.module.info) != nil && !g.host.takesTurns() {
		return fmt.Errorf("%s: the module has threads, which have to take turns: build the Host with Deterministic, or WithScheduler(sched.NewSeeded(…))", name)
	}
	if c.control.fallbacks != nil {
		return fmt.Errorf("%s: WithFallback: nobody records what the functions of another host do", name)
	}
	missing := g.unrecorded(g.module.info)
	for _, l := range c.libraries {
		missing = append(missing, g.unrecorded(l.module.info)...)
	}
	if missing != nil {
		return fmt.Errorf("%s: the module imports %s, which nobody records: give functions by WithFunctions", name, list(missing, 5))
	}
	t := &recorder{guest: g, types: newWideParams(), functions: map[*hostFunction]uint64{}}
	if c.hash {
		t.hash = sha256.New()
	}
	var w io.Writer
	if c.recording != nil {
		if c.recording.used.Swap(true) {
			return fmt.Errorf("%s: the writer has another guest's recording already", name)
		}
		w, t.limit = c.recording.w, c.limits.RecordingBytes
	}
	t.Writer = recording.NewWriter(w, t.hash, g.module.header(c), recordingTable, g.host.clock.Realtime)
	g.observer = t
	return nil
}

// header is what has to be the same where the guest's recording is replayed.
func (m *Module) header(c *config) recording.Header {
	o := &m.options
	return recording.Header{Module: m.sum, Period: o.Period, Depth: o.CallDepth, Counts: o.Fuel, Turns: o.Turns, Accesses: o.SharedAccess,
		Unpreempted: !o.Stop, CanonicalNaNs: o.CanonicalNaNs, Stacks: o.Stack != 0, Resumes: c.resume, Snapshot: c.recordedFrom}
}

// recordingTable tells the recording's format how many arguments functions have.
var recordingTable = func() recording.Table {
	t := recording.Table{Spawn: spawnRow}
	for i := range rows {
		t.Widths = append(t.Widths, row(i).Width())
	}
	for _, f := range kernel {
		width := -1
		if f.results != nil {
			width = len(f.params)
		}
		t.Widths = append(t.Widths, width)
	}
	return t
}()

// recordedCalls is the layer of the recorder, of guests that have one.
func recordedCalls(g *Guest, i int, f *function, next callFunc) callFunc {
	if f.hosted != nil {
		return func(t *thread, f *function, p []uint64) (errno wasip1.Errno) {
			g.observer.hosted(t, f.hosted, p, func() { errno = next(t, f, p) })
			return errno
		}
	}
	switch b := g.observer.(type) {
	case *recorder:
		return func(t *thread, f *function, p []uint64) wasip1.Errno { return b.around(t, i, f, p, next) }
	case *replayer:
		return func(t *thread, f *function, p []uint64) wasip1.Errno { return b.answer(t, i, f, p) }
	}
	return nil
}

// around records a call.
func (b *recorder) around(t *thread, i int, f *function, p []uint64, next callFunc) wasip1.Errno {
	c := b.begin(t, i, p[:f.Width()])
	outer := t.view.Log()
	t.view.SetLog(&c.log)
	errno := next(t, f, p)
	t.view.SetLog(outer)
	b.tellPrinted(t)
	if t.gone() {
		// It never returns to the guest, and its end is not the guest's business any more.
		return errno
	}
	t.attach()
	b.running(t)
	b.answered(t, c, &recording.Answer{Result: uint32(errno), Spawned: t.spawned})
	return errno
}

// answered records what a call answered and touched in memory, unless that is more than the budget
// has left.
func (b *recorder) answered(t *thread, c *recorded, a *recording.Answer) {
	mem := t.view.Bytes()
	a.Reads, a.Writes = recording.Union(c.log.Reads), recording.Union(c.log.Writes)
	size := uint64(64)
	for _, r := range a.Writes {
		size += uint64(r.Len) + 16
	}
	t.record.call = c.outer
	if size += 16 * uint64(len(a.Reads)); !b.room(t, size) {
		return
	}
	if c.begun {
		b.End(c.row, a, mem)
	} else {
		b.Call(c.row, c.args[:c.width], a, mem)
	}
}

// room reports whether so many bytes fit into the budget of the recording, and ends the guest if
// they do not.
func (b *recorder) room(t *thread, size uint64) bool {
	if b.limit == 0 || !b.Records() || b.Size()+size <= b.limit {
		return true
	}
	b.guest.decide(&Result{Outcome: Exhausted, Budget: BudgetRecording, Thread: t.id()})
	return false
}

// notePrinted keeps what the guest wrote to standard output or error until the next event is
// recorded. It may be called by threads that have no turn.
func (b *recorder) notePrinted(stream int, p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.printed = append(b.printed, print{stream, bytes.Clone(p)})
}

// tellPrinted records what was printed since the last time.
func (b *recorder) tellPrinted(t *thread) {
	b.mu.Lock()
	printed := b.printed
	b.printed = nil
	b.mu.Unlock()
	for _, p := range printed {
		b.Output(p.stream, p.text)
	}
	if printed != nil && t != nil {
		b.room(t, 0)
	}
}

// narrow makes args of row i what the guest's code gave: what an engine leaves in the upper half of
// an i32 is its own business.
func (b *wideParams) narrow(i int, args []uint64) {
	for n := range args {
		if b[i]>>n&1 == 0 {
			args[n] = uint64(uint32(args[n]))
		}
	}
}

// wideParams has a bit for each parameter of each row that is an i64.
type wideParams [recording.Begin]uint16

func newWideParams() (b wideParams) {
	note := func(i int, types []api.ValueType) {
		for n, t := range types {
			if t == i64 {
				b[i] |= 1 << n
			}
		}
	}
	for i := range rows {
		types, _, _ := row(i).signature()
		note(i, types)
	}
	for i, f := range kernel {
		note(rows+i, f.params)
	}
	return b
}

// begin notes a call. It goes into the recording together with its end, if nothing comes between.
func (b *recorder) begin(t *thread, row int, args []uint64) *recorded {
	x := t.record
	c := &x.spare
	if x.call != nil {
		b.flush(t)
		c = new(recorded)
	}
	c.t = t
	c.row, c.begun, c.outer, c.width = row, false, x.call, copy(c.args[:], args)
	b.types.narrow(row, c.args[:c.width])
	c.log.Reset()
	x.call = c
	return c
}

// flush records the beginning of t's call, and what it has written up to now, which others are
// about to see.
func (b *recorder) flush(t *thread) {
	c := t.record.call
	if c == nil {
		return
	}
	if !c.begun {
		c.begun = true
		b.Begin(c.row, c.args[:c.width])
	}
	mem := c.t.view.Bytes()
	for _, r := range recording.Union(c.log.Writes) {
		if end := uint64(r.Ptr) + uint64(r.Len); end <= uint64(len(mem)) && b.room(t, uint64(r.Len)) {
			b.Wrote(r.Ptr, mem[r.Ptr:end])
		}
	}
	c.log.Writes = c.log.Writes[:0]
	b.room(t, 0)
}

func (b *recorder) enter(t *thread) { t.record.entries++ }

func (b *recorder) back(t *thread) {
	if !t.guest.ended.Load() {
		b.running(t)
	}
}

func (b *recorder) end(t *thread) {
	if !t.guest.ended.Load() {
		t.record.entries++
	}
}

// running notes that t's code is about to run: a switch, if another thread's ran last.
func (b *recorder) running(t *thread) {
	t = t.first()
	last := b.last
	if last == t {
		return
	}
	b.last = t
	if last == nil {
		return
	}
	b.flush(last)
	entries, fuel := last.position()
	b.Switch(t.id(), entries, fuel)
	b.room(t, 0)
}

// position is where a thread is: how often it has called the Host since its last switch, and its
// fuel.
func (t *thread) position() (entries, fuel uint64) {
	x := t.record
	entries, x.told = x.entries-x.told, x.entries
	return entries, t.spent()
}

func (b *recorder) kernel(t *thread, i int, p []uint64) {
	if kernel[i].results == nil {
		kernel[i].call(t, p)
		return
	}
	c := b.begin(t, rows+i, p[:len(kernel[i].params)])
	kernel[i].call(t, p)
	if t.gone() {
		return
	}
	b.running(t)
	c.log.Reset()
	b.answered(t, c, &recording.Answer{Result: uint32(p[0])})
}

func (b *recorder) export(t *thread, name string, params []uint64) {
	b.flush(t)
	b.running(t)
	b.Export(name, params)
}

func (b *recorder) returned(t *thread, results []uint64) {
	if t.guest.ended.Load() {
		return
	}
	b.flush(t)
	b.Returned(results)
}

func (b *recorder) wrote(ptr uint32, p []byte) {
	if b.room(b.guest.main, uint64(len(p))) {
		b.Wrote(ptr, p)
	}
}

func (b *recorder) refueled(slice int64) int64 {
	if slice != fuelSlice {
		b.Fuel(uint64(slice))
	}
	return slice
}

func (b *recorder) refuses(size uint64, granted bool) bool {
	if !granted {
		b.Refused(size)
	}
	return !granted
}

// WriteMemory writes to the guest's memory while none of its exports runs, and has a recording know
// of it. Errors: EFAULT where the bytes do not lie in the memory; ErrBusy while an export runs.
func (g *Guest) WriteMemory(ptr uint32, b []byte) error {
	select {
	case g.calls <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-g.calls }()
	if err := wazeromem.WriteAt(g.main.mod.Memory(), ptr, b); err != nil {
		return err
	}
	if g.observer != nil {
		g.observer.wrote(ptr, b)
	}
	return nil
}

// finishObserver ends the guest's recorder, once. The end of ctx ends the hash of files.
func (g *Guest) finishObserver(ctx context.Context) error {
	if g.observer == nil {
		return nil
	}
	g.finished.Do(func() { g.observerErr = contained(func() error { return g.observer.finish(ctx, g) }) })
	return g.observerErr
}
