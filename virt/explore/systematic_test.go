package explore_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// code assembles a function of WebAssembly.
type code []byte

func (c *code) op(bytes ...byte) { *c = append(*c, bytes...) }

// i32 is i32.const of a small number.
func (c *code) i32(n int) {
	c.op(0x41)
	for ; n >= 64; n >>= 7 {
		c.op(byte(n) | 0x80)
	}
	c.op(byte(n))
}

// section is a section, or anything else that has its size before it.
func section(id int, body []byte) []byte {
	var out []byte
	if id >= 0 {
		out = append(out, byte(id))
	}
	for n := len(body); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, body...)
}

// The cells of generated programs: what threads race for, where they leave what they have seen, and
// how many are done.
const (
	cells   = 2
	results = 64
	done    = 128
)

// generated is a program whose threads each take a few random steps: loads, stores, atomics, waits
// and notifies of two cells, and calls. The last one ends the program with what all have seen as
// its code.
func generated(rng *rand.Rand, threads, steps int) (wasm []byte, text string) {
	var body code
	for t := range threads {
		body.op(0x20, 1) // the thread's number
		body.i32(t)
		body.op(0x46, 0x04, 0x40) // i32.eq, if
		text += fmt.Sprintf("thread %d:", t)
		see := func() { // local 2 is what it has seen
			body.op(0x20, 2)
			body.i32(7)
			body.op(0x6c, 0x6a, 0x21, 2) // i32.mul, i32.add
		}
		for range 1 + rng.IntN(steps) {
			cell := 8 * rng.IntN(cells)
			switch kind := rng.IntN(10); kind {
			case 0, 1, 2:
				body.i32(cell)
				body.op(0x28, 2, 0)
				see()
				text += fmt.Sprintf(" load %d", cell)
			case 3, 4, 5:
				body.i32(cell)
				body.i32(1 + rng.IntN(3))
				body.op(0x36, 2, 0)
				text += fmt.Sprintf(" store %d", cell)
			case 6:
				body.i32(cell)
				body.i32(1)
				body.op(0xfe, 0x1e, 2, 0) // i32.atomic.rmw.add
				see()
				text += fmt.Sprintf(" add %d", cell)
			case 7:
				body.i32(cell)
				body.i32(1)
				body.op(0xfe, 0x00, 2, 0) // notify
				see()
				text += fmt.Sprintf(" notify %d", cell)
			case 8:
				body.i32(cell)
				body.i32(1 + rng.IntN(2))
				body.op(0x42, 0x7f, 0xfe, 0x01, 2, 0) // i64.const -1, wait32
				see()
				text += fmt.Sprintf(" wait %d", cell)
			case 9:
				body.op(0x10, 2, 0x1a) // sched_yield, drop
				text += " yield"
			}
		}
		body.i32(results + 4*t)
		body.op(0x20, 2, 0x36, 2, 0, 0x0b) // store, end
		text += "\n"
	}
	// Who is last tells what all have seen.
	body.i32(done)
	body.i32(1)
	body.op(0xfe, 0x1e, 2, 0)
	body.i32(threads - 1)
	body.op(0x46, 0x04, 0x40)
	body.i32(0)
	body.op(0x28, 2, 0)
	for t := range threads {
		body.i32(61)
		body.op(0x6c)
		body.i32(results + 4*t)
		body.op(0x28, 2, 0, 0x6a)
	}
	body.op(0x10, 1, 0x0b, 0x0b)
	thread := append([]byte{1, 1, 0x7f}, body...) // one local

	var start code
	start.op(0) // no locals
	for t := range threads - 1 {
		start.i32(t + 1)
		start.op(0x10, 0, 0x1a)
	}
	start.i32(0)
	start.i32(0)
	start.op(0x10, 4)
	start.i32(256)
	start.i32(0)
	start.op(0x42, 0x7f, 0xfe, 0x01, 2, 0, 0x1a, 0x0b) // wait for what nobody does

	name := func(s string) []byte { return section(-1, []byte(s)) }
	imports := slices.Concat([]byte{4},
		name("wasi"), name("thread-spawn"), []byte{0, 0},
		name("wasi_snapshot_preview1"), name("proc_exit"), []byte{0, 1},
		name("wasi_snapshot_preview1"), name("sched_yield"), []byte{0, 4},
		name("env"), name("memory"), []byte{2, 3, 1, 1})
	exports := slices.Concat([]byte{2}, name("_start"), []byte{0, 3}, name("wasi_thread_start"), []byte{0, 4})
	types := []byte{5, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0, 0x60, 0, 0, 0x60, 2, 0x7f, 0x7f, 0, 0x60, 0, 1, 0x7f}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(2, imports), section(3, []byte{2, 2, 3}),
		section(7, exports), section(10, slices.Concat([]byte{2}, section(-1, start), section(-1, thread)))), text
}

// ended is how a report tells ends apart: all deadlocks are one.
func ended(r *virt.Result) string {
	if r.Outcome == virt.Deadlocked {
		return "deadlock"
	}
	return r.String()
}

// everyOutcome runs a program with every choice that a scheduler can make.
func everyOutcome(t *testing.T, wasm []byte, most int) (outcomes []string, runs int) {
	first, err := virt.NewBuilder(virt.Deterministic(0), virt.WithAccessSwitches()).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(context.Background())
	m, err := first.Compile(t.Context(), wasm)
	if err != nil {
		t.Fatalf("%v\n%x", err, wasm)
	}
	found := map[string]bool{}
	for queue := [][]uint32{nil}; len(queue) > 0; runs++ {
		begun := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if runs == most {
			return nil, runs
		}
		var made []uint32
		var of []int
		host, err := first.Sibling(virt.Deterministic(0), virt.WithMaxThreads(8), virt.WithScheduler(sched.NewSeeded(sched.SeededConfig{
			Strategy: sched.RunToBlock(0), Choices: begun, OnSwitch: func(s sched.Switch) {
				if s.Of > 1 && s.To.Ended() == nil {
					made, of = append(made, s.Choice), append(of, s.Of)
				}
			}})))
		if err != nil {
			t.Fatal(err)
		}
		result, err := host.RunModule(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		found[ended(result)] = true
		for at := len(begun); at < len(made); at++ {
			for k := range uint32(of[at]) {
				if k != made[at] {
					queue = append(queue, append(slices.Clone(made[:at]), k))
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), runs
}

// A systematic exploration of a small program finds every outcome that running all of its schedules
// finds, with fewer runs.
func TestReductionLosesNoOutcome(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tried, all, reduced := 0, 0, 0
	for n := uint64(0); tried < int(seeds(10, 100)); n++ {
		shape := [...][2]int{{2, 3}, {2, 4}, {3, 1}}[n%3]
		wasm, text := generated(rng, shape[0], shape[1])
		want, runs := everyOutcome(t, wasm, int(seeds(3_000, 10_000)))
		if want == nil {
			continue // too many
		}
		report, err := explore.Run(t.Context(), explore.Config{Wasm: wasm, Systematic: true, ShrinkRuns: -1})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var got []string
		for _, o := range report.Outcomes {
			got = append(got, ended(o.Result))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || !report.Proof.Complete {
			t.Fatalf("%v, of %d schedules; outcomes (-all +reduced):\n%s\n%s", report.Proof, runs, diff, text)
		}
		tried++
		all += runs
		reduced += report.Runs
	}
	t.Logf("%d programs: %d schedules, reduced to %d", tried, all, reduced)
	if 3*reduced > all {
		t.Errorf("%d schedules of %d were run: nothing was saved", reduced, all)
	}
}
