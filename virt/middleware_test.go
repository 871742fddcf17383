package virt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Twelve small programs.

func TestProgramDenyNetwork(t *testing.T) {
	sock := []call{
		{"sock_accept", []any{3, 0, resultAt}}, {"sock_shutdown", []any{3, 1}},
		{"clock_time_get", []any{1, uint64(0), resultAt}},
	}
	r := runCommand(t, newHost(t, virt.WithPolicy(virt.Deny("sock_*").With(wasip1.EACCES))), command(texts(), sock...), 3)
	wantErrnos(t, r, wasip1.EACCES, wasip1.EACCES, wasip1.ESUCCESS)
}

func TestProgramRewritePaths(t *testing.T) {
	files := memfs.New()
	if err := files.WriteFile("new.txt", []byte("content of the new")); err != nil {
		t.Fatal(err)
	}
	wasm := command(texts("old.txt"), openText(0, 7, 0, resultAt), readFd(from(resultAt)))
	r := runCommand(t, newHost(t, virt.WithMount("/", files)), wasm, 2,
		virt.WithMiddleware("path_*", func(c *virt.Call) wasip1.Errno {
			if p, _ := c.Path("path"); strings.HasPrefix(p, "old") {
				c.SetPath("path", "new"+p[3:])
			}
			return c.Next()
		}))
	wantErrnos(t, r, wasip1.ESUCCESS, wasip1.ESUCCESS)
	if got := string(r.memory[bufferAt : bufferAt+18]); got != "content of the new" {
		t.Errorf("read %q", got)
	}
	if got := string(r.memory[textAt(0) : textAt(0)+7]); got != "old.txt" {
		t.Errorf("the guest's own path became %q", got)
	}
}

func TestProgramVirtualProc(t *testing.T) {
	host := newHost(t, virt.WithClock(clock.NewVirtual()))
	r := runCommand(t, host, command(texts("proc/uptime"), openText(0, 11, 0, resultAt), readFd(from(resultAt))), 2,
		virt.WithMiddleware("path_open", func(c *virt.Call) wasip1.Errno {
			full, errno := c.FullPath("path")
			if errno != wasip1.ESUCCESS || full != "/proc/uptime" {
				return c.Next()
			}
			up := fmt.Sprintf("%d ns\n", host.Clock().Monotonic())
			fd, err := c.Guest().Files().Insert(vfs.NewStream(full, stdio.Reader(strings.NewReader(up)), vfs.OpenRead))
			if err != nil {
				return wasip1.FromError(err)
			}
			return c.SetResult("opened_fd", uint64(fd))
		}))
	wantErrnos(t, r, wasip1.ESUCCESS, wasip1.ESUCCESS)
	want := fmt.Sprintf("%d ns\n", host.Clock().Monotonic())
	if got := string(r.memory[bufferAt : bufferAt+len(want)]); got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestProgramUpperCaseOutput(t *testing.T) {
	r := runCommand(t, newHost(t), command(texts("hello\n"), writeText(1, 0)), 1,
		virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
			b, errno := c.Bytes("iovs")
			if errno != wasip1.ESUCCESS {
				return errno
			}
			if _, errno := c.SetBytes("iovs", append(bytes.ToUpper(b), "and more\n"...)); errno != wasip1.ESUCCESS {
				return errno
			}
			return c.Next()
		}))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if r.out != "HELLO\nand more\n" || r.u32(resultAt+0x20) != 6 {
		t.Errorf("%q was written, and the guest told of %d bytes", r.out, r.u32(resultAt+0x20))
	}
}

func TestProgramFailTheThirdWrite(t *testing.T) {
	fault, err := virt.ParseFault("fd_write:nth=3:ENOSPC")
	if err != nil {
		t.Fatal(err)
	}
	r := runCommand(t, newHost(t, virt.WithFaults(fault)), command(texts("a"), writeText(1, 0), writeText(1, 0), writeText(1, 0), writeText(1, 0)), 4)
	wantErrnos(t, r, wasip1.ESUCCESS, wasip1.ESUCCESS, wasip1.ENOSPC, wasip1.ESUCCESS)
	if r.out != "aaa" {
		t.Errorf("wrote %q", r.out)
	}
}

