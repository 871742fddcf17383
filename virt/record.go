package virt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// WithRecording writes to w everything that crosses the border between one guest and its Host, for [Replay]: each call
// with its arguments, what it read from the guest's memory (as a checksum), its result and what it wrote there; each
// call of an export; what [Guest.WriteMemory] wrote; growth of memory that was refused; and where threads gave
// the turn to each other. It is written as the guest runs, in pieces of 64 KiB with a checksum each and bounded memory,
// so that the file of a process that died can be read up to its last piece. An error of w is an error of
// [Guest.Run] and [Guest.Close], which writes the end.
//
// A guest that starts threads is recorded only where they take turns (WithScheduler with a [sched.Seeded], or
// [Deterministic]): what threads do to each other in memory crosses no border.
//
// Functions of the embedder's are recorded if they come by [WithFunctions]. A module that imports others, and functions
// answered through [WithFallback] and [Foreign], are refused by name: nobody would record what they do. What host code does to
// the guest's memory in other ways than by [Call.View], [HostCall.View] and [Guest.WriteMemory] is not seen.
func WithRecording(w io.Writer) Option {
	r := &recording{w: w}
	return guestOption("WithRecording", func(c *config) error {
		if w == nil {
			return errors.New("the writer is nil")
		}
		c.recording = r
		return nil
	})
}

// WithHash has [Result.Hash] tell apart runs that differ in anything that crossed the border between guest and Host: the
// calls with their arguments, results and the bytes that they wrote, the switches of threads with the fuel
// used up by then, the end, and the tree of files that is left. What [WithRecording] says about threads goes for it too.
func WithHash() Option {
	return guestOption("WithHash", func(c *config) error { c.hash = true; return nil })
}

// recording is one WithRecording.
type recording struct {
	w    io.Writer
	used atomic.Bool
}

// border sees what crosses between one guest and its Host: it records, or replays. As one thread runs at a time, and
// hands the turn over through a channel or lock, it needs no lock of its own.
type border interface {
	// enter is called when the guest's code has called the Host, back before its code goes on, also when a thread
	// begins. end is called when the code of a thread has ended.
	enter(t *thread)
	back(t *thread)
	end(t *thread)
	// kernel makes a call of row i of the kernel's table, which leaves its result in p.
	kernel(t *thread, i int, p []uint64)
	// export tells of the call of an export, and returned of what it returned.
	export(t *thread, name string, params []uint64)
	returned(t *thread, results []uint64)
	// hosted makes a call of a function of the embedder's, which leaves its results in stack.
	hosted(t *thread, f *hostFunction, stack []uint64)
	// refueled tells of the fuel that a thread gets, and decides how much that is.
	refueled(slice int64) int64
	// wrote tells that host code has written memory.
	wrote(ptr uint32, b []byte)
	// refuses decides whether memory grows to size bytes, where the budgets say granted.
	refuses(size uint64, granted bool) bool
	// finish is called once, when nothing of the guest runs any more.
	finish(g *Guest) error
}

// crossing is what a border keeps for each thread.
type crossing struct {
	entries uint64 // how often it has called the Host, and ended
	told    uint64 // of those, at its last switch
	handed  uint64 // fuel it was given
	call    *recorded
	spare   recorded
}

// recorded is a call under way.
type recorded struct {
	row   int
	args  [12]uint64
	width int
	begun bool // its beginning is on the tape
	log   memory.Log
	outer *recorded
}

// spent is the fuel that the thread has used. It has no turn, or asks for itself.
func (t *thread) spent() uint64 {
	if t.fuel == nil {
		return 0
	}
	return t.crossing.handed - t.fuel.Get()
}

// tape is the border of a guest that is recorded or hashed.
type tape struct {
	encoder
	types     borderTable
	functions map[*hostFunction]uint64 // of the embedder's that were called, by their number
	guest     *Guest
	last      *thread // whose code ran last
}

