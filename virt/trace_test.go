package virt_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

var updateGolden = flag.Bool("update", false, "write the golden files of traces anew")

// everyCall is a guest that calls every function of preview1 once at least, thread-spawn, and some
// with errors.
func everyCall() []byte {
	const fdAt, sockAt = 0x180, 0x184
	data := texts("a.txt", "dir", "hello, world\n", "link", "sym", "new", "a\x00b\xff\"")
	subs := []wasip1.Subscription{
		{Userdata: 1, Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 1, Flags: wasip1.SubclockAbstime}},
		{Userdata: 2, Tag: wasip1.EventtypeFdWrite, Fd: 1},
		{Userdata: 3, Tag: wasip1.EventtypeFdRead, Fd: 99},
	}
	for i, s := range subs {
		s.Encode(data[subAt+i*wasip1.SizeSubscription:])
	}
	const r, buf = resultAt, bufferAt
	fd := from(fdAt)
	flags := int(wasip1.LookupSymlinkFollow)
	sock := from(sockAt)
	return command(data,
		call{"args_sizes_get", []any{r, r + 4}}, call{"args_get", []any{buf, buf + 64}},
		call{"environ_sizes_get", []any{r, r + 4}}, call{"environ_get", []any{buf, buf + 64}},
		call{"clock_res_get", []any{1, r}}, call{"clock_time_get", []any{0, uint64(1000), r}},
		call{"path_create_directory", []any{3, textAt(1), 3}},
		call{"path_open", []any{3, flags, textAt(0), 5, int(wasip1.OCreat | wasip1.OTrunc), uint64(wasip1.RightsFile), uint64(wasip1.RightFdRead), int(wasip1.FdDsync), fdAt}},
		call{"path_open", []any{3, 0, textAt(5), 3, 0, uint64(wasip1.RightsFile), uint64(0), 0, fdAt + 8}},
		call{"fd_write", []any{fd, iovecAt(2), 1, r}}, call{"fd_write", []any{1, iovecAt(6), 1, r}}, call{"fd_write", []any{1, 0x7fffffff, 1, r}},
		call{"fd_pwrite", []any{fd, iovecAt(2), 1, uint64(100), r}},
		call{"fd_pread", []any{fd, iovecAt(15), 1, uint64(95), r}},
		call{"fd_seek", []any{fd, ^uint64(4), int(wasip1.WhenceEnd), r}}, call{"fd_seek", []any{fd, ^uint64(1000), int(wasip1.WhenceCur), r}},
		call{"fd_read", []any{fd, iovecAt(15), 1, r}}, call{"fd_read", []any{0, iovecAt(15), 1, r}}, call{"fd_tell", []any{fd, r}},
		call{"fd_advise", []any{fd, uint64(0), uint64(10), 1}}, call{"fd_allocate", []any{fd, uint64(0), uint64(200)}},
		call{"fd_datasync", []any{fd}}, call{"fd_sync", []any{fd}},
		call{"fd_fdstat_get", []any{fd, statAt}}, call{"fd_fdstat_set_flags", []any{fd, int(wasip1.FdAppend | wasip1.FdNonblock)}},
		call{"fd_fdstat_set_rights", []any{fd, uint64(wasip1.RightsFile), uint64(0)}},
		call{"fd_filestat_get", []any{fd, statAt}}, call{"fd_filestat_set_size", []any{fd, uint64(13)}},
		call{"fd_filestat_set_times", []any{fd, uint64(1e9), uint64(2e9), int(wasip1.FstAtim | wasip1.FstMtim)}},
		call{"fd_prestat_get", []any{3, r}}, call{"fd_prestat_dir_name", []any{3, buf, 1}},
		call{"fd_readdir", []any{3, buf, 256, uint64(0), r}},
		call{"path_filestat_get", []any{3, flags, textAt(0), 5, statAt}},
		call{"path_filestat_set_times", []any{3, flags, textAt(0), 5, uint64(3e9), uint64(4e9), int(wasip1.FstAtim | wasip1.FstMtim)}},
		call{"path_link", []any{3, 0, textAt(0), 5, 3, textAt(3), 4}},
		call{"path_symlink", []any{textAt(0), 5, 3, textAt(4), 3}},
		call{"path_readlink", []any{3, textAt(4), 3, buf, 64, r}},
		call{"path_rename", []any{3, textAt(3), 4, 3, textAt(5), 3}},
		call{"path_unlink_file", []any{3, textAt(5), 3}}, call{"path_remove_directory", []any{3, textAt(1), 3}},
		call{"fd_renumber", []any{fd, 0}}, call{"fd_close", []any{0}}, call{"fd_close", []any{0}},
		call{"poll_oneoff", []any{subAt, eventAt, 3, r}},
		call{"sched_yield", nil}, call{"random_get", []any{buf, 40}},
		call{"sock_accept", []any{4, int(wasip1.FdNonblock), sockAt}},
		call{"sock_recv", []any{sock, iovecAt(15), 1, int(wasip1.RecvPeek), r, r + 4}},
		call{"sock_send", []any{sock, iovecAt(2), 1, 0, r}}, call{"sock_shutdown", []any{sock, int(wasip1.ShutWr)}},
		call{"thread-spawn", []any{1}},
		call{"proc_raise", []any{int(wasip1.SIGCHLD)}}, call{"proc_exit", []any{3}},
	)
}