func TestProgramLogOnlyErrors(t *testing.T) {
	var log bytes.Buffer
	host := newHost(t, virt.WithClock(clock.NewVirtual()), virt.WithTrace(trace.Text(&log), trace.WithErrors()))
	runCommand(t, host, command(texts("missing"), openText(0, 7, 0, resultAt), call{"fd_close", []any{77}}, call{"sched_yield", nil}), 3)
	want := `path_open(3</>, 0, "missing", 0, 0x820016f, 0, 0) = ENOENT (no such file or directory)  <0s>
fd_close(77) = EBADF (bad file descriptor)  <0s>
`
	want = strings.Replace(want, "0x820016f", fmt.Sprintf("%#x", uint64(wasip1.RightsFile)), 1)
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestProgramCountBytesByPath(t *testing.T) {
	written := map[string]uint64{}
	count := func(c *virt.Call) wasip1.Errno {
		path := c.FdPath("fd")
		errno := c.Next()
		if n, e := c.Result("nwritten"); errno == wasip1.ESUCCESS && e == wasip1.ESUCCESS {
			written[path] += n
		}
		return errno
	}
	wasm := command(texts("a.txt", "b.txt", "123456789"), openText(0, 5, int(wasip1.OCreat), resultAt), openText(1, 5, int(wasip1.OCreat), resultAt+4),
		writeText(from(resultAt), 2), writeText(from(resultAt+4), 0), writeText(from(resultAt), 2), writeText(1, 2))
	r := runCommand(t, newHost(t), wasm, 6, virt.WithMiddleware("fd_write,fd_pwrite", count))
	wantErrnos(t, r)
	if diff := cmp.Diff(map[string]uint64{"/a.txt": 18, "/b.txt": 5, "<stdout>": 9}, written); diff != "" {
		t.Errorf("bytes by path (-want +got):\n%s", diff)
	}
}

func TestProgramTimeFromATable(t *testing.T) {
	table := []uint64{5, 7, 11}
	r := runCommand(t, newHost(t), command(texts(),
		call{"clock_time_get", []any{0, uint64(0), resultAt}}, call{"clock_time_get", []any{0, uint64(0), resultAt + 8}},
		call{"clock_time_get", []any{0, uint64(0), resultAt + 16}}, call{"clock_time_get", []any{0, uint64(0), resultAt + 24}}), 4,
		virt.WithReplacement("clock_time_get", func(c *virt.Call) wasip1.Errno {
			if len(table) == 0 {
				return wasip1.EOVERFLOW
			}
			defer func() { table = table[1:] }()
			return c.SetResult("time", table[0])
		}))
	wantErrnos(t, r, 0, 0, 0, wasip1.EOVERFLOW)
	if got := []uint32{r.u32(resultAt), r.u32(resultAt + 8), r.u32(resultAt + 16)}; !cmp.Equal(got, []uint32{5, 7, 11}) {
		t.Errorf("times %v", got)
	}
}

func TestProgramRefuseAModule(t *testing.T) {
	host := newHost(t, virt.WithAllowedImports("process", "fd_write"))
	wasm := command(texts("x"), writeText(1, 0), call{"sock_send", []any{4, iovecAt(0), 1, 0, resultAt}}, call{"thread-spawn", []any{0}})
	_, err := host.Compile(t.Context(), wasm)
	if err == nil || !strings.Contains(err.Error(), "wasi_snapshot_preview1.sock_send") || !strings.Contains(err.Error(), "wasi.thread-spawn") ||
		strings.Contains(err.Error(), "fd_write") {
		t.Errorf("compiled with %v", err)
	}
	audit, err := host.Audit(wasm)
	if err != nil {
		t.Fatal(err)
	}
	var denied []string
	for _, d := range audit.Denied {
		denied = append(denied, d.Import.Name)
	}
	if diff := cmp.Diff([]string{"sock_send", "thread-spawn"}, denied); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
	r := runCommand(t, host, command(texts("x"), writeText(1, 0)), 1)
	wantErrnos(t, r, wasip1.ESUCCESS)
}

func TestProgramStopAfterThousandCalls(t *testing.T) {
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1000 }))
	calls := 0
	m := compiled(t, host, loop(abi.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	g, err := host.Instantiate(t.Context(), m, virt.WithMiddleware("sched", func(c *virt.Call) wasip1.Errno { calls++; return c.Next() }))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(context.Background())
	_, err = g.Call(t.Context(), "run", 1<<30)
	exit := (*virt.ExitError)(nil)
	if !errors.As(err, &exit) || exit.Result.Outcome != virt.Exhausted || exit.Result.Budget != virt.BudgetHostCalls || calls != 1000 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestProgramReentryIsCaught(t *testing.T) {
	tests := []struct {
		name  string
		chain []string
		more  virt.GuestOption
	}{
		{"directly", []string{"fd_write", "fd_write"}, virt.GuestOptions()},
		{"through another", []string{"fd_write", "random_get", "fd_write"},
			virt.WithMiddleware("random_get", func(c *virt.Call) wasip1.Errno {
				_, err := c.Guest().Call(c.Context(), "write")
				if err == nil {
					t.Error("the guest's call went on")
				}
				return wasip1.EIO
			})},
	}
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			export := []string{"write", "draw"}[i]
			wasm := assemble(texts("x"), function{"_start", []call{writeText(1, 0), {"proc_exit", []any{7}}}},
				function{"write", []call{writeText(1, 0)}}, function{"draw", []call{{"random_get", []any{bufferAt, 8}}}})
			r := runCommand(t, newHost(t), wasm, 0, tc.more, virt.WithReplacement("fd_write", func(c *virt.Call) wasip1.Errno {
				if _, err := c.Guest().Call(c.Context(), export); err == nil {
					t.Error("the guest's call went on")
				}
				return wasip1.ESUCCESS
			}))
			reentry := (*virt.ReentryError)(nil)
			if r.result.Outcome != virt.Failed || !errors.As(r.result.Err, &reentry) {
				t.Fatalf("%v", r.result)
			}
			if diff := cmp.Diff(tc.chain, reentry.Chain); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
			if !strings.Contains(r.result.String(), strings.Join(tc.chain, " → ")) {
				t.Errorf("%v does not name the chain", r.result)
			}
		})
	}
}

