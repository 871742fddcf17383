package trace

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// PerfettoWriter writes a trace that ui.perfetto.dev and chrome://tracing open. Make one with
// [Perfetto].
type PerfettoWriter struct {
	mu     sync.Mutex
	w      io.Writer
	err    error
	left   int64 // bytes until the limit
	full   bool  // the limit was reached
	buf    []byte
	begun  bool
	closed bool
	last   time.Duration
	tracks map[track]struct{} // whose names were written lately
	open   map[track][]*Event // those whose begin was written, and whose end was not
}

// maxTracks is how many tracks are known to have their names in the file. Guests may have any
// number of threads one after the other. A name that is written again does no harm.
const maxTracks = 1 << 12

type track struct {
	guest  uint64
	thread uint32
	all    bool // the guest itself
}

// Perfetto writes the JSON array format of Chrome's traces: a process a guest, a track a thread, an
// event a call. Events are written as they happen, in the order of time; a file that was not closed
// can be opened all the same.
func Perfetto(w io.Writer) *PerfettoWriter {
	return &PerfettoWriter{w: w, left: DefaultLimit, tracks: map[track]struct{}{}, open: map[track][]*Event{}}
}

// Limit sets how many bytes the trace writes at most, the end of the array aside, and returns t; 0
// is no limit. An event that does not fit ends the trace: Close still writes a file that can be
// opened, and returns [ErrLimit]. Default: [DefaultLimit].
func (t *PerfettoWriter) Limit(bytes int64) *PerfettoWriter {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = bytes
	if bytes <= 0 {
		t.left = math.MaxInt64
	}
	return t
}

// Begin implements [Tracer].
func (t *PerfettoWriter) Begin(e *Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin(e)
	k := track{e.Guest, e.Thread, false}
	t.open[k] = append(t.open[k], e)
}

// End implements [Tracer].
func (t *PerfettoWriter) End(e *Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := track{e.Guest, e.Thread, false}
	if open := t.open[k]; len(open) > 1 && open[len(open)-1] == e {
		t.open[k] = open[:len(open)-1]
	} else if len(open) == 1 && open[0] == e {
		delete(t.open, k) // its thread may have no other
	} else {
		// It is known only now that the call is to be shown. Others of its track may have been
		// written meanwhile, whose times must not be undercut.
		t.begin(e)
	}
	t.event("E", e, e.Start+e.Duration, func(b []byte) []byte {
		b = append(b, `,"args":{"result":`...)
		b = appendJSON(b, e.answer())
		for _, a := range e.Args {
			b = append(appendJSON(append(b, ','), a.Name), ':')
			b = appendJSON(b, a.Text)
		}
		return append(b, '}')
	})
}

// begin writes the begin of a call and, where they come for the first time, its process and thread.
func (t *PerfettoWriter) begin(e *Event) {
	t.name(track{e.Guest, 0, true}, "process_name", fmt.Sprintf("%s (guest %d)", e.Program, e.Guest))
	t.name(track{e.Guest, e.Thread, false}, "thread_name", fmt.Sprintf("thread %d", e.Thread))
	t.event("B", e, e.Start, func(b []byte) []byte {
		b = append(b, `,"args":{`...)
		for i, a := range e.Args {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSON(b, a.Name), ':')
			b = appendJSON(b, a.Text)
		}
		return append(b, '}')
	})
}

func (t *PerfettoWriter) name(k track, what, name string) {
	if _, ok := t.tracks[k]; ok || t.full {
		return
	}
	if len(t.tracks) == maxTracks {
		clear(t.tracks)
	}
	t.tracks[k] = struct{}{}
	t.write(func(b []byte) []byte {
		b = fmt.Appendf(b, `{"ph":"M","name":%q,"pid":%d,"tid":%d,"args":{"name":`, what, k.guest, k.thread)
		return append(appendJSON(b, name), "}}"...)
	})
}

// event writes one event. Times are in microseconds.
func (t *PerfettoWriter) event(phase string, e *Event, at time.Duration, more func([]byte) []byte) {
	t.last = max(t.last, at)
	t.write(func(b []byte) []byte {
		b = appendJSON(fmt.Appendf(b, `{"ph":%q,"name":`, phase), e.Call)
		b = fmt.Appendf(b, `,"cat":"wasi","pid":%d,"tid":%d,"ts":%d.%03d`,
			e.Guest, e.Thread, t.last/time.Microsecond, t.last%time.Microsecond)
		return append(more(b), '}')
	})
}

func (t *PerfettoWriter) write(element func([]byte) []byte) {
	if t.err != nil || t.closed || t.full {
		return
	}
	start := ",\n"
	if !t.begun {
		start = "[\n"
	}
	t.buf = element(append(t.buf[:0], start...))
	if t.left -= int64(len(t.buf)); t.left < 0 {
		t.full = true
		return
	}
	t.begun = true
	_, t.err = t.w.Write(t.buf)
}

// Close writes the end of calls that have not returned, and of the array, and returns the first
// error of the writer, or [ErrLimit]. Later events are not written.
func (t *PerfettoWriter) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.err != nil {
		return t.err
	}
	if !t.begun {
		_, t.err = io.WriteString(t.w, "[")
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.open), func(a, b track) int {
		return cmp.Or(cmp.Compare(a.guest, b.guest), cmp.Compare(a.thread, b.thread))
	}) {
		for _, e := range slices.Backward(t.open[k]) {
			t.event("E", e, t.last, func(b []byte) []byte { return b })
		}
	}
	t.closed = true
	if t.err == nil {
		_, t.err = io.WriteString(t.w, "\n]\n")
	}
	if t.err == nil && t.full {
		t.err = ErrLimit
	}
	return t.err
}
