package virt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/internal/glob"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Fault makes calls go wrong: it says which calls, when, and how.
type Fault struct {
	// Calls are the functions, as in [WithMiddleware].
	Calls string
	// Path, where not "", is a pattern for the files that the call is about, as in [Allow].
	Path string

	// Nth, if not 0, selects the nth matching call, counted from 1 over all threads of the guest.
	Nth uint64
	// From, if not 0, selects the From-th matching call and all later ones.
	From uint64
	// Every, if not 0, selects each Every-th matching call.
	Every uint64
	// Probability, if not 0, selects each matching call with this probability, up to 1. The draw
	// depends on the Host's seed and the number of the call, so that a run can be repeated.
	Probability float64

	// Errno, if not ESUCCESS, is returned, and the call is not made.
	Errno wasip1.Errno
	// Short, where Shortens, is the most bytes that a read or write transfers.
	Short    uint64
	Shortens bool
	// Delay is how long the call waits on the Host's clock before anything else happens.
	Delay time.Duration

	match selection
}

// ParseFault reads a rule: CALL[:PATH][:WHEN]:WHAT[:WHAT]
//
//	path_open:/data/*:nth=3:EIO     the third path_open of a file in /data fails
//	fd_write:every=2:short=1        every other write transfers one byte
//	fd_*:p=0.01:EINTR               one call in a hundred, drawn from the seed
//	poll_oneoff:delay=10ms          all of them take longer
//
// WHEN is nth=N, from=N, every=N or p=PROBABILITY; without it every matching call fails. WHAT is
// the name of an errno, short=BYTES, or delay=DURATION.
//
// Of several rules, each counts calls by itself, without those that an earlier rule failed: the
// same rule with nth=1, given twice, fails the first two calls.
func ParseFault(rule string) (Fault, error) {
	calls, rest, more := strings.Cut(rule, ":")
	f := Fault{Calls: calls}
	var errs []error
	if _, err := selects(calls); err != nil {
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	if more {
		for part := range strings.SplitSeq(rest, ":") {
			what, err := f.parse(part)
			if err == nil && seen[what] {
				err = fmt.Errorf("a second %s", what)
			}
			if seen[what] = true; err != nil {
				errs = append(errs, fmt.Errorf("%q: %w", part, err))
			}
		}
	}
	if errs == nil {
		errs = append(errs, f.check())
	}
	if err := errors.Join(errs...); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", rule, err)
	}
	return f, nil
}

// parse reads one part of a rule, and says what it is.
func (f *Fault) parse(part string) (what string, err error) {
	key, value, assigned := strings.Cut(part, "=")
	if !assigned {
		return f.parseName(part)
	}
	switch key {
	case "nth":
		f.Nth, err = strconv.ParseUint(value, 10, 64)
		if err != nil || f.Nth == 0 {
			err = errors.New("want nth=N, a number from 1: calls are counted from 1")
		}
	case "from":
		f.From, err = strconv.ParseUint(value, 10, 64)
		if err != nil || f.From == 0 {
			err = errors.New("want from=N, a number from 1")
		}
	case "every":
		f.Every, err = strconv.ParseUint(value, 10, 64)
		if err != nil || f.Every == 0 {
			err = errors.New("want every=N, a number from 1")
		}
	case "p":
		f.Probability, err = strconv.ParseFloat(value, 64)
		if err != nil || !(f.Probability > 0 && f.Probability <= 1) {
			err = errors.New("want p=P, a probability from above 0 to 1, such as 0.01")
		}
	case "short":
		f.Short, err = strconv.ParseUint(value, 10, 32)
		f.Shortens = true
		if err != nil {
			err = errors.New("want short=N, a number of bytes below 2^32")
		}
	case "delay":
		f.Delay, err = time.ParseDuration(value)
		if err != nil || f.Delay <= 0 {
			err = errors.New("want delay=D, a time such as 10ms or 2s")
		}
	default:
		return f.parseName(part)
	}
	return key, err
}

// parseName reads a part of a rule that is an errno or a path.
func (f *Fault) parseName(part string) (what string, err error) {
	switch errno := errnoNamed(part); {
	case errno != wasip1.ESUCCESS:
		f.Errno = errno
		return "errno", nil
	case part != "" && strings.ContainsRune("/*<", rune(part[0])):
		f.Path = part
		return "path", nil
	}
	return part, errors.New("want an errno such as EIO, nth=N, from=N, every=N, p=P, short=N, delay=D, or a path that begins with /, * or <")
}

// errnoNamed returns the errno of a name, or ESUCCESS.
func errnoNamed(name string) wasip1.Errno {
	for e := wasip1.Errno(1); e.Valid(); e++ {
		if e.Name() == name {
			return e
		}
	}
	return wasip1.ESUCCESS
}