func TestProgramReplaceAllOfRandom(t *testing.T) {
	r := runCommand(t, newHost(t), command(texts(), call{"random_get", []any{bufferAt, 4}}), 1,
		virt.WithReplacement(string(abi.SubsystemRandom), func(c *virt.Call) wasip1.Errno {
			_, n := c.Pointer("buf")
			_, errno := c.SetBytes("buf", bytes.Repeat([]byte{7}, int(n)))
			return errno
		}))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if got := r.memory[bufferAt : bufferAt+5]; !bytes.Equal(got, []byte{7, 7, 7, 7, 0}) {
		t.Errorf("drew %v", got)
	}
}

// The rest of what middleware promises.

func TestAHandlerMayMakeTheGuestCallOtherFunctions(t *testing.T) {
	wasm := assemble(texts("x", "name"), function{"_start", []call{writeText(1, 0), openText(1, 4, int(wasip1.OCreat), resultAt)}},
		function{"draw", []call{{"random_get", []any{bufferAt, 8}}}}, function{"stat", []call{{"path_filestat_get", []any{3, 0, textAt(0), 1, statAt}}}})
	var paths []string
	r := runCommand(t, newHost(t), wasm, 2,
		virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
			if _, err := c.Guest().Call(c.Context(), "draw"); err != nil {
				t.Error(err)
			}
			return c.Next()
		}),
		virt.WithMiddleware("path_open", func(c *virt.Call) wasip1.Errno {
			c.SetPath("path", "other")
			if _, err := c.Guest().Call(c.Context(), "stat"); err != nil {
				t.Error(err)
			}
			return c.Next()
		}),
		virt.WithMiddleware("path_filestat_get", func(c *virt.Call) wasip1.Errno {
			p, _ := c.Path("path")
			paths = append(paths, p)
			return c.Next()
		}))
	wantErrnos(t, r, wasip1.ESUCCESS, wasip1.ESUCCESS)
	if diff := cmp.Diff([]string{"x"}, paths); diff != "" {
		t.Errorf("the call within got a path of the call around it (-want +got):\n%s", diff)
	}
}