// traceEveryCall runs it in a world in which everything is fixed.
func traceEveryCall(t *testing.T, opts ...virt.Option) {
	t.Helper()
	k := clock.NewVirtual(clock.WithAutoAdvance(), clock.WithStart(time.Unix(1_700_000_000, 0)))
	network := netmem.New(k)
	listener, err := network.Listen("guest:80", 4)
	if err != nil {
		t.Fatal(err)
	}
	k.Hold()
	defer k.Release()
	conn, err := network.Dial(t.Context(), "guest:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /")); err != nil {
		t.Fatal(err)
	}
	host := newHost(t, append([]virt.Option{virt.WithClock(k), virt.WithSeed(1), virt.WithMount("/", memfs.New()), virt.WithName("every"),
		virt.WithArgs("call"), virt.WithEnv("KEY", "value"), virt.WithPreopened(listener), virt.WithStdin(strings.NewReader("typed"))}, opts...)...)
	r := runCommand(t, host, everyCall(), 0)
	if r.result.Outcome != virt.Exited || r.result.ExitCode != 3 {
		t.Fatalf("%v", r.result)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "trace", name)
	if *updateGolden {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); go test -run Trace -update writes it anew:\n%s", name, diff)
	}
}

func TestTracesShowEveryFunction(t *testing.T) {
	var text, lines, perfetto, logged bytes.Buffer
	p := trace.Perfetto(&perfetto)
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && groups == nil {
			return slog.Attr{} // a record's time is the machine's
		}
		return a
	}}))
	traceEveryCall(t, virt.WithTrace(trace.Text(&text)), virt.WithTrace(trace.JSON(&lines)), virt.WithTrace(p),
		virt.WithTrace(trace.Log(log, slog.LevelInfo)))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "every.txt", text.Bytes())
	golden(t, "every.jsonl", lines.Bytes())
	golden(t, "every.perfetto.json", perfetto.Bytes())
	golden(t, "every.slog", logged.Bytes())

	var inJSON []string
	for line := range bytes.Lines(lines.Bytes()) {
		var e struct{ Call string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		inJSON = append(inJSON, e.Call)
	}
	var inPerfetto []string
	for _, e := range checkPerfetto(t, perfetto.Bytes()) {
		inPerfetto = append(inPerfetto, e.Name)
	}
	functions := abi.Functions()
	if len(functions) != 46 {
		t.Errorf("the table has %d functions", len(functions))
	}
	for _, f := range functions {
		if !strings.Contains("\n"+text.String(), "\n"+f.Name+"(") || !slices.Contains(inJSON, f.Name) || !slices.Contains(inPerfetto, f.Name) ||
			!strings.Contains(logged.String(), "msg="+f.Name+" ") {
			t.Errorf("%s is not in all traces", f.Name)
		}
	}
}

// perfettoEvent is an event of Chrome's trace format.
type perfettoEvent struct {
	Ph, Name string
	Pid, Tid *int
	Ts       *float64
	Args     map[string]any
}

// checkPerfetto checks what the format asks for: known phases with their fields, calls that end in
// the reverse order of their beginning on their track, times that never go backwards, and a name
// for each track, once.
func checkPerfetto(t *testing.T, file []byte) []perfettoEvent {
	t.Helper()
	var events []perfettoEvent
	if err := json.Unmarshal(file, &events); err != nil {
		t.Fatalf("no JSON array of events: %v", err)
	}
	open, named := map[[2]int][]string{}, map[string]bool{}
	last := -1.0
	for i, e := range events {
		if e.Pid == nil || e.Tid == nil {
			t.Fatalf("event %d has no track: %+v", i, e)
		}
		track := [2]int{*e.Pid, *e.Tid}
		if e.Ph == "M" {
			key := fmt.Sprint(e.Name, track)
			if named[key] || e.Args["name"] == nil {
				t.Errorf("event %d names a track again or not at all: %+v", i, e)
			}
			named[key] = true
			continue
		}
		if e.Ts == nil || *e.Ts < last {
			t.Fatalf("event %d goes back in time: %+v", i, e)
		}
		last = *e.Ts
		stack := open[track]
		switch e.Ph {
		case "B":
			if !named[fmt.Sprint("thread_name", track)] {
				t.Errorf("track %v has no name", track)
			}
			open[track] = append(stack, e.Name)
		case "E":
			if len(stack) == 0 || stack[len(stack)-1] != e.Name {
				t.Fatalf("event %d ends %s, open are %v", i, e.Name, stack)
			}
			open[track] = stack[:len(stack)-1]
		default:
			t.Errorf("event %d has phase %q", i, e.Ph)
		}
	}
	for track, stack := range open {
		if len(stack) != 0 {
			t.Errorf("track %v ends in %v", track, stack)
		}
	}
	return events
}

