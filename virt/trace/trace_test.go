package trace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

func ExampleText() {
	t := trace.Text(os.Stdout)
	t.End(&trace.Event{Guest: 1, Call: "path_open",
		Args:    []trace.Value{{Name: "dir", Text: "3</>"}, {Name: "path", Text: `"a.txt"`}},
		Results: []trace.Value{{Name: "fd", Text: "5"}}, Duration: 12 * time.Microsecond})
	t.End(&trace.Event{Guest: 1, Thread: 2, Call: "path_unlink_file", Errno: wasip1.ENOENT,
		Args: []trace.Value{{Name: "dir", Text: "3</>"}, {Name: "path", Text: `"b.txt"`}}, Duration: 3 * time.Microsecond})
	// Output:
	// path_open(3</>, "a.txt") = 5  <12µs>
	// [2] path_unlink_file(3</>, "b.txt") = ENOENT (no such file or directory)  <3µs>
}

// events feeds a Tracer with n calls.
func events(t trace.Tracer, n int) {
	for i := range n {
		e := &trace.Event{Guest: 1, Program: "a\x1b[2J", Call: "say \"\x1b\x00\"", Args: []trace.Value{{Name: "what\n", Text: fmt.Sprint(i), Value: uint64(i)}}}
		t.Begin(e)
		t.End(e)
	}
}

func TestALimitEndsATrace(t *testing.T) {
	var text, lines, file bytes.Buffer
	w, j, p := trace.Text(&text).Limit(100), trace.JSON(&lines).Limit(400), trace.Perfetto(&file).Limit(1000)
	for _, tracer := range []trace.Tracer{w, j, p} {
		events(tracer, 1000)
	}
	if !errors.Is(w.Err(), trace.ErrLimit) || !errors.Is(j.Err(), trace.ErrLimit) || !errors.Is(p.Close(), trace.ErrLimit) {
		t.Errorf("errors %v, %v, %v, want %v", w.Err(), j.Err(), p.Close(), trace.ErrLimit)
	}
	if text.Len() == 0 || text.Len() > 100 || lines.Len() == 0 || lines.Len() > 400 || file.Len() < 500 || file.Len() > 1010 {
		t.Errorf("traces of %d, %d and %d bytes", text.Len(), lines.Len(), file.Len())
	}
	var all []any
	if err := json.Unmarshal(file.Bytes(), &all); err != nil || len(all) < 3 {
		t.Errorf("%d events, %v", len(all), err)
	}
}

func TestAnyNameIsJSON(t *testing.T) {
	var lines, file bytes.Buffer
	j, p := trace.JSON(&lines), trace.Perfetto(&file)
	events(j, 3)
	events(p, 3)
	if err := errors.Join(j.Err(), p.Close()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %q", line)
		}
	}
	if !json.Valid(file.Bytes()) {
		t.Errorf("no JSON: %q", file.String())
	}
}

func TestAnEmptyPerfettoTraceIsAnArray(t *testing.T) {
	var file bytes.Buffer
	if err := trace.Perfetto(&file).Close(); err != nil || !json.Valid(file.Bytes()) {
		t.Errorf("%q, %v", file.String(), err)
	}
	if err := trace.Perfetto(io.Discard).Limit(1).Close(); err != nil {
		t.Error(err)
	}
}

func TestALimitOfZeroIsNone(t *testing.T) {
	var text, lines, file bytes.Buffer
	w, j, p := trace.Text(&text).Limit(0), trace.JSON(&lines).Limit(0), trace.Perfetto(&file).Limit(0)
	for _, tracer := range []trace.Tracer{w, j, p} {
		e := &trace.Event{Call: "fd_close"}
		tracer.Begin(e)
		tracer.End(e)
	}
	if err := errors.Join(w.Err(), j.Err(), p.Close()); err != nil || text.Len() == 0 || lines.Len() == 0 || !strings.Contains(file.String(), "fd_close") {
		t.Errorf("%v, wrote %q, %q and %q", err, &text, &lines, &file)
	}
}
