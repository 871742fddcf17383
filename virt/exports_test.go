package virt

import (
	"context"
	"fmt"
	"testing"
)

// TestIdleStacksAreWithinWhatAThreadTook: the stacks that are kept for the next calls are together
// not larger than what a thread takes of the budget before it starts, whatever the calls made of
// them.
func TestIdleStacksAreWithinWhatAThreadTook(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithLimits(func(l *Limits) { l.Stack = 64 << 20 })).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	m, err := host.Compile(ctx, recursing(2*maxIdleExports))
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(ctx)
	for _, depth := range []uint64{10, 200, 800, 3000, 10} {
		for i := range 2 * maxIdleExports {
			if _, err := g.Call(ctx, fmt.Sprintf("f%d", i), depth); err != nil {
				t.Fatal(err)
			}
			kept := 0
			for _, f := range g.main.exports.idle {
				if f.fn != nil {
					size, _ := stackOf(f.fn)
					kept += size
				}
			}
			if kept > stackAtStart {
				t.Fatalf("after a call %d deep %d bytes are kept", depth, kept)
			}
		}
	}
}

// recursing is a module with the exports f0, f1 and so on, each of which calls itself as often as
// its argument says.
func recursing(n int) []byte {
	exports, bodies := []byte{byte(n)}, []byte{byte(n)}
	for i := range n {
		name := fmt.Sprintf("f%d", i)
		exports = append(append(append(exports, byte(len(name))), name...), 0, byte(i))
		// if the argument is not 0 it calls itself with one less
		body := []byte{0, 0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, byte(i), 0x0b, 0x0b}
		bodies = append(append(bodies, byte(len(body))), body...)
	}
	w := newWasm().section(1, 1, "\x60\x01\x7f\x00")
	return w.section(3, n, "\x00").raw(7, exports).raw(10, bodies)
}
