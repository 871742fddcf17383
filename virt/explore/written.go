package explore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// maxFollowed is the size of accesses whose bytes a story follows. Larger ones are those of calls
// that may touch all memory.
const maxFollowed = 4096

// view is a place in memory as a thread accesses it.
type view struct {
	thread     uint32
	addr, size uint64
}

// usedBytes tells of each byte whether several threads access it and one of them writes.
type usedBytes map[uint64]usedByte

type usedByte struct {
	thread          uint32
	several, writes bool
}

// shared notes which bytes threads share. Accesses of different sizes may share bytes.
func (t *teller) shared() usedBytes {
	uses := usedBytes{}
	for i := range t.all {
		h := &t.all[i]
		if h.turn != nil || h.Size > maxFollowed {
			continue
		}
		for addr := h.Addr; addr < h.Addr+h.Size; addr++ {
			u, used := uses[addr]
			if !used {
				u.thread = h.Thread
			}
			u.several = u.several || u.thread != h.Thread
			u.writes = u.writes || h.Op.Writes()
			uses[addr] = u
		}
	}
	return uses
}

// of reports whether an access is to something that threads share.
func (u usedBytes) of(h *happened) bool {
	if h.Size > maxFollowed {
		return false
	}
	for addr := h.Addr; addr < h.Addr+h.Size; addr++ {
		if b := u[addr]; b.several && b.writes {
			return true
		}
	}
	return false
}

// writes tells of each byte who wrote it last.
type writes struct {
	bytes map[uint64]writtenByte
	count int
}

type writtenByte struct {
	thread uint32
	number int // of the write, in order
	step   int // where the story tells of it; 0 if it does not
	value  byte
	known  bool         // value is
	other  *writtenByte // the last write before it by another thread
}

// lastWrite is who wrote somewhere last, what, and where the story tells of it.
type lastWrite struct {
	thread uint32
	value  uint64
	step   int
}

// put notes a write, of which the story tells in a step.
func (w *writes) put(h *happened, step int) {
	if !h.Op.Writes() {
		return
	}
	if h.Size > maxFollowed {
		clear(w.bytes)
		return
	}
	w.count++
	for i := range h.Size {
		b := writtenByte{thread: h.Thread, number: w.count, step: step, known: h.known && i < 8}
		if before, ok := w.bytes[h.Addr+i]; ok && before.thread != h.Thread {
			before.other = nil // one is looked at
			b.other = &before
		} else {
			b.other = before.other
		}
		if b.known {
			b.value = byte(h.after >> (8 * i))
		}
		w.bytes[h.Addr+i] = b
	}
}

// last returns the last write of one of the bytes that an access reads, and what all writes have
// left there.
func (w *writes) last(h *happened) (last lastWrite, written bool) {
	return w.find(h, func(b writtenByte) (writtenByte, bool) { return b, true })
}

// lastBut is last without the writes of a thread that nobody has written over.
func (w *writes) lastBut(thread uint32, h *happened) (last lastWrite, written bool) {
	return w.find(h, func(b writtenByte) (writtenByte, bool) {
		if b.thread == thread && b.other != nil {
			return *b.other, true
		}
		return b, b.thread != thread
	})
}

func (w *writes) find(h *happened, which func(writtenByte) (writtenByte, bool)) (last lastWrite, written bool) {
	number := 0
	last.value = h.before
	for i := range min(h.Size, 8) {
		b, ok := w.bytes[h.Addr+i]
		if ok {
			b, ok = which(b)
		}
		if !ok {
			continue
		}
		if b.known {
			last.value = last.value&^(0xff<<(8*i)) | uint64(b.value)<<(8*i)
		}
		if b.number > number {
			number, last.thread, last.step, written = b.number, b.thread, b.step, true
		}
	}
	return last, written
}

// lastAt tells who wrote last where a thread waits: the last other thread, because one that waits
// for a lock has most often written there itself.
func (s *Story) lastAt(t sched.Info, w *writes) string {
	at := &happened{Access: trace.Access{Addr: t.On, Size: waitSize(t.Op)}}
	last, ok := w.last(at)
	other, others := w.lastBut(t.Thread, at)
	switch {
	case !ok || last.step == 0 || last.thread == t.Thread && !others:
		return ""
	case last.thread == t.Thread:
		return fmt.Sprintf(", where %s wrote %s before it did", s.name(other.thread), number(other.value))
	}
	return fmt.Sprintf(", where %s wrote %s last", s.name(last.thread), number(last.value))
}

// waitSize is how many bytes a wait looks at.
func waitSize(op string) uint64 {
	if strings.HasSuffix(op, "64") {
		return 8
	}
	return 4
}

// maxClosing is how many accesses are told because they come last.
const maxClosing = 3

// closing returns the last accesses of the thread that ended the program: loads of what it has not
// written itself, because another thread should have, and atomic updates. They tell why the program
// ended so, and are told even if no other thread has accessed the place.
func (t *teller) closing(n *names) map[int]bool {
	closing := map[int]bool{}
	if t.result == nil || t.result.Success() {
		return closing
	}
	if _, dead := errors.AsType[*sched.DeadlockError](t.result.Err); dead {
		return closing
	}
	var thread uint32
	for i := range t.all {
		if h := &t.all[i]; h.turn == nil {
			thread = h.Thread
		}
	}
	own := map[uint64]bool{}
	for i := range t.all {
		if h := &t.all[i]; h.turn == nil && h.Thread == thread && h.Op.Writes() && h.Size <= maxFollowed {
			for k := range h.Size {
				own[h.Addr+k] = true
			}
		}
	}
	for i := len(t.all) - 1; i >= 0 && len(closing) < maxClosing; i-- {
		h := &t.all[i]
		if h.turn != nil || h.Thread != thread || h.Op == trace.AccessLoad && own[h.Addr] || h.Op != trace.AccessLoad && h.Op != trace.AccessUpdate {
			continue
		}
		p := n.place(h.At)
		library := strings.HasPrefix(p.function, "__") || p.line == "" && n.hasLines()
		if h.At != 0 && !library && (p.function == "_start" || !slices.Contains(harness, p.function)) {
			closing[i] = true
		}
	}
	return closing
}

// stops says where the thread stops from which the i-th event, a switch, takes the turn.
func (t *teller) stops(i int) string {
	turn := t.all[i].turn
	if turn.Point == sched.PointWait {
		for k := i - 1; k >= 0; k-- {
			if h := &t.all[k]; h.turn == nil && h.Thread == turn.From {
				if h.Op == trace.AccessCall {
					return "waits in " + h.Call
				}
				break
			}
		}
	}
	return stopped(turn.Point)
}
