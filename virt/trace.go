package virt

import (
	"errors"
	"fmt"
	gopath "path"
	"slices"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/glob"
	"github.com/wasivirt/wasivirt/memory"
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

// TraceOption says what a trace shows.
type TraceOption func(*tracing) error

// TraceCalls shows the functions that match names only; see [WithMiddleware].
func TraceCalls(match string) TraceOption {
	return func(tr *tracing) (err error) { tr.match, err = selects(match); return err }
}

// TracePaths shows only calls that are about a file that one of the patterns matches; see [Call.Paths] and [Allow].
func TracePaths(patterns ...string) TraceOption {
	return func(tr *tracing) error { tr.paths = patterns; return glob.Check(patterns) }
}

// TraceErrnos shows only calls that answer one of the errnos, ESUCCESS included where it is given.
func TraceErrnos(errnos ...wasip1.Errno) TraceOption {
	return func(tr *tracing) error { tr.errnos = errnos; return nil }
}

// TraceErrors shows only calls that fail.
func TraceErrors() TraceOption {
	return func(tr *tracing) error { tr.failed = true; return nil }
}

// TraceBytes shows the first n bytes of content. Default: 32.
func TraceBytes(n int) TraceOption {
	return func(tr *tracing) error {
		if n < 0 {
			return fmt.Errorf("%d bytes of content are too few", n)
		}
		tr.bytes = min(n, MaxContent)
		return nil
	}
}

// TraceRealTime takes times from the machine's clock. Without it they are the Host's.
func TraceRealTime() TraceOption {
	return func(tr *tracing) error { tr.clock = clock.Real(); return nil }
}

// WithTrace shows the guest's calls to a Tracer, such as [trace.Text], [trace.JSON], [trace.Log] and [trace.Perfetto] make. It may be
// given several times.
func WithTrace(t trace.Tracer, opts ...TraceOption) GuestOption {
	tr := &tracing{tracer: t, bytes: 32}
	errs := []error{TraceCalls("*")(tr)}
	for _, o := range opts {
		errs = append(errs, o(tr))
	}
	if t == nil {
		errs = append(errs, errors.New("the Tracer is nil"))
	}
	err := errors.Join(errs...)
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
func traced(g *Guest, i int, next callFunc) (outer callFunc) {
	for _, tr := range g.config.control.traces {
		if tr.match[i] {
			next = tr.wrap(g, next)
			outer = next
		}
	}
	return outer
}

func (tr *tracing) wrap(g *Guest, next callFunc) callFunc {
	return func(t *thread, f *Function, p []uint64) (errno wasip1.Errno) {
		d := decoder{t: t, f: f, bytes: tr.bytes}
		d.p = append(d.raw[:0], p[:f.width()]...) // the call's own may be changed, or hold the result afterwards
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
		defer func() {
			e.Duration = tr.now(g) - e.Start
			if !e.Left {
				e.Errno, e.Left = errno, g.ended.Load()
			}
			if tr.shows(e.Errno) {
				d.answered(e)
				tr.tracer.End(e)
			}
		}()
		errno = next(t, f, p)
		e.Left = false
		return errno
	}
}

// name is the guest's argument 0.
func (g *Guest) name() string { return g.group.Name() }

// decoder decodes the parameters of one call.
type decoder struct {
	t     *thread
	f     *Function
	p     []uint64
	raw   [16]uint64
	bytes int
	view  memory.View
}

// look attaches the decoder's own View, so that what is read for a trace is not noted as read by the call.
func (d *decoder) look() {
	d.t.attach()
	d.view.Reset(d.t.view.Bytes())
}

// each calls f with each parameter and its place among the WebAssembly parameters.
func (d *decoder) each(f func(p Param, i int)) {
	i := 0
	for _, p := range d.f.Params {
		f(p, i)
		if i++; p.Kind.pair() {
			i++
		}
	}
}

// paths are what [Call.Paths] tells of the call.
func (d *decoder) paths() []string {
	d.look()
	var paths, fds []string
	dir, target, asked := "", "", false
	d.each(func(p Param, i int) {
		switch p.Kind {
		case KindFd:
			if dir, asked = d.t.pathOf(uint32(d.p[i])), true; dir != "" {
				fds = append(fds, dir)
			}
		case KindPath:
			s, ok := d.path(i)
			switch {
			case !ok:
			case !asked:
				target = s // what path_symlink stores, which counts from where the link will be
			default:
				link := gopath.Join(dir, s)
				paths = append(paths, link)
				if target != "" && !gopath.IsAbs(target) {
					target = gopath.Join(gopath.Dir(link), target)
				}
			}
		}
	})
	if target != "" {
		paths = append(paths, gopath.Clean(target))
	}
	if paths == nil {
		return fds
	}
	return paths
}

func (d *decoder) path(i int) (string, bool) {
	b, errno := d.view.Read(uint32(d.p[i]), min(uint32(d.p[i+1]), memory.MaxPath))
	return string(b), errno == wasip1.ESUCCESS
}
