package virt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/wasivirt/wasivirt/wasip1"
)

// TraceWriter is a Tracer that writes.
type TraceWriter struct {
	line func(b []byte, e *TraceEvent) []byte

	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

// TraceText writes a line a call, in the manner of strace:
//
//	path_open(3</data>, SYMLINK_FOLLOW, "a.txt", O_CREAT|O_TRUNC, 0x1fffffff, 0, 0) = 5  <12µs>
//
// Parameters that say where a number is to be stored are left out; the numbers are behind the "=". "[1] " before a line names a
// thread that is not the first, "2: " a guest that is not the Host's first.
func TraceText(w io.Writer) *TraceWriter { return &TraceWriter{w: w, line: textLine} }

// TraceJSON writes a JSON object a call, one a line. A string is one in JSON where it is UTF-8, else an object with its bytes in
// base64: {"base64":"/w=="}.
func TraceJSON(w io.Writer) *TraceWriter { return &TraceWriter{w: w, line: jsonLine} }

// Begin implements [Tracer].
func (t *TraceWriter) Begin(*TraceEvent) {}

// End implements [Tracer].
func (t *TraceWriter) End(e *TraceEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.buf = t.line(t.buf[:0], e)
		_, t.err = t.w.Write(t.buf)
	}
}

// Err returns the first error of the writer, after which nothing more was written.
func (t *TraceWriter) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func textLine(b []byte, e *TraceEvent) []byte {
	if e.Guest > 1 {
		b = fmt.Appendf(b, "%d: ", e.Guest)
	}
	if e.Thread != 0 {
		b = fmt.Appendf(b, "[%d] ", e.Thread)
	}
	b = append(append(b, e.Call...), '(')
	for i, a := range e.Args {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, a.Text...)
	}
	return fmt.Appendf(b, ") = %s  <%v>\n", e.answer(), e.Duration.Round(time.Microsecond))
}

// answer is what the call answered, as text.
func (e *TraceEvent) answer() string {
	switch {
	case e.Left:
		return "?"
	case e.Errno != wasip1.ESUCCESS:
		_, text, _ := strings.Cut(e.Errno.Error(), ": ")
		return e.Errno.Name() + " (" + text + ")"
	case e.Results == nil:
		return "0"
	}
	all := make([]string, len(e.Results))
	for i, r := range e.Results {
		all[i] = r.Text
	}
	return strings.Join(all, ", ")
}

func jsonLine(b []byte, e *TraceEvent) []byte {
	b = fmt.Appendf(b, `{"guest":%d,"program":`, e.Guest)
	b = appendJSON(b, e.Program)
	b = fmt.Appendf(b, `,"thread":%d,"call":%q,"args":`, e.Thread, e.Call)
	b = appendJSON(b, e.Args)
	if e.Left {
		b = append(b, `,"left":true`...)
	} else {
		b = fmt.Appendf(b, `,"errno":%q,"results":`, e.Errno.Name())
		b = appendJSON(b, e.Results)
	}
	return fmt.Appendf(b, `,"start_ns":%d,"duration_ns":%d}`+"\n", e.Start.Nanoseconds(), e.Duration.Nanoseconds())
}

// appendJSON adds a TraceValue's Value.
func appendJSON(b []byte, value any) []byte {
	switch v := value.(type) {
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []TraceValue:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendQuote(b, f.Name), ':')
			b = appendJSON(b, f.Value)
		}
		return append(b, '}')
	case [][]TraceValue:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, s)
		}
		return append(b, ']')
	}
	s := fmt.Sprint(value)
	if !utf8.ValidString(s) {
		b = append(b, `{"base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, `"}`...)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, "null"...) // a string can always be marshalled
	}
	return append(b, text...)
}

// TraceLog logs each call at a level: the function's name as the message, parameters and results as groups.
func TraceLog(l *slog.Logger, level slog.Level) Tracer { return traceLog{l, level} }

type traceLog struct {
	log   *slog.Logger
	level slog.Level
}

// Begin implements [Tracer].
func (traceLog) Begin(*TraceEvent) {}

// End implements [Tracer].
func (t traceLog) End(e *TraceEvent) {
	ctx := context.Background() // the guest's may have ended, and with it what a handler would look for there
	if !t.log.Enabled(ctx, t.level) {
		return
	}
	attrs := []slog.Attr{slog.Uint64("guest", e.Guest), slog.Uint64("thread", uint64(e.Thread)), group("args", e.Args)}
	if !e.Left {
		attrs = append(attrs, slog.String("errno", e.Errno.Name()), group("results", e.Results))
	}
	t.log.LogAttrs(ctx, t.level, e.Call, append(attrs, slog.Duration("duration", e.Duration))...)
}

func group(name string, values []TraceValue) slog.Attr {
	attrs := make([]slog.Attr, len(values))
	for i, v := range values {
		attrs[i] = slog.String(v.Name, v.Text)
	}
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}
