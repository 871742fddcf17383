package trace

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Writer is a Tracer that writes.
type Writer struct {
	line func(b []byte, e *Event) []byte

	mu   sync.Mutex
	w    io.Writer
	left int64 // bytes until the limit
	buf  []byte
	err  error
}

// Text writes a line a call, in the manner of strace:
//
//	path_open(3</data>, SYMLINK_FOLLOW, "a.txt", O_CREAT|O_TRUNC, 0x1fffffff, 0, 0) = 5  <12µs>
//
// Parameters that say where a number is to be stored are left out; the numbers are behind the "=".
// "[1] " before a line names a thread that is not the first, "2: " a guest that is not the Host's
// first. "[fault fd_write:EIO]" behind the answer names the fault that made it.
func Text(w io.Writer) *Writer { return &Writer{w: w, line: textLine, left: DefaultLimit} }

// JSON writes a JSON object a call, one a line. A string is one in JSON where it is UTF-8, else an
// object with its bytes in base64: {"base64":"/w=="}.
func JSON(w io.Writer) *Writer { return &Writer{w: w, line: jsonLine, left: DefaultLimit} }

// Limit sets how many bytes the trace writes at most, and returns t; 0 is no limit. A call whose
// text does not fit ends the trace: nothing more is written, and Err returns [ErrLimit]. Default:
// [DefaultLimit].
func (t *Writer) Limit(bytes int64) *Writer {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = bytes
	if bytes <= 0 {
		t.left = math.MaxInt64
	}
	return t
}

// Begin implements [Tracer].
func (t *Writer) Begin(*Event) {}

// End implements [Tracer].
func (t *Writer) End(e *Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.buf = t.line(t.buf[:0], e)
		if t.left -= int64(len(t.buf)); t.left < 0 {
			t.err = ErrLimit
			return
		}
		_, t.err = t.w.Write(t.buf)
	}
}

// Err returns the first error of the writer, or ErrLimit. After it nothing more was written.
func (t *Writer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func textLine(b []byte, e *Event) []byte {
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

// answer is what the call answered, and the fault that made it answer so, as text.
func (e *Event) answer() string {
	if e.Fault != "" {
		return e.answered() + " [fault " + e.Fault + "]"
	}
	return e.answered()
}

func (e *Event) answered() string {
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

func jsonLine(b []byte, e *Event) []byte {
	b = fmt.Appendf(b, `{"guest":%d,"program":`, e.Guest)
	b = appendJSON(b, e.Program)
	b = fmt.Appendf(b, `,"thread":%d,"call":`, e.Thread)
	b = appendJSON(b, e.Call)
	b = append(b, `,"args":`...)
	b = appendJSON(b, e.Args)
	if e.Left {
		b = append(b, `,"left":true`...)
	} else {
		b = fmt.Appendf(b, `,"errno":%q,"results":`, e.Errno.Name())
		b = appendJSON(b, e.Results)
	}
	if e.Fault != "" {
		b = appendJSON(append(b, `,"fault":`...), e.Fault)
	}
	return fmt.Appendf(b, `,"start_ns":%d,"duration_ns":%d}`+"\n", e.Start.Nanoseconds(), e.Duration.Nanoseconds())
}

// appendJSON adds a Value's Value.
func appendJSON(b []byte, value any) []byte {
	switch v := value.(type) {
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []Value:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSON(b, f.Name), ':')
			b = appendJSON(b, f.Value)
		}
		return append(b, '}')
	case [][]Value:
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

// Log logs each call at a level: the function's name as the message, parameters and results as
// groups.
func Log(l *slog.Logger, level slog.Level) Tracer { return logTracer{l, level} }

type logTracer struct {
	log   *slog.Logger
	level slog.Level
}

// Begin implements [Tracer].
func (logTracer) Begin(*Event) {}

// End implements [Tracer].
func (t logTracer) End(e *Event) {
	ctx := context.Background() // the guest's may have ended, and with it what a handler would look for there
	if !t.log.Enabled(ctx, t.level) {
		return
	}
	attrs := []slog.Attr{slog.Uint64("guest", e.Guest), slog.Uint64("thread", uint64(e.Thread)), group("args", e.Args)}
	if !e.Left {
		attrs = append(attrs, slog.String("errno", e.Errno.Name()), group("results", e.Results))
	}
	if e.Fault != "" {
		attrs = append(attrs, slog.String("fault", e.Fault))
	}
	t.log.LogAttrs(ctx, t.level, e.Call, append(attrs, slog.Duration("duration", e.Duration))...)
}

func group(name string, values []Value) slog.Attr {
	attrs := make([]slog.Attr, len(values))
	for i, v := range values {
		attrs[i] = slog.String(v.Name, v.Text)
	}
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}
