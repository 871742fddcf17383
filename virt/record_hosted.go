package virt

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// hostedRow stands for all functions of the embedder's, in recorded and in what reads recordings.
const hostedRow = -1

// hosted records a call of a function of the embedder's.
func (b *tape) hosted(t *thread, f *hostFunction, stack []uint64) {
	x := &t.crossing
	b.flush(t)
	id, known := b.functions[f]
	if !known {
		id = uint64(len(b.functions))
		b.functions[f] = id
		b.op(opFunction)
		b.name(f.module)
		b.name(f.Name)
	}
	b.op(opHosted)
	b.uvarint(id)
	b.values(narrowed(stack, f.Params))
	b.emit()
	c := &recorded{row: hostedRow, begun: true, outer: x.call}
	x.call = c
	outer := t.view.Log()
	t.view.SetLog(&c.log)
	defer t.view.SetLog(outer)
	f.Call(&HostCall{t}, stack)
	if t.gone() {
		return
	}
	t.attach()
	b.running(t)
	b.op(opEnd)
	b.reads(t, c)
	b.values(narrowed(stack, f.Results))
	b.writes(&t.view, c.log.Writes)
	b.emit()
	x.call = c.outer
}

// narrowed are values without what an engine leaves beside those of 32 bits.
func narrowed(stack []uint64, types []api.ValueType) []uint64 {
	values := slices.Clone(stack[:len(types)])
	for i, t := range types {
		if t == i32 || t == api.ValueTypeF32 {
			values[i] &= math.MaxUint32
		}
	}
	return values
}

// hosted answers a call as the embedder's function did.
func (r *replayer) hosted(t *thread, f *hostFunction, stack []uint64) {
	params := narrowed(stack, f.Params)
	e, err := r.peek()
	switch {
	case t.guest.ended.Load():
		return
	case err != nil:
		r.fail(err)
		return
	case e.op == opFinish:
		r.stop(t, e, false)
	}
	if t.guest.ended.Load() {
		return
	}
	if e.op != opHosted || e.name != f.String() || !slices.Equal(e.values, params) {
		r.part(t, describeHosted(f.String(), params))
		return
	}
	r.take()
	if !r.during(t, hostedRow, nil) {
		return
	}
	a, ok := r.answered(t, hostedRow, func() string { return describeHosted(f.String(), params) })
	if !ok {
		return
	}
	if len(a.values) != len(f.Results) {
		r.fail(r.bad(fmt.Sprintf("%v answers %d values", f, len(a.values))))
		return
	}
	copy(stack, a.values)
}

// describeHosted tells of a call in one line.
func describeHosted(name string, params []uint64) string {
	texts := make([]string, len(params))
	for i, p := range params {
		texts[i] = fmt.Sprint(p)
	}
	return name + "(" + strings.Join(texts, ", ") + ")"
}
