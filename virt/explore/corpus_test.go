package explore_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// program is one of the corpus: C code with a planted bug, and its corrected twin.
type program struct {
	name, class string
	model       sched.MemoryModel // by which it is wrong
	timed       bool              // needs late timers, which a systematic exploration does not have
	ordered     bool              // the corrected twin is right as long as plain accesses keep their order
}

// fuel is plenty for the programs, and keeps a livelock short.
const fuel = 400_000

const (
	tso     = sched.TotalStoreOrder
	relaxed = sched.Relaxed
)

// corpus are programs of the classes of concurrency bugs that the literature names.
var corpus = []program{
	{name: "race_counter", class: "data race"},
	{name: "torn_read", class: "torn read"},
	{name: "lost_update", class: "atomicity violation"},
	{name: "check_act", class: "atomicity violation"},
	{name: "stale_read", class: "atomicity violation"},
	{name: "total", class: "atomicity violation"},
	{name: "refcount", class: "reference count"},
	{name: "order_violation", class: "order violation"},
	{name: "use_before_init", class: "order violation"},
	{name: "use_after_free", class: "use after free"},
	{name: "depth_four", class: "depth of four"},
	{name: "deadlock_mutexes", class: "deadlock of two locks"},
	{name: "deadlock_three", class: "deadlock of three locks"},
	{name: "deadlock_condition", class: "deadlock with a condition"},
	{name: "missed_wakeup", class: "lost wakeup"},
	{name: "signal_one", class: "signal in place of broadcast"},
	{name: "if_not_while", class: "wait without looking again"},
	{name: "timed_wait", class: "timeout taken for the event", timed: true},
	{name: "sleep_sync", class: "sleep as synchronization", timed: true},
	{name: "aba", class: "ABA"},
	{name: "double_checked", class: "double-checked locking", ordered: true},
	{name: "lazy_init", class: "made twice"},
	{name: "publication", class: "publication", ordered: true},
	{name: "reader_writer", class: "readers and writers"},
	{name: "flag_lock", class: "mutual exclusion"},
	{name: "ticket_lock", class: "mutual exclusion"},
	{name: "semaphore", class: "semaphore"},
	{name: "barrier_reuse", class: "barrier used twice"},
	{name: "ring_buffer", class: "producers and consumers"},
	{name: "shutdown", class: "end of a worker"},
	{name: "missed_value", class: "livelock"},
	{name: "store_buffer", class: "store buffer", model: tso},
	{name: "peterson", class: "store buffer", model: tso},
	{name: "message_passing", class: "message passing", model: relaxed},
	{name: "plain_reader", class: "message passing", model: relaxed},
}

// wasm reads a program.
func (p program) wasm(tb testing.TB, suffix string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", p.name+suffix+".wasm"))
	if err != nil {
		return bare(tb, p.name+suffix)
	}
	return wasm
}

// failing returns what a report says of runs that failed: the lowest seed and their number.
func failing(r *explore.Report) (seed uint64, runs int) {
	for _, o := range r.Outcomes {
		if o.Result.Success() {
			continue
		}
		if runs == 0 || o.Seed < seed {
			seed = o.Seed
		}
		runs += o.Seeds
	}
	return seed, runs
}