// String shows the Fault in the form that ParseFault reads.
func (f Fault) String() string {
	parts := []string{f.Calls}
	add := func(on bool, text string) {
		if on {
			parts = append(parts, text)
		}
	}
	add(f.Path != "", f.Path)
	add(f.Nth != 0, fmt.Sprintf("nth=%d", f.Nth))
	add(f.From != 0, fmt.Sprintf("from=%d", f.From))
	add(f.Every != 0, fmt.Sprintf("every=%d", f.Every))
	add(f.Probability != 0, "p="+strconv.FormatFloat(f.Probability, 'g', -1, 64))
	add(f.Delay != 0, "delay="+f.Delay.String())
	add(f.Shortens, fmt.Sprintf("short=%d", f.Short))
	add(f.Errno != wasip1.ESUCCESS, f.Errno.Name())
	return strings.Join(parts, ":")
}

// check completes the Fault, or says what is wrong with it.
func (f *Fault) check() (err error) {
	if f.match, err = selects(f.Calls); err != nil {
		return err
	}
	if err := glob.Check([]string{f.Path}); err != nil {
		return err
	}
	when := 0
	for _, given := range []bool{f.Nth != 0, f.From != 0, f.Every != 0, f.Probability != 0} {
		if given {
			when++
		}
	}
	switch {
	case when > 1:
		return errors.New("nth, from, every and p exclude each other")
	case !(f.Probability >= 0 && f.Probability <= 1):
		return fmt.Errorf("a probability is from 0 to 1, not %v", f.Probability)
	case f.Delay < 0:
		return fmt.Errorf("the delay %v is negative", f.Delay)
	case !f.Errno.Valid():
		return fmt.Errorf("there is no errno %d", f.Errno)
	case f.Errno == wasip1.ESUCCESS && !f.Shortens && f.Delay == 0:
		return errors.New("nothing goes wrong: give an errno, short=N or delay=D")
	}
	// A pattern may well name more than what it makes sense for.
	for i := range rows {
		f.match.rows[i] = f.match.rows[i] && !row(i).NoResult
	}
	if f.match.none() {
		return fmt.Errorf("%s never returns, so that nothing can go wrong with it", f.Calls)
	}
	for i := range rows {
		f.match.rows[i] = f.match.rows[i] && (!f.Shortens || row(i).transfers())
	}
	if f.match.none() {
		return fmt.Errorf("%s transfers no buffers that could be short", f.Calls)
	}
	return nil
}

// transfers reports whether the function reads into or writes from iovecs.
func (f *function) transfers() bool {
	return slices.ContainsFunc(f.Params, func(p abi.Param) bool { return p.Kind == abi.KindIovs || p.Kind == abi.KindCiovs })
}

// WithFaults makes calls go wrong. Faults act before policy and middleware see the call. Each Fault
// keeps its own count of matching calls in a guest. Calls that an earlier Fault failed are not
// counted.
func WithFaults(faults ...Fault) GuestOption {
	return guestOption("WithFaults", func(c *config) error {
		all := slices.Clone(c.control.faults)
		for _, f := range faults {
			if err := f.check(); err != nil {
				return fmt.Errorf("%v: %w", f, err)
			}
			all = append(all, f)
		}
		c.control.faults = all
		return nil
	})
}

// faultCounts are how many calls each fault has met, one for each fault of a guest.
type faultCounts []atomic.Uint64

// metFault is the rule that changed a thread's call of f.
type metFault struct {
	f    *function
	rule string
}

// handler makes the Fault, the guest's n-th.
func (f *Fault) handler(g *Guest, n int) Handler {
	if g.faulted == nil {
		g.faulted = make(faultCounts, len(g.config.control.faults))
	}
	count, seed := &g.faulted[n], uint64(n)*0x9e3779b97f4a7c15
	if s := g.host.config.seed; s != nil {
		seed += *s
	}
	fault, rule := *f, f.String()
	return func(c *Call) wasip1.Errno {
		if fault.Path != "" && !slices.ContainsFunc(c.Paths(), func(p string) bool { return glob.Match(fault.Path, p) }) {
			return c.Next()
		}
		if !fault.due(count.Add(1), seed) {
			return c.Next()
		}
		defer func() { c.t.met = metFault{c.f, rule} }() // last, after calls that the guest makes meanwhile
		if fault.Delay > 0 {
			if err := c.Sleep(fault.Delay); err != nil {
				return wasip1.ECANCELED
			}
		}
		if fault.Errno != wasip1.ESUCCESS {
			return fault.Errno
		}
		if fault.Shortens {
			c.limit(fault.Short)
		}
		return c.Next()
	}
}

// due reports whether the n-th call that matches goes wrong.
func (f *Fault) due(n, seed uint64) bool {
	switch {
	case f.Nth != 0:
		return n == f.Nth
	case f.From != 0:
		return n >= f.From
	case f.Every != 0:
		return n%f.Every == 0
	case f.Probability != 0:
		return float64(mix(seed+n*0x9e3779b97f4a7c15)>>11)/(1<<53) < f.Probability
	}
	return true
}

// mix is the finalizer of SplitMix64: a well-mixed number for each number.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
