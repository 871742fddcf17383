package explore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// bare reads one of the guests below virt/testdata/bare.
func bare(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join("..", "testdata", "bare", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// seeds is how many seeds a test explores: many where WASIVIRT_FULL is set.
func seeds(few, many uint64) uint64 {
	if os.Getenv("WASIVIRT_FULL") != "" {
		return many
	}
	return few
}

// The guests have a bug that one strategy alone misses: a thread that has to be slow, an order of
// five steps, a sleep in the place of synchronization. Each is found within 1000 seeds by default,
// and the corrected guest is clean.
func TestThePortfolioFindsWhatOneStrategyMisses(t *testing.T) {
	for _, name := range []string{"order_violation", "depth_four", "sleep_sync", "check_act"} {
		t.Run(name, func(t *testing.T) {
			report := explored(t, explore.Config{Wasm: bare(t, name), First: 1, Last: 1000, ShrinkRuns: -1})
			found := false
			for _, o := range report.Outcomes {
				found = found || o.What == "exit 1" && len(o.By) > 0
			}
			if !found {
				t.Error("no seed found the bug")
			}
			fixed := explored(t, explore.Config{Wasm: bare(t, name+"_fixed"), First: 1, Last: seeds(200, 10_000), ShrinkRuns: -1})
			if !fixed.Clean() {
				t.Error("the corrected guest: not every seed exits with 0")
			}
		})
	}
}

func TestSystematicExploration(t *testing.T) {
	var reports []string
	for _, workers := range []int{1, 2} {
		proved := explored(t, explore.Config{Wasm: bare(t, "depth_four_fixed"), Systematic: true, Workers: workers})
		if p := proved.Proof; p == nil || !p.Complete || p.Schedules < 2 || !proved.Clean() {
			t.Errorf("%d workers: %v of a small guest, want a proof", workers, p)
		}
		found := explored(t, explore.Config{Wasm: bare(t, "depth_four"), Systematic: true, Workers: workers})
		if p := found.Proof; !p.Complete || found.Clean() || p.Schedules > 500 {
			t.Errorf("%v of a guest with a bug of depth four", p)
		}
		var text strings.Builder
		if err := found.Write(&text, nil); err != nil {
			t.Fatal(err)
		}
		reports = append(reports, text.String())
	}
	if diff := cmp.Diff(reports[0], reports[1]); diff != "" {
		t.Errorf("two workers report something else (-one +two):\n%s", diff)
	}
	far := explored(t, explore.Config{Wasm: bare(t, "race_counter"), Systematic: true, MaxSchedules: 500, ShrinkRuns: -1})
	if p := far.Proof; p.Complete || p.Known == 0 || far.Clean() {
		t.Errorf("%v of a guest with more schedules", p)
	}
}

// A search that is stopped and gone on with finds what one finds that is not.
func TestSystematicExplorationGoesOn(t *testing.T) {
	at := explore.Config{Wasm: bare(t, "depth_four"), Systematic: true, ShrinkRuns: -1}
	want := explored(t, at)
	at.MaxSchedules = 50
	var got *explore.Report
	for range 10 {
		if got = explored(t, at); got.Proof.Complete {
			break
		}
		at.State = got.State
	}
	if !got.Proof.Complete || got.Proof.Schedules != want.Proof.Schedules || len(got.Outcomes) != len(want.Outcomes) {
		t.Errorf("%v and %d outcomes, want %v and %d", got.Proof, len(got.Outcomes), want.Proof, len(want.Outcomes))
	}
	for i, o := range got.Outcomes {
		if w := want.Outcomes[i]; o.What != w.What || o.Seeds != w.Seeds {
			t.Errorf("%v, want %v", o, w)
		}
	}
	at.Wasm = bare(t, "race_counter")
	if _, err := explore.Run(t.Context(), at); err == nil {
		t.Error("the state of another module was taken")
	}
}

// Two threads that look before either sees the other's store: only store buffers let that happen,
// and atomics prevent it.
func TestStoreBuffers(t *testing.T) {
	found := explored(t, explore.Config{Wasm: bare(t, "store_buffer"), First: 1, Last: 1000, MemoryModel: sched.TotalStoreOrder})
	if found.Clean() || found.Outcomes[len(found.Outcomes)-1].What != "exit 1" {
		t.Error("no seed found what store buffers do")
	}
	for name, model := range map[string]sched.MemoryModel{"store_buffer": sched.SequentialConsistency, "store_buffer_fixed": sched.TotalStoreOrder} {
		clean := explored(t, explore.Config{Wasm: bare(t, name), First: 1, Last: seeds(500, 10_000), ShrinkRuns: -1, MemoryModel: model})
		if !clean.Clean() {
			t.Errorf("%s: not every seed exits with 0", name)
		}
	}
	for _, name := range []string{"race_counter_fixed", "deadlock_mutexes_fixed", "missed_wakeup_fixed", "check_act_fixed", "depth_four_fixed"} {
		if !explored(t, explore.Config{Wasm: bare(t, name), First: 1, Last: seeds(100, 10_000), ShrinkRuns: -1, MemoryModel: sched.TotalStoreOrder}).Clean() {
			t.Errorf("%s: not every seed exits with 0", name)
		}
	}
}

// Messages that are passed by plain accesses: stores that change places lose them, and loads that
// do. Atomics prevent both, and where stores keep their order nothing is wrong.
func TestRelaxed(t *testing.T) {
	for _, name := range []string{"message_passing", "plain_reader"} {
		wasm, fixed := program{name: name}.wasm(t, ""), program{name: name}.wasm(t, "_fixed")
		found := explored(t, explore.Config{Wasm: wasm, First: 1, Last: 1000, MemoryModel: sched.Relaxed, Fuel: fuel})
		if found.Clean() || found.Outcomes[len(found.Outcomes)-1].What != "exit 1" {
			t.Errorf("%s: no seed found what accesses do that change places", name)
		}
		for _, c := range []struct {
			wasm  []byte
			model sched.MemoryModel
		}{{wasm, sched.SequentialConsistency}, {wasm, sched.TotalStoreOrder}, {fixed, sched.Relaxed}} {
			if !explored(t, explore.Config{Wasm: c.wasm, First: 1, Last: seeds(300, 10_000), ShrinkRuns: -1, MemoryModel: c.model}).Clean() {
				t.Errorf("%s, by model %d: not every seed exits with 0", name, c.model)
			}
		}
	}
	for _, p := range corpus {
		fixed := explored(t, explore.Config{Wasm: p.wasm(t, "_fixed"), First: 1, Last: seeds(50, 10_000), ShrinkRuns: -1, MemoryModel: sched.Relaxed})
		if fixed.Clean() == p.ordered {
			t.Errorf("%s_fixed: every seed exits with 0 is %v", p.name, fixed.Clean())
		}
	}
}

// A Campaign's parts find what one exploration of all seeds finds, in whatever order they are run.
func TestCampaign(t *testing.T) {
	c := explore.Config{Wasm: bare(t, "race_counter"), First: 1, Last: 200, ShrinkRuns: -1}
	want := map[string]int{}
	for _, o := range explored(t, c).Outcomes {
		want[o.What] = o.Seeds
	}
	k, err := explore.NewCampaign(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(t.Context())
	got := map[string]int{}
	for _, first := range []uint64{151, 1, 101, 51} {
		r, err := k.Run(t.Context(), first, first+49)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range r.Outcomes {
			got[o.What] += o.Seeds
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in parts (-whole +parts):\n%s", diff)
	}
	if _, err := k.Run(t.Context(), 2, 1); err == nil {
		t.Error("no seeds were explored")
	}
}

// A report of a campaign that was stopped tells of the runs that were made.
func TestAnEndedContextLeavesAReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var runs atomic.Int64
	report, err := explore.Run(ctx, explore.Config{Wasm: bare(t, "race_counter"), First: 1, Last: 1_000_000, World: func(uint64) ([]virt.Option, error) {
		if runs.Add(1) == 100 {
			cancel()
		}
		return nil, nil
	}})
	if !errors.Is(err, context.Canceled) || report == nil || report.Runs < 50 || report.Runs > 110 {
		t.Errorf("%+v, %v", report, err)
	}
}

// planted are guests with a bug, and what it ends them with.
var planted = []struct{ name, what string }{
	{"race_counter", "exit 1"},
	{"deadlock_mutexes", "deadlock"},
	{"missed_wakeup", "deadlock"},
}

func explored(t *testing.T, c explore.Config) *explore.Report {
	t.Helper()
	report, err := explore.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.Write(&text, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", text.String())
	return report
}

func TestFindsPlantedBugs(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			report := explored(t, explore.Config{Wasm: bare(t, p.name), First: 1, Last: seeds(300, 1000)})
			var found *explore.Outcome
			for _, o := range report.Outcomes {
				if o.What == p.what {
					found = o
				} else if o.What != "exit 0" {
					t.Errorf("ended with %s", o.What)
				}
			}
			if found == nil {
				t.Fatalf("no seed ended with %s", p.what)
			}
			if found.Seeds == report.Runs {
				t.Error("every seed finds it: one fixed seed would do")
			}
			if plan := found.Schedule.Plan; len(plan) > 2 || !found.Schedule.Minimal {
				t.Errorf("the plan is %v, want two decisions at most, none of which can be taken away", plan)
			}
			if n := len(found.Schedule.Switches); 2*n > found.Schedule.Before {
				t.Errorf("%d of %d switches are left, want at most half", n, found.Schedule.Before)
			}
		})
	}
}

func TestCorrectedGuestsStayClean(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			report := explored(t, explore.Config{Wasm: bare(t, p.name+"_fixed"), First: 1, Last: seeds(300, 10_000), ShrinkRuns: -1})
			if !report.Clean() {
				t.Error("not every seed exits with 0")
			}
		})
	}
}

