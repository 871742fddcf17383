package virt_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestParseFault(t *testing.T) {
	for _, rule := range []string{
		"path_open:/data/*:nth=3:EIO", "fd_*:EINTR", "fd_read:every=2:short=1", "*:p=0.25:EAGAIN", "poll_oneoff:delay=10ms",
		"fd_write:/a/**:nth=1:delay=1s:short=0", "fd_write:/a=b:EIO",
	} {
		f, err := virt.ParseFault(rule)
		if err != nil || f.String() != rule {
			t.Errorf("%q: %v, %v", rule, f, err)
		}
	}
	for rule, want := range map[string]string{
		"":                       "is no function",
		"fd_write":               "nothing goes wrong",
		"fd_write:":              "want an errno",
		"fd_write:nth=3":         "nothing goes wrong",
		"fd_write:nth=0:EIO":     "counted from 1",
		"fd_write:EWHAT":         `"EWHAT": want an errno`,
		"fd_write:ESUCCESS":      "want an errno",
		"fd_write:nth=x:EIO":     "want nth=N",
		"fd_write:nth=1:p=1:EIO": "exclude each other",
		"fd_write:p=1.5:EIO":     "want p=P",
		"fd_write:p=NaN:EIO":     "want p=P",
		"fd_write:p=0:EIO":       "want p=P", // it would be always
		"fd_write:every=0:EIO":   "want every=N",
		"fd_write:short=-1":      "want short=N",
		"fd_write:delay=-1s":     "want delay=D",
		"fd_write:delay=soon":    "want delay=D",
		"fd_write:EIO:EPERM":     "a second errno",
		"fd_write:/a:/b:EIO":     "a second path",
		"fd_write:nth=1:nth=2":   "a second nth",
		"path_open:short=1":      "transfers no buffers",
		"fd_write:/a/[:EIO":      "syntax error",
		"proc_exit:EIO":          "never returns",
		"fd_wirte:EIO":           "is no function",
	} {
		if _, err := virt.ParseFault(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", rule, err, want)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add("path_open:/data/*:nth=3:EIO")
	f.Add("*:p=0.1:delay=1ms:short=4")
	f.Fuzz(func(t *testing.T, rule string) {
		fault, err := virt.ParseFault(rule)
		if err != nil {
			return
		}
		again, err := virt.ParseFault(fault.String())
		if err != nil || again.String() != fault.String() {
			t.Errorf("%q reads as %v, which reads as %v, %v", rule, fault, again, err)
		}
	})
}

func faults(tb testing.TB, rules ...string) virt.Option {
	tb.Helper()
	var all []virt.Fault
	for _, r := range rules {
		f, err := virt.ParseFault(r)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, f)
	}
	return virt.WithFaults(all...)
}

func TestFaults(t *testing.T) {
	var writes []call
	for range 6 {
		writes = append(writes, writeText(1, 0))
	}
	ok, bad := wasip1.ESUCCESS, wasip1.EIO
	for _, tc := range []struct {
		rules []string
		want  []wasip1.Errno
		out   string
	}{
		{[]string{"fd_write:nth=2:EIO"}, []wasip1.Errno{ok, bad, ok, ok, ok, ok}, "abcabcabcabcabc"},
		{[]string{"fd_write:every=3:EIO"}, []wasip1.Errno{ok, ok, bad, ok, ok, bad}, "abcabcabcabc"},
		{[]string{"fd_write:short=2"}, []wasip1.Errno{ok, ok, ok, ok, ok, ok}, "abababababab"},
		{[]string{"fd_write:<stdout>:nth=3:EIO"}, []wasip1.Errno{ok, ok, bad, ok, ok, ok}, "abcabcabcabcabc"},
		{[]string{"fd_write:/elsewhere:EIO"}, []wasip1.Errno{ok, ok, ok, ok, ok, ok}, "abcabcabcabcabcabc"},
		{[]string{"fd_write:nth=1:EIO", "fd_write:nth=1:EINTR"}, []wasip1.Errno{bad, wasip1.EINTR, ok, ok, ok, ok}, "abcabcabcabc"},
		{[]string{"fd_*:p=1:EIO"}, []wasip1.Errno{bad, bad, bad, bad, bad, bad}, ""},
	} {
		r := runCommand(t, newHost(t, faults(t, tc.rules...)), command(texts("abc"), writes...), 6)
		if diff := cmp.Diff(tc.want, r.errnos); diff != "" || r.out != tc.out {
			t.Errorf("%v: wrote %q (-want +got):\n%s", tc.rules, r.out, diff)
		}
	}
}

// TestTracesTellFaults: a trace says which rule made a call go wrong, and of no other call.
func TestTracesTellFaults(t *testing.T) {
	var text, lines bytes.Buffer
	opts := []virt.Option{faults(t, "fd_write:nth=2:EIO", "fd_write:nth=2:short=1"), virt.WithClock(clock.NewVirtual())}
	for _, tracer := range []trace.Tracer{trace.Text(&text), trace.JSON(&lines)} {
		opts = append(opts, virt.WithTrace(tracer, trace.WithCalls("fd_write")))
	}
	runCommand(t, newHost(t, opts...), command(texts("abc"), writeText(1, 0), writeText(1, 0), writeText(1, 0), writeText(1, 0)), 4)
	want := `fd_write(1<stdout>, "abc") = 3  <0s>
fd_write(1<stdout>, "abc") = EIO (input/output error) [fault fd_write:nth=2:EIO]  <0s>
fd_write(1<stdout>, "abc") = 1 [fault fd_write:nth=2:short=1]  <0s>
fd_write(1<stdout>, "abc") = 3  <0s>
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if got := strings.Count(lines.String(), `"fault":"fd_write:nth=`); got != 2 {
		t.Errorf("%d calls with a fault in\n%s", got, &lines)
	}
}

func TestFaultsByProbabilityFollowTheSeed(t *testing.T) {
	var writes []call
	for range 64 {
		writes = append(writes, writeText(1, 0))
	}
	wasm := command(texts("x"), writes...)
	run := func(seed uint64) []wasip1.Errno {
		return runCommand(t, newHost(t, virt.WithSeed(seed), faults(t, "fd_write:p=0.5:EIO")), wasm, 64).errnos
	}
	first := run(1)
	if !slices.Equal(first, run(1)) {
		t.Error("one seed, two runs")
	}
	if slices.Equal(first, run(2)) {
		t.Error("two seeds, one run")
	}
	failed := 0
	for _, e := range first {
		if e != wasip1.ESUCCESS {
			failed++
		}
	}
	if failed < 16 || failed > 48 {
		t.Errorf("%d of 64 failed", failed)
	}
}

func TestFaultDelaysOnTheHostsClock(t *testing.T) {
	k := clock.NewVirtual(clock.WithAutoAdvance())
	before := k.Monotonic()
	r := runCommand(t, newHost(t, virt.WithClock(k), faults(t, "fd_write:nth=1:delay=1h")), command(texts("x"), writeText(1, 0)), 1)
	wantErrnos(t, r, wasip1.ESUCCESS)
	if d := time.Duration(k.Monotonic() - before); d != time.Hour {
		t.Errorf("the write took %v", d)
	}
}

// TestDelaysOfFilesWhereThreadsTakeTurns: a delay of a file system takes virtual time while other
// guests, which hold time too, wait for the turn.
func TestDelaysOfFilesWhereThreadsTakeTurns(t *testing.T) {
	for seed := range uint64(8) {
		k := clock.NewVirtual(clock.WithAutoAdvance())
		before := k.Monotonic()
		host := newHost(t, virt.Deterministic(seed), virt.WithClock(k))
		m := compiled(t, host, command(texts("f"), openText(0, 1, int(wasip1.OCreat), resultAt), openText(0, 1, 0, resultAt)))
		slow, err := faultfs.New(memfs.New(), []faultfs.Rule{{Op: "open", Path: "**", Delay: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		guests := []*virt.Guest{}
		for range 3 {
			g, err := host.Instantiate(t.Context(), m, virt.WithMount("/", slow))
			if err != nil {
				t.Fatal(err)
			}
			guests = append(guests, g)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		results, err := host.RunAll(ctx, guests...)
		if err != nil {
			t.Fatalf("seed %d: %v, %v", seed, results, err)
		}
		if d := time.Duration(k.Monotonic() - before); d < 6*time.Hour {
			t.Errorf("seed %d: six openings took %v", seed, d)
		}
	}
}

// TestAFaultAtEveryCall fails each call of a C guest's run in turn, with each of some errnos, and
// shortens each: the guest ends in a way of its own, and does so again.
func TestAFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	wasm := bareGuest(t, "journal")
	type end struct {
		Result, Out, Trace string
		Files              map[string]string
	}
	run := func(rules ...string) (end, uint64) {
		files := memfs.New()
		if err := files.WriteFile("journal", make([]byte, 8*64*4)); err != nil {
			t.Fatal(err)
		}
		var out, log bytes.Buffer
		host := newHost(t, virt.WithClock(clock.NewVirtual()), virt.WithSeed(1), virt.WithMount("/", files), virt.WithUsage(), faults(t, rules...))
		g, err := host.Instantiate(ctx, compiled(t, host, wasm), virt.WithArgs("sync", "xxx"), virt.WithStdout(&out), virt.WithTrace(trace.Text(&log)))
		if err != nil {
			t.Fatal(err)
		}
		result, err := g.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		e := end{result.String(), out.String(), log.String(), map[string]string{}}
		for _, name := range []string{"journal", "new"} {
			if b, err := files.ReadFile(name); err == nil {
				e.Files[name] = string(b)
			}
		}
		if err := g.Close(ctx); err != nil {
			t.Errorf("%v: close: %v", rules, err)
		}
		if result.Outcome != virt.Exited {
			t.Errorf("%v: %v, want an end of the guest's own", rules, result)
		}
		return e, g.Usage().Calls
	}
	whole, calls := run()
	if whole.Result != "exit 0" || calls < 40 {
		t.Fatalf("without faults: %s after %d calls", whole.Result, calls)
	}
	t.Logf("%d calls", calls)
	different := map[string]int{}
	for n := uint64(1); n <= calls; n++ {
		for _, what := range []string{"EIO", "ENOSPC", "EINTR", "short=1", "short=0"} {
			calls := "fd_*,path_*,args_*"
			if strings.HasPrefix(what, "short") {
				calls = "fd_read,fd_write"
			}
			rule := fmt.Sprintf("%s:nth=%d:%s", calls, n, what)
			first, _ := run(rule)
			if again, _ := run(rule); !cmp.Equal(first, again) {
				t.Errorf("%s: two runs differ:\n%s", rule, cmp.Diff(first, again))
			}
			different[first.Result]++
		}
	}
	if len(different) < 4 {
		t.Errorf("all faults ended alike: %v", different)
	}
}