// checkRecording refuses what cannot be recorded, and makes the guest's border.
func (g *Guest) checkRecording() error {
	c := g.config
	if g.host.replay != nil {
		g.border = g.host.replay.attach(g)
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
	if missing := g.host.unrecorded(g.module.info); missing != nil {
		return fmt.Errorf("%s: the module imports %s, which nobody records: give functions by WithFunctions", name, list(missing, 5))
	}
	t := &tape{guest: g, types: newBorderTable(), functions: map[*hostFunction]uint64{}}
	if c.hash {
		t.hash = sha256.New()
	}
	if c.recording != nil {
		if c.recording.used.Swap(true) {
			return fmt.Errorf("%s: the writer has another guest's recording already", name)
		}
		t.frames = newFrameWriter(c.recording.w, g.host.clock.Realtime)
		t.frames.header(g.host.header(g.module, c))
	}
	g.border = t
	return nil
}

// crossed is the layer of the border, of guests that have one.
func crossed(g *Guest, i int, next around) around {
	switch b := g.border.(type) {
	case *tape:
		return func(t *thread, f *Function, p []uint64) wasip1.Errno { return b.around(t, i, f, p, next) }
	case *replayer:
		return func(t *thread, f *Function, p []uint64) wasip1.Errno { return b.answer(t, i, f, p) }
	}
	return nil
}

// around records a call.
func (b *tape) around(t *thread, i int, f *Function, p []uint64, next around) wasip1.Errno {
	c := b.begin(t, i, p[:f.width()])
	outer := t.view.Log()
	t.view.SetLog(&c.log)
	errno := next(t, f, p)
	t.view.SetLog(outer)
	if t.gone() {
		// It never returns to the guest, and its end is not the guest's business any more.
		return errno
	}
	t.attach()
	b.running(t)
	b.result(t, c, uint32(errno))
	if i == spawnRow {
		b.uvarint(uint64(t.spawned))
	}
	b.writes(&t.view, c.log.Writes)
	b.emit()
	t.crossing.call = c.outer
	return errno
}

// narrow makes args of row i what the guest's code gave: what an engine leaves in the upper half of an i32 is its own
// business.
func (b *borderTable) narrow(i int, args []uint64) {
	for n := range args {
		if b[i]>>n&1 == 0 {
			args[n] = uint64(uint32(args[n]))
		}
	}
}

// borderTable has a bit for each parameter of each row that is an i64.
type borderTable [opBegin]uint16

func newBorderTable() (b borderTable) {
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

// begin notes a call. It goes onto the tape together with its end, if nothing comes between.
func (b *tape) begin(t *thread, row int, args []uint64) *recorded {
	x := &t.crossing
	c := &x.spare
	if x.call != nil {
		b.flush(t)
		c = new(recorded)
	}
	c.row, c.begun, c.outer, c.width = row, false, x.call, copy(c.args[:], args)
	b.types.narrow(row, c.args[:c.width])
	c.log.Reset()
	x.call = c
	return c
}

// flush puts the beginning of t's call on the tape, and what it has written up to now, which others are about to see.
func (b *tape) flush(t *thread) {
	c := t.crossing.call
	if c == nil {
		return
	}
	if !c.begun {
		c.begun = true
		b.op(opBegin | op(c.row))
		for _, a := range c.args[:c.width] {
			b.uvarint(a)
		}
		b.emit()
	}
	mem := t.view.Bytes()
	for _, r := range c.log.Writes {
		if end := uint64(r.Ptr) + uint64(r.Len); end <= uint64(len(mem)) {
			b.wrote(r.Ptr, mem[r.Ptr:end])
		}
	}
	c.log.Writes = c.log.Writes[:0]
}

// result begins what a call answers: after its beginning, or after the call as a whole.
func (b *tape) result(t *thread, c *recorded, result uint32) {
	if c.begun {
		b.op(opEnd)
	} else {
		b.op(op(c.row))
		for _, a := range c.args[:c.width] {
			b.uvarint(a)
		}
	}
	b.reads(t, c)
	b.uvarint(uint64(result))
}

// reads puts what a call read on the tape.
func (b *tape) reads(t *thread, c *recorded) {
	mem := t.view.Bytes()
	b.uvarint(uint64(len(c.log.Reads)))
	sum := uint32(0)
	for _, r := range c.log.Reads {
		b.ranged(r)
		sum = digest(sum, mem, r)
	}
	if len(c.log.Reads) > 0 {
		b.sum(sum)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest goes on with the checksum of what calls read.
func digest(sum uint32, mem []byte, r memory.Range) uint32 {
	end := uint64(r.Ptr) + uint64(r.Len)
	if end > uint64(len(mem)) {
		return ^sum
	}
	return crc32.Update(sum, castagnoli, mem[r.Ptr:end])
}

// writes puts what a call wrote on the tape.
func (b *tape) writes(v *memory.View, ranges []memory.Range) {
	mem := v.Bytes()
	b.uvarint(uint64(len(ranges)))
	for _, r := range ranges {
		b.ranged(r)
		b.bytes(mem[r.Ptr : uint64(r.Ptr)+uint64(r.Len)])
	}
}

func (b *tape) enter(t *thread) { t.crossing.entries++ }

func (b *tape) back(t *thread) {
	if !t.guest.ended.Load() {
		b.running(t)
	}
}

func (b *tape) end(t *thread) {
	if !t.guest.ended.Load() {
		t.crossing.entries++
	}
}

// running notes that t's code is about to run: a switch, if another thread's ran last.
func (b *tape) running(t *thread) {
	last := b.last
	if last == t {
		return
	}
	b.last = t
	if last == nil {
		return
	}
	b.flush(last)
	b.op(opSwitch)
	b.uvarint(uint64(t.id()))
	b.position(last)
	b.emit()
}

// position puts where a thread is on the tape: how often it has called the Host since its last switch, and its fuel.
func (b *tape) position(t *thread) {
	x := &t.crossing
	b.uvarint(x.entries - x.told)
	b.uvarint(t.spent())
	x.told = x.entries
}

func (b *tape) kernel(t *thread, i int, p []uint64) {
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
	b.result(t, c, uint32(p[0]))
	b.uvarint(0)
	b.emit()
	t.crossing.call = c.outer
}

func (b *tape) export(t *thread, name string, params []uint64) {
	b.flush(t)
	b.running(t)
	b.op(opExport)
	b.name(name)
	b.values(params)
	b.emit()
}

func (b *tape) returned(t *thread, results []uint64) {
	if t.guest.ended.Load() {
		return
	}
	b.flush(t)
	b.op(opReturned)
	b.values(results)
	b.emit()
}

func (b *tape) wrote(ptr uint32, p []byte) {
	b.op(opWrote)
	b.ranged(memory.Range{Ptr: ptr, Len: uint32(len(p))})
	b.bytes(p)
	b.emit()
}

func (b *tape) refueled(slice int64) int64 {
	if slice != fuelSlice {
		b.op(opFuel)
		b.uvarint(uint64(slice))
		b.emit()
	}
	return slice
}

func (b *tape) refuses(size uint64, granted bool) bool {
	if !granted {
		b.op(opRefused)
		b.uvarint(size)
		b.emit()
	}
	return !granted
}

// finish puts the end on the tape: how, and where the thread was that ran last.
func (b *tape) finish(g *Guest) error {
	r := g.Result()
	if b.last != nil {
		b.flush(b.last)
	}
	b.op(opFinish)
	b.outcome(r)
	if b.last != nil {
		b.position(b.last)
	} else {
		b.uvarint(0)
		b.uvarint(0)
	}
	b.emit()
	if b.hash != nil {
		if err := hashTrees(b.hash, g); err != nil {
			return fmt.Errorf("WithHash: %w", err)
		}
		g.mu.Lock()
		b.hash.Sum(g.result.Hash[:0])
		g.mu.Unlock()
	}
	if b.frames != nil {
		if err := b.frames.close(); err != nil {
			return fmt.Errorf("WithRecording: %w", err)
		}
	}
	return nil
}

// WriteMemory writes to the guest's memory while none of its exports runs, and has a recording know of it. Errors:
// EFAULT where the bytes do not lie in the memory; ErrBusy while an export runs.
func (g *Guest) WriteMemory(ptr uint32, b []byte) error {
	select {
	case g.calls <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-g.calls }()
	if err := memory.WriteAt(g.main.mod.Memory(), ptr, b); err != nil {
		return err
	}
	if g.border != nil {
		g.border.wrote(ptr, b)
	}
	return nil
}

// finishBorder ends the guest's border, once.
func (g *Guest) finishBorder() error {
	if g.border == nil {
		return nil
	}
	g.finished.Do(func() { g.borderErr = contained(func() error { return g.border.finish(g) }) })
	return g.borderErr
}
