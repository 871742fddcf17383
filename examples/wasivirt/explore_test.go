package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/internal/usercache"
)

// bareGuest is one of the guests below virt/testdata/bare.
func bareGuest(name string) string {
	return filepath.Join("..", "..", "virt", "testdata", "bare", name+".wasm")
}

// invoked runs one command line and returns its status and standard output.
func invoked(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code, err := run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return code, out.String()
}

func TestExplore(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	tests := []struct {
		name, what string
		end        int // the status of the seed's own run
	}{
		{"race_counter", "exit 1", 1},
		{"deadlock_mutexes", "deadlock", exitDeadlock},
		{"missed_wakeup", "deadlock", exitDeadlock},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			code, out := invoked(t, "explore", "-seeds", "1..200", bareGuest(tc.name))
			if code != 1 || !strings.Contains(out, tc.what) {
				t.Fatalf("status %d, want 1 and %q in\n%s", code, tc.what, out)
			}
			_, command, ok := strings.Cut(out, "run it again: wasivirt ")
			if !ok {
				t.Fatalf("no command in\n%s", out)
			}
			command, _, _ = strings.Cut(command, " </dev/null\n")
			for range 3 {
				if code, _ := invoked(t, strings.Fields(command)...); code != tc.end {
					t.Errorf("%s: status %d, want %d", command, code, tc.end)
				}
			}
			if code, out := invoked(t, "explore", "-seeds", "1..50", bareGuest(tc.name+"_fixed")); code != 0 {
				t.Errorf("the corrected guest: status %d\n%s", code, out)
			}
		})
	}
}

// The command that explore prints has the limits and the strategy of the seed's run.
func TestExploredCommandRepeats(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	loop := filepath.Join(t.TempDir(), "loop.wasm")
	// _start is a loop without end.
	wasm := "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x07\x0a\x01\x06_start\x00\x00" + "\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b"
	if err := os.WriteFile(loop, []byte(wasm), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"-strategy", "pct:3,200"}, {"-strategy", "uniform", "-switches", "calls"}, {"-strategy", "round-robin"}} {
		_, out := invoked(t, append(append([]string{"explore", "-fuel", "2000000", "-seeds", "1..2"}, flags...), loop)...)
		_, command, ok := strings.Cut(out, "run it again: wasivirt ")
		command, _, _ = strings.Cut(command, " </dev/null\n")
		if !ok || !strings.Contains(out, "out of fuel") {
			t.Fatalf("%v: no command, or no livelock, in\n%s", flags, out)
		}
		if code, _ := invoked(t, strings.Fields(command)...); code != exitExhausted {
			t.Errorf("%s: status %d, want %d", command, code, exitExhausted)
		}
	}
	e := exploration{}
	e.flags = e.settings.flags()
	if err := e.flags.Parse([]string{"-env", "A=b c", "it's.wasm", "#1"}); err != nil {
		t.Fatal(err)
	}
	e.threads, e.fuel = 64, 10
	if got, want := e.command(3, nil), `wasivirt run -deterministic 3 -env 'A=b c' -threads 64 -fuel 10 'it'\''s.wasm' '#1' </dev/null`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Faults and limits of the disk go for explored runs as they do for one.
func TestExploreHeedsFaults(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	// The guest sleeps where it should wait: a sleep that fails shows it.
	args := []string{"explore", "-seeds", "1..3", "-strategy", "block:0", "-late-timers=false"}
	for fault, want := range map[string]int{"poll_oneoff:EIO": 1, "fd_sync:EIO": 0} {
		if code, out := invoked(t, append(args, "-fault", fault, bareGuest("sleep_sync"))...); code != want {
			t.Errorf("-fault %s: status %d, want %d\n%s", fault, code, want, out)
		}
	}
}

