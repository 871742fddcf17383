package simulate

import (
	"math/bits"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// signature is what a run did that is compared with other runs.
type signature struct {
	features []happened // in the order of their first times
	has      map[feature]bool
	counts   map[feature]*counted
	groups   int
	doing    map[string]doing
	active   []active
}

// feature is something that a run does. Its fields depend on what it is.
type feature struct {
	what  featureKind
	who   string
	kind  Kind
	from  string
	to    string
	errno wasip1.Errno
	state state
	count int
	lived int
}

type featureKind uint8

const (
	// featureLine is a line that somebody writes, after the one before, so many times.
	featureLine featureKind = iota
	// featureCall is a call of WASI by a node, after the one before, with its answer.
	featureCall
	// featureDuring is a line that somebody writes while certain faults hold.
	featureDuring
	// featureHit is what a node was doing when a fault befell it: its last two calls, or its last
	// line.
	featureHit
	// featureTogether is a fault while certain others hold.
	featureTogether
	// featureLife is how many calls a node had made when it crashed, and when it crashed before.
	featureLife
	// featureStart is a node's start while certain faults hold.
	featureStart
)

// happened is a feature with its first moment. Features that differ only in how often something
// happened are of one group.
type happened struct {
	feature
	moment
	group int
}

// deed reports whether it is something that a node or a client did, for the first time in the run,
// rather than how often or under which faults.
func (f feature) deed() bool {
	return f.count == 1 && (f.what == featureLine || f.what == featureCall)
}

// moment is a time, and who did something then.
type moment struct {
	at  time.Duration
	who string
}

// doing is what a node or a client did last.
type doing struct {
	line, call, before string
	calls, lived       int // since it started, and when it crashed before
}

// active is a fault that holds until a time.
type active struct {
	*Fault
	until time.Duration
}

// state is the set of kinds of faults that hold, as one of all sees it: 8 bits for those that
// befall itself, above them 8 for those that befall others.
type state uint16

// The bounds of what is kept, because guests decide it: how many features of a run, how many bytes
// of a line.
const (
	maxFeatures = 1 << 12
	maxShape    = 64
)

func newSignature() *signature {
	return &signature{has: map[feature]bool{}, counts: map[feature]*counted{}, doing: map[string]doing{}}
}

// counted is how often something happened, and the group of its features.
type counted struct{ times, group int }

// add notes a feature that is a group by itself.
func (s *signature) add(f feature, at time.Duration) {
	if !s.has[f] && len(s.features) < maxFeatures {
		s.has[f] = true
		s.features = append(s.features, happened{f, moment{at, f.who}, s.groups})
		s.groups++
	}
}

// count notes a feature when it has happened once, twice, four times, and so on.
func (s *signature) count(f feature, at time.Duration) {
	c := s.counts[f]
	if c == nil {
		if len(s.features) >= maxFeatures {
			return
		}
		c = &counted{group: s.groups}
		s.groups++
		s.counts[f] = c
	}
	if c.times++; c.times&(c.times-1) == 0 && len(s.features) < maxFeatures {
		f.count = c.times
		s.features = append(s.features, happened{f, moment{at, f.who}, c.group})
	}
}

// state tells which faults hold for one of all.
func (s *signature) state(who string, now time.Duration) (set state) {
	for _, a := range s.active {
		if a.until <= now {
			continue
		}
		bit := state(1)
		for _, k := range Kinds() {
			if k == a.Kind {
				break
			}
			bit <<= 1
		}
		if a.Node != who && a.Peer != who {
			bit <<= 8
		}
		set |= bit
	}
	return set
}

// line notes an event of a node or a client.
func (s *signature) line(e Event) {
	d := s.doing[e.Who]
	shape := shapeOf(e)
	s.count(feature{what: featureLine, who: e.Who, from: d.line, to: shape}, e.At)
	s.add(feature{what: featureDuring, who: e.Who, to: shape, state: s.state(e.Who, e.At)}, e.At)
	d.line = shape
	s.doing[e.Who] = d
}

// shapeOf is the beginning of an event without its numbers; an operation without its value.
func shapeOf(e Event) string {
	if e.key != "" {
		verb, _, _ := strings.Cut(e.What, " ")
		if strings.Contains(e.What, ", and gets no answer") {
			verb += " in vain"
		}
		return verb + " " + e.key
	}
	var b strings.Builder
	number := false
	for _, c := range e.What[:min(len(e.What), maxShape)] {
		digit := '0' <= c && c <= '9'
		switch {
		case !digit:
			b.WriteRune(c)
		case !number:
			b.WriteByte('#')
		}
		number = digit
	}
	return b.String()
}

// fault notes that a fault begins.
func (s *signature) fault(f *Fault, now time.Duration) {
	who := f.Node
	d := s.doing[who]
	s.add(feature{what: featureHit, who: who, kind: f.Kind, from: d.before, to: d.call}, now)
	s.add(feature{what: featureHit, who: who, kind: f.Kind, from: d.line}, now)
	s.add(feature{what: featureTogether, who: who, kind: f.Kind, state: s.state(who, now)}, now)
	if f.Kind == Crash || f.Kind == PowerLoss {
		s.add(feature{what: featureLife, who: who, lived: bits.Len(uint(d.lived)), count: bits.Len(uint(d.calls))}, now)
		d.lived = d.calls
		s.doing[who] = d
	}
	a := active{Fault: f, until: now + f.For}
	if f.For == 0 && (f.Kind == Jump || f.Kind == Disk) {
		a.until = time.Duration(1<<63 - 1)
	}
	s.active = append(s.active, a)
}

// starts notes that a node starts.
func (s *signature) starts(node string, now time.Duration) {
	d := s.doing[node]
	s.add(feature{what: featureStart, who: node, from: d.line, state: s.state(node, now)}, now)
	d.call, d.before, d.calls = "", "", 0
	s.doing[node] = d
}

// watch returns what tells of a node's calls, other than those that only look at the clock, draw
// numbers or yield.
func (w *World) watch(node string) virt.GuestOption {
	return virt.WithMiddleware("*,!clock,!random,!sched", func(c *virt.Call) wasip1.Errno {
		s := w.signature
		if w.over {
			return c.Next()
		}
		d := s.doing[node]
		before := d.call
		d.before, d.call, d.calls = before, c.Name(), d.calls+1
		s.doing[node] = d
		errno := c.Next()
		if !w.over {
			s.count(feature{what: featureCall, who: node, from: before, to: c.Name(), errno: errno}, w.Now())
		}
		return errno
	})
}