func run(tb testing.TB, c explore.Config) *explore.Report {
	tb.Helper()
	report, err := explore.Run(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// Each program's bug is found by default within 1,000 seeds, by a systematic exploration where that
// knows what it needs, and in no run of the corrected program.
func TestCorpus(t *testing.T) {
	for _, p := range corpus {
		t.Run(p.name, func(t *testing.T) {
			config := explore.Config{Wasm: p.wasm(t, ""), First: 1, Last: seeds(200, 1000), ShrinkRuns: -1, MemoryModel: p.model, Fuel: fuel}
			report := run(t, config)
			if _, n := failing(report); n == 0 {
				config.Last = 1000
				if _, n = failing(run(t, config)); n == 0 {
					t.Error("no seed found the bug")
				}
			}
			config.Wasm, config.Last, config.Fuel = p.wasm(t, "_fixed"), seeds(100, 10_000), 0
			if fixed := run(t, config); !fixed.Clean() {
				var text strings.Builder
				_ = fixed.Write(&text, nil)
				t.Errorf("the corrected program: not every seed exits with 0\n%s", text.String())
			}
			if p.model != sched.SequentialConsistency || p.timed {
				return
			}
			search := explore.Config{Wasm: p.wasm(t, ""), Systematic: true, MaxSchedules: 250, ShrinkRuns: -1, Fuel: fuel}
			for {
				report = run(t, search)
				search.State = report.State
				if _, n := failing(report); n > 0 || report.Proof.Complete || report.Proof.Schedules > 2000 {
					break
				}
			}
			if _, n := failing(report); n == 0 {
				t.Errorf("systematic: %v, none of which fails", report.Proof)
			}
			fixed := run(t, explore.Config{Wasm: p.wasm(t, "_fixed"), Systematic: true, MaxSchedules: int(seeds(200, 5000)), ShrinkRuns: -1})
			if !fixed.Clean() {
				t.Errorf("systematic, the corrected program: %v, and some fail", fixed.Proof)
			}
		})
	}
}

// TestGuidedTable prints docs/exploration.md's table of what varying runs that do something new
// brings: of 10 campaigns of 1,000 runs, how many find the bug, and in which share of the runs.
func TestGuidedTable(t *testing.T) {
	if os.Getenv("WASIVIRT_FULL") == "" {
		t.Skip("takes minutes: set WASIVIRT_FULL")
	}
	const campaigns, runs = 10, 1000
	var b strings.Builder
	b.WriteString("| program | seeds | guided |\n|---|---|---|\n")
	for _, p := range corpus {
		fmt.Fprintf(&b, "| %s |", p.name)
		for _, guided := range []bool{false, true} {
			k, err := explore.NewCampaign(t.Context(), explore.Config{Wasm: p.wasm(t, ""), Guided: guided, ShrinkRuns: -1, MemoryModel: p.model, Fuel: fuel})
			if err != nil {
				t.Fatal(err)
			}
			found, failed := 0, 0
			for i := range uint64(campaigns) {
				report, err := k.Run(t.Context(), 1+i*runs, (i+1)*runs)
				if err != nil {
					t.Fatal(err)
				}
				if _, n := failing(report); n > 0 {
					found++
					failed += n
				}
			}
			if err := k.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, " %d of %d, %.1f%% |", found, campaigns, 100*float64(failed)/campaigns/runs)
		}
		b.WriteByte('\n')
	}
	t.Logf("\n%s", b.String())
}

// TestCorpusTable prints docs/exploration.md's table: for each strategy and program the first seed
// that finds the bug, and the share of seeds that do.
func TestCorpusTable(t *testing.T) {
	if os.Getenv("WASIVIRT_FULL") == "" {
		t.Skip("takes a minute: set WASIVIRT_FULL")
	}
	strategies := map[string]sched.Strategy{
		"portfolio": explore.Portfolio(), "uniform": sched.Uniform(), "block:0.25": sched.RunToBlock(0.25), "block:0.06": sched.RunToBlock(1.0 / 16),
		"pct:3": sched.Scaled(3, 1<<14), "pos": sched.POS(),
	}
	names := slices.Sorted(maps.Keys(strategies))
	var b strings.Builder
	fmt.Fprintf(&b, "| program | class | %s | systematic | corrected |\n|---|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)+2))
	for _, p := range corpus {
		fmt.Fprintf(&b, "| %s | %s |", p.name, p.class)
		for _, name := range names {
			seed, n := failing(run(t, explore.Config{Wasm: p.wasm(t, ""), First: 1, Last: 1000, ShrinkRuns: -1, MemoryModel: p.model, Strategy: strategies[name], Fuel: fuel}))
			if n == 0 {
				b.WriteString(" - |")
			} else {
				fmt.Fprintf(&b, " %d, %.1f%% |", seed, float64(n)/10)
			}
		}
		for _, suffix := range []string{"", "_fixed"} {
			if p.model != sched.SequentialConsistency || p.timed {
				b.WriteString(" not applicable |")
				continue
			}
			r := run(t, explore.Config{Wasm: p.wasm(t, suffix), Systematic: true, MaxSchedules: 3000, ShrinkRuns: -1, Fuel: fuel})
			_, n := failing(r)
			fmt.Fprintf(&b, " %d of %d fail", n, r.Proof.Schedules)
			if r.Proof.Complete {
				b.WriteString(", proved")
			}
			b.WriteString(" |")
		}
		b.WriteByte('\n')
	}
	t.Logf("\n%s", b.String())
}