func TestMiddlewareIsAnOnion(t *testing.T) {
	var order []string
	mark := func(name string) virt.Handler {
		return func(c *virt.Call) wasip1.Errno {
			order = append(order, name)
			defer func() { order = append(order, "/"+name) }()
			return c.Next()
		}
	}
	host := newHost(t, virt.WithMiddleware("*", mark("host")), virt.WithReplacement("sched_yield", mark("lowest")))
	r := runCommand(t, host, command(nil, call{"sched_yield", nil}), 1, virt.WithMiddleware("sched", mark("guest")),
		virt.WithReplacement("sched", mark("replacement")))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if got, want := strings.Join(order, " "), "host guest replacement lowest /lowest /replacement /guest /host"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNextMayBeCalledAgain(t *testing.T) {
	tries := 0
	inner := func(c *virt.Call) wasip1.Errno {
		if tries++; tries < 3 {
			return wasip1.EINTR
		}
		return c.Next()
	}
	r := runCommand(t, newHost(t), command(nil, call{"sched_yield", nil}), 1,
		virt.WithMiddleware("sched_yield", func(c *virt.Call) wasip1.Errno {
			for {
				if errno := c.Next(); errno != wasip1.EINTR {
					return errno
				}
			}
		}), virt.WithMiddleware("sched_yield", inner))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
}

func TestAHandlerTraps(t *testing.T) {
	r := runCommand(t, newHost(t), command(nil, call{"sched_yield", nil}), 0,
		virt.WithMiddleware("*", func(c *virt.Call) wasip1.Errno { c.Trap(errTest); return 0 }))
	if r.result.Outcome != virt.Trapped || r.result.Trap.Kind != trap.Host || r.result.Trap.Message != errTest.Error() {
		t.Errorf("%v: %v", r.result, r.result.Trap)
	}
	r = runCommand(t, newHost(t), command(nil, call{"sched_yield", nil}), 0,
		virt.WithMiddleware("*", func(c *virt.Call) wasip1.Errno { c.Path("path"); return 0 }))
	if r.result.Outcome != virt.Failed || !strings.Contains(r.result.String(), `sched_yield has no path named "path"`) {
		t.Errorf("a mistake of the Handler: %v", r.result)
	}
}

// TestAHandlerThatPanicsEndsItsGuest, and nothing else.
func TestAHandlerThatPanicsEndsItsGuest(t *testing.T) {
	host := newHost(t)
	wasm := command(nil, call{"sched_yield", nil})
	r := runCommand(t, host, wasm, 0, virt.WithMiddleware("*", func(c *virt.Call) wasip1.Errno { panic(errTest) }))
	if r.result.Outcome != virt.Failed || !errors.Is(r.result.Err, errTest) {
		t.Errorf("%v", r.result)
	}
	wantErrnos(t, runCommand(t, host, wasm, 1), wasip1.ESUCCESS)
}

// TestACallThatIsOver cannot be made once more.
func TestACallThatIsOver(t *testing.T) {
	var kept *virt.Call
	wantErrnos(t, runCommand(t, newHost(t), command(nil, call{"sched_yield", nil}), 1,
		virt.WithMiddleware("*", func(c *virt.Call) wasip1.Errno { kept = c; return c.Next() })), wasip1.ESUCCESS)
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "valid until its Handler returns") {
			t.Errorf("panicked with %s", text)
		}
	}()
	kept.Next()
}

