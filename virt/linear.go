package virt

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// linear is the memory of an instance that is used by one thread at a time. It lets the Host reach
// the bytes without asking wazero, and refuse growth beyond the budgets of the guest and the Host.
//
// Its addresses are reserved once, for as much as the guest may have, so that growth copies
// nothing. Where the system has no addresses left, it begins with fewer and moves.
type linear struct {
	mapped *mapping.Mapping
	moved  []*mapping.Mapping // where it was before: host code may still look there
	limit  uint64             // of all memories of the guest together
	t      *thread            // whose view always shows mapped
}

var _ experimental.LinearMemory = (*linear)(nil)

// reserveLinear makes the memory of an instance, none of it in use yet.
func (g *Guest) reserveLinear(t *thread) error {
	m := linearMemory(t.module.info)
	if m == nil {
		return nil
	}
	least, most := m.Min*pageSize, uint64(math.MaxUint32+1)
	if m.HasMax {
		most = m.Max * pageSize
	}
	var shows *mapping.Image
	if g.origin != nil {
		shows = g.origin.image
	} else {
		shows = t.module.firstImage()
	}
	mapped, err := g.host.first().spares.get(shows, least, min(most, g.limit()))
	if err != nil {
		return fmt.Errorf("the module's memory: %w", err)
	}
	t.lin = &linear{mapped: mapped, limit: g.limit(), t: t}
	if g.origin == nil && shows != nil {
		if err := mapped.Show(shows); err != nil {
			return fmt.Errorf("the module's memory: %w", err)
		}
		return nil
	}
	if err := mapped.Grow(least); err != nil {
		return fmt.Errorf("the module's memory: %w", err)
	}
	if c := t.module.captured(); c != nil && g.origin == nil {
		for _, data := range c.Data {
			copy(mapped.Bytes()[data.Offset:], data.Bytes)
		}
	}
	return nil
}

// beginning is what the memory of each instance of a module holds at first, as an image that
// instances share until they write to it. It is made for the second instance: one alone is served
// sooner by copying.
type beginning struct {
	instances atomic.Int32
	once      sync.Once
	image     *mapping.Image // nil where there is little to copy, or no image could be made
}

// leastBeginning is from how many bytes of data on an image is made. Mapping it costs as much as
// copying a few pages.
const leastBeginning = 1 << 16

// firstImage is the image for one more instance, nil where data is copied.
func (c *compilation) firstImage() *mapping.Image {
	if c == nil {
		return nil // the embedder has compiled it
	}
	b := &c.beginning
	if c.report == nil || c.report.Capture == nil || b.instances.Add(1) < 2 {
		return nil
	}
	b.once.Do(func() {
		size := 0
		for _, data := range c.report.Capture.Data {
			size += len(data.Bytes)
		}
		if size < leastBeginning {
			return
		}
		if made, err := c.makeImage(); err == nil {
			b.image = made
		}
	})
	return b.image
}

func (c *compilation) makeImage() (*mapping.Image, error) {
	b, err := mapping.NewBuilder(linearMemory(c.info).Min * pageSize)
	if err != nil {
		return nil, err
	}
	for _, data := range ascending(c.report.Capture.Data) {
		if err := b.Write(data.Bytes, uint64(data.Offset)); err != nil {
			b.Discard()
			return nil, err
		}
	}
	return b.Image()
}

// ascending returns data by offset, in which order it is stored with few system calls. Data that
// lies over other data stays in the order in which the module writes it.
func ascending(data []wasmbin.Segment) []wasmbin.Segment {
	sorted := slices.Clone(data)
	slices.SortStableFunc(sorted, func(a, b wasmbin.Segment) int { return cmp.Compare(a.Offset, b.Offset) })
	end := uint64(0)
	for _, d := range sorted {
		if uint64(d.Offset) < end {
			return data
		}
		end = uint64(d.Offset) + uint64(len(d.Bytes))
	}
	return sorted
}

