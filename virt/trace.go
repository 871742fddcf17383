package virt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/glob"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// tracing is one WithTrace.
type tracing struct {
	tracer trace.Tracer
	match  selection
	paths  []string
	errnos []wasip1.Errno
	failed bool
	bytes  int
	clock  clock.Clock // nil: the Host's

	mu    sync.Mutex
	begun bool
	start int64
}

// WithTrace sends the guest's calls to a Tracer, such as those of trace.Text, trace.JSON, trace.Log
// and trace.Perfetto. Options select calls and details: trace.WithCalls and others. WithTrace may
// be given several times.
func WithTrace(t trace.Tracer, opts ...trace.Option) GuestOption {
	show := trace.Show{Calls: "*,*.*", Bytes: 32}
	for _, o := range opts {
		o(&show)
	}
	tr := &tracing{tracer: t, paths: show.Paths, errnos: show.Errnos, failed: show.Failed, bytes: min(show.Bytes, maxContent)}
	if show.RealTime {
		tr.clock = clock.Real()
	}
	match, err := selects(show.Calls)
	tr.match = match
	errs := []error{err, glob.Check(show.Paths)}
	if show.Bytes < 0 {
		errs = append(errs, fmt.Errorf("trace.WithBytes: %d is negative", show.Bytes))
	}
	if t == nil {
		errs = append(errs, errors.New("the Tracer is nil"))
	}
	err = errors.Join(errs...)
	return guestOption("WithTrace", func(c *config) error {
		c.control.traces = append(c.control.traces[:len(c.control.traces):len(c.control.traces)], tr)
		return err
	})
}

// now is the time since the trace began.
func (tr *tracing) now(g *Guest) time.Duration {
	k := tr.clock
	if k == nil {
		k = g.host.clock
	}
	at := k.Monotonic()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !tr.begun {
		tr.begun, tr.start = true, at
	}
	return time.Duration(at - tr.start)
}

// late reports whether what is shown depends on what a call answers.
func (tr *tracing) late() bool { return tr.failed || tr.errnos != nil }

func (tr *tracing) shows(errno wasip1.Errno) bool {
	if tr.failed && errno == wasip1.ESUCCESS {
		return false
	}
	return tr.errnos == nil || slices.Contains(tr.errnos, errno)
}

// traced is the layer of traces.
func traced(g *Guest, i int, f *function, next callFunc) (outer callFunc) {
	for _, tr := range g.config.control.traces {
		if tr.match.has(i, f) {
			next = tr.wrap(g, next)
			outer = next
		}
	}
	return outer
}

func (tr *tracing) wrap(g *Guest, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) (errno wasip1.Errno) {
		d := decoder{t: t, f: f, bytes: tr.bytes}
		d.p = append(d.raw[:0], p[:f.Width()]...) // the call's own may be changed, or hold the result afterwards
		if tr.paths != nil && !slices.ContainsFunc(d.paths(), func(p string) bool { return glob.MatchAny(tr.paths, p) }) {
			return next(t, f, p)
		}
		e := &trace.Event{Guest: g.usage.number, Program: g.name(), Thread: t.id(), Call: f.Name}
		e.Args = d.given()
		e.Start = tr.now(g)
		if !tr.late() {
			tr.tracer.Begin(e)
		}
		e.Left = true
		t.met = metFault{}
		defer func() {
			if t.met.f == f {
				e.Fault = t.met.rule
			}
			e.Duration = tr.now(g) - e.Start
			if !e.Left {
				e.Errno, e.Left = errno, g.ended.Load()
			}
			if tr.shows(e.Errno) {
				d.answered(e)
				if f.hosted != nil && !e.Left {
					e.Results = f.hosted.results(p)
				}
				tr.tracer.End(e)
			}
		}()
		errno = next(t, f, p)
		e.Left = false
		return errno
	}
}

// name is the guest's argument 0 as it is shown: guests choose the names of their children.
func (g *Guest) name() string { return g.group.Name() }

// decoder decodes the parameters of one call.
type decoder struct {
	t     *thread
	f     *function
	p     []uint64
	raw   [16]uint64
	bytes int
	view  memory.View
}

// look attaches the decoder's own View, so that what is read for a trace is not noted as read by
// the call.
func (d *decoder) look() {
	d.t.attach()
	d.view.Reset(d.t.view.Bytes())
}

// paths are what [Call.Paths] tells of the call.
func (d *decoder) paths() []string {
	d.look()
	s := d.f.subject(d.p, func(_ *abi.Param, at int) (string, bool) { return d.path(at) })
	return s.texts(d.t)
}

func (d *decoder) path(i int) (string, bool) {
	b, errno := d.view.Read(uint32(d.p[i]), min(uint32(d.p[i+1]), memory.MaxPath))
	return string(b), errno == wasip1.ESUCCESS
}