// TestAPathMayBecomeLonger, also than the guest has room for, and than any path may be.
func TestAPathMayBecomeLonger(t *testing.T) {
	long := strings.Repeat("d/", 1000)
	files := memfs.New()
	if err := errors.Join(files.MkdirAll(long), files.WriteFile(long+"x", []byte("deep"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]wasip1.Errno{long + "x": 0, strings.Repeat("d/", vfs.MaxPath) + "x": wasip1.ENAMETOOLONG, "": wasip1.ENOENT, "d\x00": wasip1.EINVAL, "\xff": wasip1.EILSEQ, "/d": wasip1.EPERM} {
		r := runCommand(t, newHost(t, virt.WithMount("/", files)), command(texts("x"), openText(0, 1, 0, resultAt)), 1,
			virt.WithMiddleware("path_open", func(c *virt.Call) wasip1.Errno { c.SetPath("path", path); return c.Next() }))
		if r.errnos[0] != want {
			t.Errorf("%.20q: %v, want %v", path, r.errnos[0], want)
		}
	}
}

// TestNextTwice makes a call twice.
func TestNextTwice(t *testing.T) {
	var out bytes.Buffer
	r := runCommand(t, newHost(t), command(texts("x"), writeText(1, 0)), 1, virt.WithStdout(&out),
		virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
			if errno := c.Next(); errno != wasip1.ESUCCESS {
				return errno
			}
			return c.Next()
		}))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if out.String() != "xx" {
		t.Errorf("%q was written", out.String())
	}
}

func TestParametersAreChanged(t *testing.T) {
	files := memfs.New()
	if err := files.WriteFile("a", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	wasm := command(texts("a"), openText(0, 1, 0, resultAt), call{"fd_pread", []any{from(resultAt), iovecAt(15), 1, uint64(2), resultAt + 4}})
	r := runCommand(t, newHost(t, virt.WithMount("/", files)), wasm, 2, virt.WithMiddleware("fd_pread", func(c *virt.Call) wasip1.Errno {
		if got := c.Uint64("offset"); got != 2 {
			t.Errorf("offset %d", got)
		}
		c.SetUint64("offset", 5)
		errno := c.Next()
		b, _ := c.Bytes("iovs")
		if n, _ := c.Result("nread"); n != 5 || string(b) != "56789" {
			t.Errorf("%d bytes: %q", n, b)
		}
		if _, e := c.SetBytes("iovs", []byte("changed")); e != wasip1.ESUCCESS {
			t.Error(e)
		}
		return errno
	}))
	wantErrnos(t, r, 0, 0)
	if got := string(r.memory[bufferAt : bufferAt+8]); got != "changed\x00" || r.u32(resultAt+4) != 7 {
		t.Errorf("read %q, %d bytes", got, r.u32(resultAt+4))
	}
}

func TestThreadSpawnIsWrapped(t *testing.T) {
	wasm := command(nil, call{"thread-spawn", []any{5}})
	r := runCommand(t, newHost(t), wasm, 0, virt.WithMiddleware("thread-spawn", func(c *virt.Call) wasip1.Errno {
		if c.Uint32("start_arg") != 5 {
			t.Errorf("argument %d", c.Uint32("start_arg"))
		}
		return wasip1.EPERM
	}))
	if got := int32(r.u32(errnosAt)); got != -int32(wasip1.EPERM) {
		t.Errorf("answered %d", got)
	}
	r = runCommand(t, newHost(t), wasm, 0, virt.WithMiddleware("thread-spawn", func(c *virt.Call) wasip1.Errno { return 0 }))
	if got := int32(r.u32(errnosAt)); got != -int32(wasip1.ENOTSUP) {
		t.Errorf("a Handler that has no thread to show answered %d", got)
	}
}

func TestFallbackIsAnotherHost(t *testing.T) {
	host := newHost(t, virt.WithClock(clock.Frozen(time.Unix(0, 5))), virt.WithFallback("clock_time_get,random_get", func(r wazero.Runtime) (api.Module, error) {
		b := r.NewHostModuleBuilder("wazero's")
		wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
		return b.Instantiate(context.Background())
	}))
	wasm := command(texts(), call{"clock_time_get", []any{0, uint64(0), resultAt}}, call{"clock_res_get", []any{0, resultAt + 8}})
	r := runCommand(t, host, wasm, 2)
	wantErrnos(t, r, 0, 0)
	// wazero's clock, unless told otherwise, begins in 2022; the Host's stands in 1970.
	if got := binary.LittleEndian.Uint64(r.memory[resultAt:]); got < 1e18 {
		t.Errorf("the time is %d", got)
	}
	_, err := virt.NewBuilder(virt.WithFallback("fd_write", func(r wazero.Runtime) (api.Module, error) {
		return r.NewHostModuleBuilder("empty").Instantiate(context.Background())
	})).Build(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no function fd_write") {
		t.Errorf("built with %v", err)
	}
}

type fixedPoller struct{}

func (fixedPoller) Poll(_ *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	events[0] = wasip1.Event{Userdata: 42, Type: subs[0].Tag}
	return 1, wasip1.ESUCCESS
}

func TestPollerIsReplaced(t *testing.T) {
	data := texts()
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 1 << 62}}
	s.Encode(data[subAt:])
	r := runCommand(t, newHost(t), command(data, call{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}}), 1, virt.WithPoller(fixedPoller{}))
	wantErrnos(t, r, wasip1.ESUCCESS)
	if r.u32(eventAt) != 42 {
		t.Errorf("event of %d", r.u32(eventAt))
	}
}