func TestStrategies(t *testing.T) {
	for _, s := range []string{"", "uniform", "round-robin", "block:0.5", "pct:3,100"} {
		if _, err := parseStrategy(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"block", "block:2", "pct", "pct:3", "pct:0,1", "fair"} {
		if _, err := parseStrategy(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestDiffOfRecordings(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	dir := t.TempDir()
	tape := func(name, seed string) string {
		file := filepath.Join(dir, name)
		invoked(t, "run", "-record", file, "-threads", "4", "-deterministic", seed, bareGuest("race_counter"))
		return file
	}
	a, same, other := tape("a", "1"), tape("same", "1"), tape("other", "2")
	if code, out := invoked(t, "diff", a, same); code != 0 || out != "" {
		t.Errorf("recordings of one seed: status %d\n%s", code, out)
	}
	code, out := invoked(t, "diff", "-context", "2", a, other)
	if code != 1 || !strings.Contains(out, "the runs part after ") || !strings.Contains(out, "\na thread ") || !strings.Contains(out, "\nb thread ") {
		t.Errorf("recordings of two seeds: status %d\n%s", code, out)
	}
	if n := strings.Count(out, "\n"); n > 1+2+3+3 {
		t.Errorf("%d lines for a context of 2:\n%s", n, out)
	}
	if code, err := run(t.Context(), []string{"diff", a, bareGuest("race_counter")}, nil, &bytes.Buffer{}, &bytes.Buffer{}); code != exitHost || err == nil {
		t.Errorf("a file that is no recording: status %d, %v", code, err)
	}
}

// That threads run one at a time while they are recorded is said, and refused where it is not what
// was asked for.
func TestRecordingSaysThatThreadsTakeTurns(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	tape := filepath.Join(t.TempDir(), "tape")
	recorded := func(flags ...string) (string, error) {
		var errOut bytes.Buffer
		args := append(append([]string{"run", "-record", tape, "-threads", "4"}, flags...), bareGuest("race_counter_fixed"))
		_, err := run(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &errOut)
		return errOut.String(), err
	}
	if said, err := recorded(); err != nil || !strings.Contains(said, "one at a time") {
		t.Errorf("%v, said %q", err, said)
	}
	if _, err := recorded("-sched", "parallel"); err == nil || !strings.Contains(err.Error(), "-sched seeded") {
		t.Errorf("-sched parallel: %v", err)
	}
	for _, flags := range [][]string{{"-sched", "seeded:3"}, {"-deterministic", "3"}} {
		if said, err := recorded(flags...); err != nil || said != "" {
			t.Errorf("%v: %v, said %q", flags, err, said)
		}
	}
}

// The schedule that a report shows is a run of its own, which can be recorded and replayed.
func TestExploreShowsASchedule(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	for _, flags := range [][]string{{"-seeds", "1..50"}, {"-seeds", "1..50", "-guided"}, {"-systematic", "-schedules", "300"}, {"-seeds", "1..100", "-memory-model", "tso"}} {
		got := wasivirt(t, append(append([]string{"explore"}, flags...), bareGuest("race_counter"))...)
		_, command, ok := strings.Cut(got.stdout, "run this schedule: wasivirt run ")
		command, _, _ = strings.Cut(command, " </dev/null")
		if got.status != 1 || !ok {
			t.Fatalf("%v: %+v", flags, got)
		}
		words := strings.Split(strings.ReplaceAll(command, "'", ""), " ")
		if again := wasivirt(t, append([]string{"run"}, words...)...); again.status != 1 {
			t.Errorf("%s: %+v", command, again)
		}
		if slices.Contains(flags, "tso") {
			continue
		}
		tape := filepath.Join(t.TempDir(), "tape")
		invoked(t, append([]string{"run", "-record", tape}, words...)...)
		if code, out := invoked(t, "replay", tape, bareGuest("race_counter")); code != 1 {
			t.Errorf("replay: status %d\n%s", code, out)
		}
	}
}

// TestExploreWithDirectories: all runs see a directory of the machine, and none changes it.
func TestExploreWithDirectories(t *testing.T) {
	dir := hostTree(t)
	before := treeOf(t, dir)
	for _, kind := range []string{"overlay:", "ro:", "mem:"} {
		got := wasivirt(t, "explore", "-seeds", "1..20", "-mount", "/w="+kind+dir, do, "cat", "/w/a", "write", "/w/a", "changed")
		if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "20 of 20") {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	if after := treeOf(t, dir); after != before {
		t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
	}
}

func TestRecordReplayRewrite(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	tape := filepath.Join(t.TempDir(), "tape")
	want, _ := invoked(t, "run", "-record", tape, "-threads", "4", bareGuest("race_counter"))
	if code, _ := invoked(t, "replay", tape, bareGuest("race_counter")); code != want {
		t.Errorf("replay: status %d, want %d", code, want)
	}
	out := tape + ".wasm"
	invoked(t, "rewrite", "-o", out, "-deterministic", "1", bareGuest("race_counter"))
	before, err := os.Stat(bareGuest("race_counter"))
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(out); err != nil || after.Size() <= before.Size() {
		t.Errorf("rewritten: %v, %v", after, err)
	}
}

// A search goes on with the same flags and arguments only: what it says of other runs would be
// wrong.
func TestExploreStateIsBoundToTheWorld(t *testing.T) {
	t.Setenv(usercache.Variable, "off")
	file := filepath.Join(t.TempDir(), "state")
	guest := bareGuest("depth_four")
	search := func(args ...string) outcome {
		return wasivirt(t, append([]string{"explore", "-systematic", "-state", file}, args...)...)
	}
	if got := search("-schedules", "40", "-env", "A=1", guest, "x"); !strings.Contains(got.stdout, "40 schedules explored, at least") {
		t.Fatalf("%+v", got)
	}
	for _, other := range [][]string{{guest, "x"}, {"-env", "A=2", guest, "x"}, {"-env", "A=1", guest, "y"}, {"-env", "A=1", guest}} {
		if got := search(other...); got.status != 125 || !strings.Contains(got.stderr, "give the same flags and arguments, or another file") {
			t.Errorf("%v: %+v", other, got)
		}
	}
	if got := search("-workers", "1", "-env", "A=1", guest, "x"); !strings.Contains(got.stdout, "all 126 schedules explored") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(file, []byte("no search\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := search(guest); got.status != 125 || !strings.Contains(got.stderr, "the file holds no search") {
		t.Errorf("%+v", got)
	}
}