func TestPerfettoHasATrackAThread(t *testing.T) {
	for name, scheduler := range map[string]sched.Scheduler{"parallel": sched.NewParallel(sched.Limits{}), "seeded": sched.NewSeeded(sched.SeededConfig{Seed: 1})} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			p := trace.Perfetto(&file)
			host := newHost(t, virt.WithTrace(p), virt.WithMaxThreads(3), virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 500 }), virt.WithScheduler(scheduler))
			g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
			if _, err := g.Call(t.Context(), "hang_in_threads", 6, 3, 0); err == nil || g.Result().Budget != virt.BudgetHostCalls {
				t.Errorf("%v, %v", g.Result(), err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			tracks := map[int]bool{}
			for _, e := range checkPerfetto(t, file.Bytes()) {
				tracks[*e.Tid] = true
			}
			// In parallel the first may have used up all calls before the second begins.
			if len(tracks) > 4 || name == "seeded" && len(tracks) != 4 {
				t.Errorf("tracks %v, want those of 4 threads", tracks)
			}
		})
	}
}

func TestPerfettoNestsCallsWithinCalls(t *testing.T) {
	for name, opts := range map[string][]trace.Option{"as they happen": nil, "by errno": {trace.WithErrnos(0)}} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			p := trace.Perfetto(&file)
			host := newHost(t, virt.WithTrace(p, append(opts, trace.WithRealTime())...))
			wasm := assemble(texts("x"), function{"_start", []call{writeText(1, 0)}}, function{"draw", []call{{"random_get", []any{bufferAt, 8}}}})
			runCommand(t, host, wasm, 0, virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
				if _, err := c.Guest().Call(c.Context(), "draw"); err != nil {
					t.Error(err)
				}
				return c.Next()
			}))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if n := len(checkPerfetto(t, file.Bytes())); n != 6 {
				t.Errorf("%d events, want 2 names, 2 begins, 2 ends", n)
			}
		})
	}
}

func TestTraceFilters(t *testing.T) {
	wasm := command(texts("a", "b"), openText(0, 1, int(wasip1.OCreat), resultAt), openText(1, 1, 0, resultAt+4), writeText(from(resultAt), 0),
		call{"sched_yield", nil}, call{"fd_close", []any{from(resultAt)}})
	for _, tc := range []struct {
		name string
		opt  trace.Option
		want string
	}{
		{"call", trace.WithCalls("fd_*,sched"), "fd_write sched_yield fd_close"},
		{"path", trace.WithPaths("/a"), "path_open fd_write fd_close"},
		{"the directory before a path is not what the call is about", trace.WithPaths("/"), ""},
		{"tree", trace.WithPaths("/**"), "path_open path_open fd_write fd_close"},
		{"errno", trace.WithErrnos(wasip1.ENOENT), "path_open"},
		{"errors", trace.WithErrors(), "path_open"},
	} {
		var log bytes.Buffer
		runCommand(t, newHost(t, virt.WithTrace(trace.Text(&log), tc.opt)), wasm, 0)
		var calls []string
		for line := range strings.Lines(log.String()) {
			name, _, _ := strings.Cut(line, "(")
			calls = append(calls, name)
		}
		if got := strings.Join(calls, " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// failingWriter takes n bytes.
type failingWriter struct{ n int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errTest
	}
	return len(p), nil
}

func TestATraceThatCannotBeWrittenDoesNotHurtTheGuest(t *testing.T) {
	for n := range 3 {
		text, p := trace.Text(&failingWriter{n * 40}), trace.Perfetto(&failingWriter{n * 40})
		traceEveryCall(t, virt.WithTrace(text), virt.WithTrace(p))
		if text.Err() != errTest || p.Close() != errTest {
			t.Errorf("errors %v, %v", text.Err(), p.Close())
		}
	}
}

// A guest names its files as it likes; a trace shows no control character of theirs.
func TestATraceEscapesPathsOfDescriptors(t *testing.T) {
	var text bytes.Buffer
	host := newHost(t, virt.WithTrace(trace.Text(&text)))
	runCommand(t, host, command(texts("a\x1b[2J\nb"), openText(0, 7, int(wasip1.OCreat), resultAt), call{"fd_close", []any{from(resultAt)}}), 0)
	if got := text.String(); strings.ContainsRune(got, '\x1b') || strings.Count(got, "\n") != 2 || !strings.Contains(got, `</a\x1b[2J\nb>`) {
		t.Errorf("%q", got)
	}
}