func TestMistakesInOptions(t *testing.T) {
	handler := func(c *virt.Call) wasip1.Errno { return c.Next() }
	for want, o := range map[string]virt.Option{
		`"fd_wirte" is no function`:       virt.WithMiddleware("fd_wirte", handler),
		"the Handler is nil":              virt.WithReplacement("fd_write", nil),
		"syntax error in pattern":         virt.WithMiddleware("[", handler),
		`pattern "/a/[": syntax error`:    virt.WithPolicy(virt.Deny("*", "/a/[")),
		"errno 0 refuses nothing":         virt.WithPolicy(virt.Deny("*").With(0)),
		`"nowhere" is no function`:        virt.WithAllowedImports("nowhere"),
		"nothing goes wrong":              virt.WithFaults(virt.Fault{Calls: "*"}),
		"the Tracer is nil":               virt.WithTrace(nil),
		"WithSharedLimits: Sleep is -1ns": virt.WithSharedLimits(func(l *virt.Limits) { l.Sleep = -1 }),
		"WithLimits: Sleep is -1s":        virt.WithLimits(func(l *virt.Limits) { l.Sleep = -time.Second }),
		"NoThreads":                       virt.WithSharedLimits(func(l *virt.Limits) { l.Threads = virt.NoThreads }),
		"RecordingBytes":                  virt.WithSharedLimits(func(l *virt.Limits) { l.RecordingBytes = 1 }),
		"trace.WithBytes: -1 is negative": virt.WithTrace(trace.Text(nil), trace.WithBytes(-1)),
	} {
		_, err := virt.NewBuilder(o).Build(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
}

// TestSelectionsLeaveOut: "!" leaves out what it stands for, in the order of the list.
func TestSelectionsLeaveOut(t *testing.T) {
	wasm := command(texts("x"), writeText(1, 0), call{"sched_yield", nil}, call{"clock_time_get", []any{1, uint64(0), resultAt}})
	for match, want := range map[string][]string{
		"!fd_write":            {"sched_yield", "clock_time_get"},
		"!clock,!sched_yield":  {"fd_write"},
		"*,!fd_*":              {"sched_yield", "clock_time_get"},
		"fd_*,!fd_write":       nil,
		"!fd_write,fd_write":   {"fd_write", "sched_yield", "clock_time_get"},
		"fd_write,sched_yield": {"fd_write", "sched_yield"},
	} {
		var seen []string
		note := func(c *virt.Call) wasip1.Errno {
			if slices.Contains([]string{"fd_write", "sched_yield", "clock_time_get"}, c.Name()) {
				seen = append(seen, c.Name())
			}
			return c.Next()
		}
		runCommand(t, newHost(t, virt.WithMiddleware(match, note)), wasm, 3)
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", match, diff)
		}
	}
	if _, err := virt.NewBuilder(virt.WithMiddleware("!fd_wrte", func(c *virt.Call) wasip1.Errno { return c.Next() })).Build(t.Context()); err == nil {
		t.Error("a name that is no function was left out")
	}
}
