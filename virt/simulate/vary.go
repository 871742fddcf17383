package simulate

import (
	"math/rand/v2"
	"slices"
	"time"
)

// variation is a plan that is being made of another.
type variation struct {
	*bounds
	rng  *rand.Rand
	plan Plan
	of   *varied
	with Plan // another, to be spliced with
}

// mutations are what a variation does to its plan; those that come several times do so more often.
// Each leaves the faults valid and within the bounds.
var mutations = [...]func(*variation){
	(*variation).add, (*variation).add, (*variation).add,
	(*variation).remove,
	(*variation).move, (*variation).move,
	(*variation).stretch,
	(*variation).retarget,
	(*variation).rename,
	(*variation).redraw,
	(*variation).again,
	(*variation).splice,
}

// vary returns a plan that differs from that of a run in one to six ways.
func (b *bounds) vary(rng *rand.Rand, of *varied, with Plan) Plan {
	v := &variation{bounds: b, rng: rng, plan: slices.Clone(of.plan), of: of, with: with}
	for range 1 + rng.IntN(6) {
		mutations[rng.IntN(len(mutations))](v)
	}
	for limit := max(b.most, len(of.plan)); len(v.plan) > limit; {
		v.remove()
	}
	v.plan.sort()
	return v.plan
}

// one returns one of the faults, or nil.
func (v *variation) one() *Fault {
	if len(v.plan) == 0 {
		return nil
	}
	return &v.plan[v.rng.IntN(len(v.plan))]
}

// moment returns a moment of the run that is varied, or a little before or after it: often one at
// which that run did something new.
func (v *variation) moment() (m moment) {
	if len(v.of.moments) == 0 {
		return moment{at: milliseconds(v.rng, v.length)}
	}
	from := v.of.moments[v.rng.IntN(len(v.of.moments))]
	if len(v.of.fresh) > 0 && v.rng.IntN(2) == 0 {
		from = v.of.fresh
	}
	m = from[v.rng.IntN(len(from))]
	switch v.rng.IntN(6) {
	case 0, 1: // then
	case 2:
		m.at += v.upTo(time.Millisecond)
	case 3:
		m.at += v.upTo(10 * time.Millisecond)
	case 4:
		m.at += v.upTo(100 * time.Millisecond)
	default:
		m.at -= v.upTo(10 * time.Millisecond)
	}
	m.at = v.within(m.at)
	return m
}

// within keeps a time within the run.
func (v *variation) within(at time.Duration) time.Duration { return min(max(at, 0), v.length) }

// upTo draws a time of less than d.
func (v *variation) upTo(d time.Duration) time.Duration {
	return time.Duration(v.rng.Int64N(int64(d)))
}

// add adds a fault, mostly at a moment of the run, and often where that was.
func (v *variation) add() {
	faults := v.draw(v.rng, v.kinds)
	if v.rng.IntN(4) > 0 {
		m := v.moment()
		here := len(faults) == 1 && v.rng.IntN(2) == 0
		for i := range faults {
			faults[i].At = m.at
			if here {
				faults[i].befalls(m.who, v.nodes)
			}
		}
		if v.rng.IntN(3) == 0 {
			v.until(v.moment().at, faults)
		}
	}
	v.plan = append(v.plan, faults...)
}

// befalls makes a node the one that the fault befalls. A name that is none has no effect.
func (f *Fault) befalls(name string, nodes []string) {
	if !slices.Contains(nodes, name) {
		return
	}
	if f.Peer == name {
		f.Peer = f.Node
	}
	f.Node = name
}

// remove takes one away.
func (v *variation) remove() {
	if len(v.plan) > 0 {
		i := v.rng.IntN(len(v.plan))
		v.plan = slices.Delete(v.plan, i, i+1)
	}
}

// move lets a fault begin at another time.
func (v *variation) move() {
	f := v.one()
	if f == nil {
		return
	}
	switch v.rng.IntN(4) {
	case 0: // a little
		f.At = v.within(f.At + v.upTo(20*time.Millisecond) - 10*time.Millisecond)
	case 1: // after another one, or at its end
		g := v.one()
		f.At = v.within(g.At + g.For + v.upTo(50*time.Millisecond))
	default:
		f.At = v.moment().at
	}
}

// stretch lets a fault last for another time.
func (v *variation) stretch() {
	f := v.one()
	if f == nil || f.For == 0 {
		return
	}
	switch v.rng.IntN(4) {
	case 0:
		f.For /= 2
	case 1:
		f.For *= 2
	case 2:
		f.For = milliseconds(v.rng, v.longest)
	default: // until something happens
		f.For = v.moment().at - f.At
	}
	f.For = v.lasting(f.For)
}

// lasting keeps how long a fault lasts within the bounds.
func (v *variation) lasting(d time.Duration) time.Duration {
	return min(max(d, time.Millisecond), max(v.longest, time.Millisecond))
}

// until lets faults that last end at a time, if they begin before it.
func (v *variation) until(at time.Duration, faults Plan) {
	for i := range faults {
		if f := &faults[i]; f.For > 0 && at > f.At {
			f.For = v.lasting(at - f.At)
		}
	}
}

// retarget lets a fault befall another node, or a link's other end or direction.
func (v *variation) retarget() {
	f := v.one()
	switch {
	case f == nil:
	case f.Peer != "" && v.rng.IntN(2) == 0:
		f.Node, f.Peer = f.Peer, f.Node
		f.OneWay = f.Kind == Cut && v.rng.IntN(2) == 0
	default:
		f.befalls(v.nodes[v.rng.IntN(len(v.nodes))], v.nodes)
	}
}

// rename lets two nodes change places in all faults.
func (v *variation) rename() {
	a, b := v.nodes[v.rng.IntN(len(v.nodes))], v.nodes[v.rng.IntN(len(v.nodes))]
	other := map[string]string{a: b, b: a}
	for i := range v.plan {
		f := &v.plan[i]
		if to, ok := other[f.Node]; ok {
			f.Node = to
		}
		if to, ok := other[f.Peer]; ok {
			f.Peer = to
		}
	}
}

// redraw lets something else go wrong at the same time: every other time something of the same
// kind.
func (v *variation) redraw() {
	f := v.one()
	if f == nil {
		return
	}
	kinds := v.kinds
	if v.rng.IntN(2) == 0 {
		kinds = []Kind{f.Kind}
	}
	drawn := v.draw(v.rng, kinds)
	if len(drawn) == 0 {
		return
	}
	g := drawn[len(drawn)-1]
	g.At = f.At
	g.befalls(f.Node, v.nodes)
	*f = g
}

// again lets a fault happen once more, at another time.
func (v *variation) again() {
	if f := v.one(); f != nil {
		g := *f
		g.At = v.moment().at
		v.plan = append(v.plan, g)
	}
}

// splice takes what goes wrong from some time on from another plan.
func (v *variation) splice() {
	at := v.moment().at
	v.plan = slices.DeleteFunc(v.plan, func(f Fault) bool { return f.At >= at })
	for _, f := range v.with {
		if f.At >= at {
			v.plan = append(v.plan, f)
		}
	}
}
