package stdio

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// MaxLine is the length in bytes at which a [LineWriter] breaks a line.
const MaxLine = 64 << 10

// LineWriter is an io.Writer that splits what is written into lines. If a guest's last line has no
// end, it is passed on when the stream that [Writer] makes of the LineWriter is closed.
type LineWriter struct {
	mu     sync.Mutex
	part   []byte
	line   func(line []byte) error // without its "\n"
	direct bool
}

// Lines calls f with each line that is written, without its end ("\n" or "\r\n"). f is called on
// the goroutine that writes, which may be a guest's, and must not wait.
func Lines(f func(line string)) *LineWriter {
	return &LineWriter{direct: true, line: func(line []byte) error {
		f(string(bytes.TrimSuffix(line, []byte("\r"))))
		return nil
	}}
}

// Slog logs each line that is written as a record's message. The logger's handler must not wait
// for the guest.
func Slog(l *slog.Logger, level slog.Level, args ...any) *LineWriter {
	l = l.With(args...)
	return Lines(func(line string) { l.Log(context.Background(), level, line) })
}

// Prefix writes each line to w, with prefix before it, by one call of Write.
func Prefix(w io.Writer, prefix string) *LineWriter {
	var out []byte
	return &LineWriter{direct: doesNotWait(w), line: func(line []byte) error {
		out = append(append(append(out[:0], prefix...), line...), '\n')
		_, err := w.Write(out)
		return err
	}}
}

// Write passes on the lines that p completes.
func (l *LineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(p) {
		line, _, ended := bytes.Cut(p[n:], []byte("\n"))
		line = line[:min(len(line), MaxLine-len(l.part))]
		step := len(line)
		if step < len(p)-n && p[n+step] == '\n' {
			step++
		} else {
			ended = len(l.part)+len(line) == MaxLine
		}
		switch {
		case !ended:
			l.part = append(l.part, line...)
		case len(l.part) > 0:
			line = append(l.part, line...)
			l.part = line[:0]
			fallthrough
		default:
			if err := l.line(line); err != nil {
				return n, err
			}
		}
		n += step
	}
	return n, nil
}

// Close passes on a last line without an end. The writer can still be used.
func (l *LineWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) == 0 {
		return nil
	}
	line := l.part
	l.part = l.part[:0]
	return l.line(line)
}

func (l *LineWriter) waitless() bool { return l.direct }

// Tee writes everything to each of ws in turn, like [io.MultiWriter]. It waits only if one of them
// does.
func Tee(ws ...io.Writer) io.Writer {
	t := tee{w: io.MultiWriter(ws...), direct: true}
	for _, w := range ws {
		t.direct = t.direct && doesNotWait(w)
	}
	return t
}

type tee struct {
	w      io.Writer
	direct bool
}

func (t tee) Write(p []byte) (int, error) { return t.w.Write(p) }
func (t tee) waitless() bool              { return t.direct }

// doesNotWait reports whether w is known to be written without waiting.
func doesNotWait(w io.Writer) bool {
	switch w := w.(type) {
	case *bytes.Buffer, *strings.Builder:
		return true
	case *os.File:
		return neverWaits(w)
	}
	return w == io.Discard || waitless(w)
}