// A seed that finds a bug finds it again, in a Host of its own.
func TestSeedFindsItAgain(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			wasm := bare(t, p.name)
			report := explored(t, explore.Config{Wasm: wasm, First: 1, Last: 100, ShrinkRuns: -1})
			for _, o := range report.Outcomes {
				for range 10 {
					host, err := virt.NewBuilder(virt.WithDeterminism(virt.Determinism{Seed: o.Seed, Strategy: explore.DefaultStrategy()}), virt.WithAccessSwitches(),
						virt.WithMaxThreads(64)).Build(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					result, err := host.Run(t.Context(), wasm)
					if err != nil {
						t.Fatal(err)
					}
					if got := result.Outcome; got != o.Result.Outcome || result.ExitCode != o.Result.ExitCode {
						t.Fatalf("seed %d: %v, then %v", o.Seed, o.Result, result)
					}
					if err := host.Close(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// A guest that prints something else with each seed has as many outcomes as seeds: only those that
// are shown have their text.
func TestManyOutcomes(t *testing.T) {
	runs := seeds(300, 10_000)
	input := strings.Repeat("0123456789", 10)
	report := explored(t, explore.Config{Wasm: bare(t, "relay"), First: 1, Last: runs, ShrinkRuns: 10, CallsOnly: true,
		World: func(uint64) ([]virt.Option, error) {
			return []virt.Option{virt.WithStdin(strings.NewReader(input))}, nil
		}})
	shrunk, texts := 0, 0
	for _, o := range report.Outcomes {
		if o.Schedule != nil {
			shrunk++
		}
		if o.Text != "" {
			texts++
		}
	}
	if uint64(report.Runs) != runs || len(report.Outcomes) < 280 || shrunk != explore.MaxShrunk || texts != 50 || report.Clean() {
		t.Errorf("%d runs, %d outcomes, %d of them shrunk, %d with their text", report.Runs, len(report.Outcomes), shrunk, texts)
	}
}

// Where threads switch at calls only, nothing comes between the load and the store of a counter++.
func TestRaceNeedsSwitchesAtAccesses(t *testing.T) {
	for _, strategy := range []sched.Strategy{sched.Uniform(), sched.PCT(3, 50)} {
		report := explored(t, explore.Config{Wasm: bare(t, "race_counter"), First: 1, Last: 50, CallsOnly: true, Strategy: strategy})
		if !report.Clean() {
			t.Error("a race was found")
		}
	}
}
