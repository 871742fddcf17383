package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs/faultfs"
)

// Kind is what a [Fault] does.
type Kind string

const (
	// Crash ends a node's guest and starts it again, with the files as they were.
	Crash Kind = "crash"
	// PowerLoss ends a node's guest, takes back what its disk had not made durable (see package
	// faultfs), and starts it again.
	PowerLoss Kind = "powerloss"
	// Pause stops a node's guest at its next call and lets it go on, as SIGSTOP and SIGCONT do.
	// Others see it as very slow.
	Pause Kind = "pause"
	// Jump moves a node's realtime clock, forwards or back. Monotonic time is not affected.
	Jump Kind = "jump"
	// Cut holds back what is sent between two nodes, or from one to the other, until the fault
	// ends.
	Cut Kind = "cut"
	// Slow adds latency, jitter and losses to a link.
	Slow Kind = "slow"
	// Reset breaks all connections between two nodes: ECONNRESET.
	Reset Kind = "reset"
	// Disk applies a rule of package faultfs to a node's disk.
	Disk Kind = "disk"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Crash, PowerLoss, Pause, Jump, Cut, Slow, Reset, Disk} }

// Fault is one thing that goes wrong.
type Fault struct {
	// Kind says what goes wrong.
	Kind Kind
	// Node is the node that has the fault. For a link, Node and Peer are its ends. OneWay restricts
	// Cut to what Node sends to Peer.
	Node, Peer string
	OneWay     bool
	// At is the time, since the start of the run, at which it begins. For is how long it lasts: how
	// long a node is down or paused, a link is cut or slow, or a rule holds for a disk (0: to the
	// end).
	At, For time.Duration
	// By is how far a clock jumps; less than 0 is back.
	By time.Duration
	// Latency and Jitter are what Slow adds to a link, Loss the probability with which packets are
	// lost.
	Latency, Jitter time.Duration
	Loss            float64
	// Rule is the rule of a Disk fault.
	Rule faultfs.Rule
}

// Plan is the faults of one run, ordered by [Fault].At.
type Plan []Fault

// String returns the fault as [ParseFault] reads it:
//
//	n1 node:at=1.2s:powerloss:for=300ms
//	n1 node:at=1s:pause:for=500ms
//	n3 node:at=1s:jump=-2s
//	n1-n2 link:at=2s:for=1s:cut
//	n1>n2 link:at=2s:for=1s:cut
//	n1-n2 link:at=2s:for=1s:delay=50ms:jitter=10ms:loss=0.1
//	n1-n2 link:at=3s:reset
//	n1 fd_write:/data/**:nth=3:EIO
//	n1 fd_write:*:ENOSPC at=1s:for=500ms
func (f Fault) String() string {
	fields := []string{}
	add := func(on bool, format string, v ...any) {
		if on {
			fields = append(fields, fmt.Sprintf(format, v...))
		}
	}
	if f.Kind == Disk {
		s := f.Node + " " + f.Rule.String()
		add(f.At > 0, "at=%v", f.At)
		add(f.For > 0, "for=%v", f.For)
		if len(fields) > 0 {
			s += " " + strings.Join(fields, ":")
		}
		return s
	}
	where := f.Node + " node"
	switch {
	case f.OneWay:
		where = f.Node + ">" + f.Peer + " link"
	case f.Peer != "":
		where = f.Node + "-" + f.Peer + " link"
	}
	add(true, "at=%v", f.At)
	switch f.Kind {
	case Jump:
		add(true, "jump=%v", f.By)
	case Slow:
		add(f.Latency > 0, "delay=%v", f.Latency)
		add(f.Jitter > 0, "jitter=%v", f.Jitter)
		add(f.Loss > 0, "loss=%s", strconv.FormatFloat(f.Loss, 'g', -1, 64))
	default:
		add(true, "%s", f.Kind)
	}
	add(f.For > 0, "for=%v", f.For)
	return where + ":" + strings.Join(fields, ":")
}

