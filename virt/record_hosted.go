package virt

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

// hosted records a call of a function of the embedder's.
func (b *recorder) hosted(t *thread, f *hostFunction, stack []uint64, call func()) {
	x := t.record
	b.flush(t)
	id, known := b.functions[f]
	if !known {
		id = uint64(len(b.functions))
		b.functions[f] = id
		b.Function(f.module, f.Name)
	}
	b.Hosted(id, narrowed(stack, f.Params))
	c := &recorded{t: t, row: recording.HostedRow, begun: true, outer: x.call}
	x.call = c
	outer := t.view.Log()
	t.view.SetLog(&c.log)
	defer t.view.SetLog(outer)
	call()
	b.tellPrinted(t)
	if t.gone() {
		return
	}
	t.attach()
	b.running(t)
	b.answered(t, c, &recording.Answer{Values: narrowed(stack, f.Results)})
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
func (r *replayer) hosted(t *thread, f *hostFunction, stack []uint64, _ func()) {
	params := narrowed(stack, f.Params)
	e, err := r.Peek()
	switch {
	case t.guest.ended.Load():
		return
	case err != nil:
		r.fail(err)
		return
	case e.Op == recording.Finish:
		r.stop(t, e, false)
	}
	if t.guest.ended.Load() {
		return
	}
	if e.Op != recording.Hosted || e.Name != f.String() || !slices.Equal(e.Values, params) {
		r.part(t, describeHosted(f.String(), params))
		return
	}
	r.Take()
	if !r.during(t, recording.HostedRow, nil) {
		return
	}
	a, ok := r.answered(t, recording.HostedRow, func() string { return describeHosted(f.String(), params) })
	if !ok {
		return
	}
	if len(a.Values) != len(f.Results) {
		r.fail(r.Damaged(fmt.Sprintf("%v answers %d values", f, len(a.Values))))
		return
	}
	copy(stack, a.Values)
}

// describeHosted tells of a call in one line.
func describeHosted(name string, params []uint64) string {
	texts := make([]string, len(params))
	for i, p := range params {
		texts[i] = fmt.Sprint(p)
	}
	return name + "(" + strings.Join(texts, ", ") + ")"
}