// closeImage gives the image back. There are no instances any more.
func (c *compilation) closeImage() error {
	img := c.beginning.image
	if img == nil {
		return nil
	}
	err := img.Close()
	_, e := c.host.spares.forget(img)
	return errors.Join(err, e)
}

// linearMemory returns the memory that the module defines and does not share, or nil.
func linearMemory(m *wasmbin.Module) *wasmbin.Memory {
	for i := range m.Memories {
		if !m.Memories[i].Shared && !m.Memories[i].Imported {
			return &m.Memories[i]
		}
	}
	return nil
}

// Reallocate implements [experimental.LinearMemory]. It returns nil where size is over the limit.
func (m *linear) Reallocate(size uint64) []byte {
	g := m.t.guest
	charged, all := g.charged, size+g.memoryBesides(m)
	granted := all <= m.limit && g.charge(all)
	if b := m.t.observer(); b != nil {
		granted = !b.refuses(size, granted)
	}
	if !granted {
		return nil
	}
	if m.grow(size) != nil {
		g.discharge(charged)
		return nil
	}
	g.usage.memory.Store(all)
	b := m.mapped.Bytes()
	m.t.view.Reset(b)
	return b
}

// memoryBesides is how large the guest's other memories are.
func (g *Guest) memoryBesides(m *linear) (size uint64) {
	if lin := g.main.lin; lin != nil && lin != m {
		size = uint64(len(lin.mapped.Bytes()))
	}
	for l := range g.instances {
		if lin := l.t.lin; lin != nil && lin != m {
			size += uint64(len(lin.mapped.Bytes()))
		}
	}
	return size
}

// grow makes the memory size bytes long.
func (m *linear) grow(size uint64) error {
	if size <= m.mapped.Cap() {
		return m.mapped.Grow(size)
	}
	next, err := m.t.guest.host.first().spares.get(nil, size, min(2*size, m.limit))
	if err != nil {
		return err
	}
	if err := next.Grow(size); err != nil {
		return err
	}
	copy(next.Bytes(), m.mapped.Bytes())
	m.moved = append(m.moved, m.mapped)
	err = m.mapped.Clear()
	m.mapped = next
	return err
}

// Free implements [experimental.LinearMemory]. It does nothing: wazero calls it when the instance
// is closed, which the embedder may do while the guest runs.
func (m *linear) Free() {}

// recycle gives the memory to the next guest. Nothing may run in the instance any more; what host
// code has of the instance finds its memory empty.
func (m *linear) recycle() error {
	if mod := m.t.mod; mod != nil {
		empty(mod.Memory())
	}
	m.t.view.Reset(nil)
	spares := &m.t.guest.host.first().spares
	budget := m.t.guest.host.budgets.memory
	err := spares.put(m.mapped, budget)
	for _, old := range m.moved {
		if e := spares.put(old, budget); e != nil {
			err = e
		}
	}
	m.mapped, m.moved = nil, nil
	return err
}

// empty makes a memory of wazero's one that holds nothing: what asks it later is told that
// everything is out of range.
func empty(mem api.Memory) {
	v := reflect.ValueOf(mem)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if buffer := v.Elem().FieldByName("Buffer"); buffer.IsValid() && buffer.CanSet() && buffer.Type() == reflect.TypeFor[[]byte]() {
		buffer.SetBytes(nil)
	}
}

// shrink makes a memory of wazero's b, which is shorter than it was. No code that uses it is under
// way.
func shrink(mem api.Memory, b []byte) bool {
	v := reflect.ValueOf(mem)
	if len(b) < pageSize || v.Kind() != reflect.Pointer || v.IsNil() {
		return false
	}
	buffer := v.Elem().FieldByName("Buffer")
	if !buffer.IsValid() || !buffer.CanSet() || buffer.Type() != reflect.TypeFor[[]byte]() {
		return false
	}
	// Growing by the last page makes the engine note base and length.
	buffer.SetBytes(b[:len(b)-pageSize])
	_, ok := mem.Grow(1)
	return ok
}
