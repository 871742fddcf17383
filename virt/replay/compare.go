package replay

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/internal/recording"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Divergence tells where two recordings diverge.
type Divergence struct {
	// Event is how many events both have in common.
	Event uint64
	// Before are the last events in common, one a line; A and B are what follows in each, first the
	// event that is different.
	Before, A, B []string
}

// String returns the divergence as a comparison of lines.
func (p *Divergence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the runs part after %d events\n", p.Event)
	for _, l := range p.Before {
		fmt.Fprintln(&b, "  "+l)
	}
	for _, l := range p.A {
		fmt.Fprintln(&b, "a "+l)
	}
	for _, l := range p.B {
		fmt.Fprintln(&b, "b "+l)
	}
	return b.String()
}

// Compare reads two recordings of virt.WithRecording and returns where they diverge, with up to
// context events before and after. It returns nil if they are the same. It does not compare times
// of the machine, which are not part of a run. Errors: an [*Error] for a damaged recording. A
// recording that was cut is compared as far as it goes.
func Compare(a, b io.Reader, context int) (*Divergence, error) {
	ra, err := newLineReader(a)
	if err != nil {
		return nil, fmt.Errorf("recording a: %w", err)
	}
	rb, err := newLineReader(b)
	if err != nil {
		return nil, fmt.Errorf("recording b: %w", err)
	}
	p := &Divergence{}
	if ra.header.Module != rb.header.Module {
		p.A, p.B = []string{"another module"}, []string{"another module"}
		return p, nil
	}
	if ra.header.Snapshot != rb.header.Snapshot {
		p.A, p.B = []string{"begins as another snapshot"}, []string{"begins as another snapshot"}
		return p, nil
	}
	for {
		la, erra := ra.next()
		lb, errb := rb.next()
		if erra != nil && errb != nil && errors.Is(erra, io.EOF) == errors.Is(errb, io.EOF) {
			return nil, errors.Join(ended("a", erra), ended("b", errb))
		}
		if erra == nil && errb == nil && la == lb {
			p.Event++
			if p.Before = append(p.Before, la); len(p.Before) > max(context, 0) {
				p.Before = p.Before[1:]
			}
			continue
		}
		if p.A, err = ra.rest(la, erra, context); err != nil {
			return nil, fmt.Errorf("recording a: %w", err)
		}
		if p.B, err = rb.rest(lb, errb, context); err != nil {
			return nil, fmt.Errorf("recording b: %w", err)
		}
		return p, nil
	}
}

func ended(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("recording %s: %w", name, err)
}

// lineReader reads a recording as lines of text that are the same exactly if the events are.
type lineReader struct {
	*recording.Reader
	header recording.Header
	thread uint32
	calls  map[uint32][]int // rows of the calls under way, by thread
	over   bool
}

func newLineReader(r io.Reader) (*lineReader, error) {
	l := &lineReader{calls: map[uint32][]int{}}
	var err error
	l.Reader, l.header, err = recording.NewReader(r, link.Table)
	return l, err
}

// rest returns the line and those that follow.
func (l *lineReader) rest(line string, err error, context int) (lines []string, _ error) {
	for err == nil && len(lines) <= context {
		lines = append(lines, line)
		line, err = l.next()
	}
	if err != nil && len(lines) == 0 {
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrCut) {
			return nil, err
		}
		lines = append(lines, "nothing more")
	}
	return lines, nil
}

// next returns the next event. At the end it answers io.EOF.
func (l *lineReader) next() (string, error) {
	if l.over {
		if err := l.AtEnd(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	e, err := l.Peek()
	if err != nil {
		return "", err
	}
	l.Take()
	line := fmt.Sprintf("thread %d: %s", l.thread, link.Describe(e))
	switch {
	case e.Call() && e.Op >= recording.Begin:
		l.calls[l.thread] = append(l.calls[l.thread], e.Row)
		return line + " …", nil
	case e.Call():
		text, err := l.answered(e.Row)
		return line + text, err
	case e.Op == recording.Hosted:
		l.calls[l.thread] = append(l.calls[l.thread], recording.HostedRow)
		return line + " …", nil
	case e.Op == recording.End:
		open := l.calls[l.thread]
		if len(open) == 0 {
			return "", l.Damaged("a call ends that has not begun")
		}
		r := open[len(open)-1]
		l.calls[l.thread] = open[:len(open)-1]
		text, err := l.answered(r)
		return fmt.Sprintf("thread %d: … %s%s", l.thread, link.Name(r), text), err
	case e.Op == recording.Switch:
		l.thread = e.To
	case e.Op == recording.Wrote:
		_, sum, err := l.content(e.At.Len)
		return fmt.Sprintf("%s (%08x)", line, sum), err
	case e.Op == recording.Finish:
		l.over = true
	}
	return line, nil
}

// answered tells what a call answered.
func (l *lineReader) answered(row int) (string, error) {
	a, err := l.Answer(row)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	switch {
	case row == recording.HostedRow:
		fmt.Fprintf(&b, " = %v", a.Values)
	case row >= link.Kernel:
		fmt.Fprintf(&b, " = %d", int32(a.Result))
	case row == link.Spawn && a.Result == 0:
		fmt.Fprintf(&b, " = thread %d", a.Spawned)
	default:
		fmt.Fprintf(&b, " = %v", wasip1.Errno(a.Result))
	}
	if len(a.Reads) > 0 {
		total := uint64(0)
		for _, r := range a.Reads {
			total += uint64(r.Len)
		}
		fmt.Fprintf(&b, ", read %d bytes (%08x)", total, a.Sum)
	}
	for range a.Following {
		at, err := l.Range()
		if err != nil {
			return "", err
		}
		start, sum, err := l.content(at.Len)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, ", wrote %d bytes at %#x: %s (%08x)", at.Len, at.Ptr, start, sum)
	}
	return b.String(), nil
}

// content reads n bytes, and tells how they begin and their checksum.
func (l *lineReader) content(n uint32) (start string, sum uint32, err error) {
	var head [16]byte
	known := 0
	for n > 0 {
		b, err := l.Window(int(min(n, 64<<10))) // may be less, where a frame ends
		if err != nil {
			return "", 0, err
		}
		known += copy(head[known:], b)
		sum = recording.Sum(sum, b)
		n -= uint32(len(b))
	}
	return fmt.Sprintf("% x", head[:known]), sum, nil
}