// String returns the faults as [ParsePlan] reads them, one a line.
func (p Plan) String() string {
	lines := make([]string, len(p))
	for i, f := range p {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// ParsePlan reads faults, one a line. Empty lines and lines that begin with # are left out.
func ParsePlan(text string) (Plan, error) {
	var plan Plan
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f, err := ParseFault(line)
		if err != nil {
			return nil, err
		}
		plan = append(plan, f)
	}
	plan.sort()
	return plan, nil
}

func (p Plan) sort() {
	slices.SortStableFunc(p, func(a, b Fault) int { return int(a.At - b.At) })
}

// ParseFault reads a fault in the form of [Fault.String]: a node or link, a space, and a rule as
// for [faultfs.ParseRule]. Nodes and links have the operations node and link, the conditions at=
// and for=, and the effects crash, powerloss, pause, jump=, cut, reset, delay=, jitter= and loss=.
// For disks, at= and for= follow the rule after a space.
func ParseFault(s string) (Fault, error) {
	f, err := parseFault(s)
	if err == nil {
		err = f.Validate()
	}
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", s, err)
	}
	return f, nil
}

func parseFault(s string) (f Fault, err error) {
	where, rule, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok {
		return f, errors.New("want NODE RULE, as in n1 node:at=1s:crash:for=200ms")
	}
	op, rest, _ := strings.Cut(rule, ":")
	switch op {
	case "node":
		f.Node = where
	case "link":
		i := strings.IndexAny(where, "->")
		if i < 0 {
			return f, errors.New("want two nodes, as in n1-n2 or n1>n2")
		}
		f.Node, f.Peer, f.OneWay = where[:i], where[i+1:], where[i] == '>'
	default:
		rule, window, _ := strings.Cut(rule, " ")
		f.Node, f.Kind = where, Disk
		if f.Rule, err = faultfs.ParseRule(rule); err != nil || window == "" {
			return f, err
		}
		rest = window
	}
	for field := range strings.SplitSeq(rest, ":") {
		if err := f.parseField(field); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *Fault) parseField(field string) error {
	key, value, _ := strings.Cut(field, "=")
	kind := Kind("")
	var err error
	switch key {
	case "at":
		f.At, err = time.ParseDuration(value)
	case "for":
		f.For, err = time.ParseDuration(value)
	case "jump":
		kind = Jump
		f.By, err = time.ParseDuration(value)
	case "delay":
		kind = Slow
		f.Latency, err = time.ParseDuration(value)
	case "jitter":
		kind = Slow
		f.Jitter, err = time.ParseDuration(value)
	case "loss":
		kind = Slow
		f.Loss, err = strconv.ParseFloat(value, 64)
	case "crash", "powerloss", "pause", "cut", "reset":
		kind = Kind(key)
		if value != "" {
			err = errors.New("takes no value")
		}
	default:
		return fmt.Errorf("unknown field %q: want at=, for=, crash, powerloss, pause, jump=, cut, reset, delay=, jitter= or loss=", field)
	}
	if err == nil && kind != "" {
		if f.Kind != "" && f.Kind != kind {
			err = fmt.Errorf("the fault is a %s already: write one rule for each", f.Kind)
		}
		f.Kind = kind
	}
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// Validate says what is wrong with a fault.
func (f Fault) Validate() error {
	link := f.Kind == Cut || f.Kind == Slow || f.Kind == Reset
	switch {
	case !slices.Contains(Kinds(), f.Kind):
		return errors.New("no effect: crash, powerloss, pause, jump=, cut, reset, delay=, jitter= or loss= is missing")
	case f.Node == "" || link != (f.Peer != ""):
		return fmt.Errorf("%s: want one node for node, two for link", f.Kind)
	case f.OneWay && f.Kind != Cut:
		return errors.New("one way: only cut has a direction")
	case f.At < 0 || f.For < 0 || f.Latency < 0 || f.Jitter < 0:
		return errors.New("negative time")
	case !(f.Loss >= 0 && f.Loss < 1):
		return errors.New("loss: want a probability below 1")
	case (f.Kind == Cut || f.Kind == Slow || f.Kind == Pause) && f.For == 0:
		return fmt.Errorf("%s: for= is missing", f.Kind)
	case f.Kind == Disk:
		return f.Rule.Validate()
	}
	return nil
}

// check says which fault names no node.
func (p Plan) check(nodes []string) error {
	for _, f := range p {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("fault %q: %w", f, err)
		}
		for _, name := range []string{f.Node, f.Peer} {
			if name != "" && !slices.Contains(nodes, name) {
				return fmt.Errorf("fault %q: there is no node %q; there are %s", f, name, strings.Join(nodes, ", "))
			}
		}
	}
	return nil
}
