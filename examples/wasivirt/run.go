package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
)

// repeated is a flag that may be given many times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, " ") }
func (r *repeated) Set(s string) error { *r = append(*r, s); return nil }

// size is a flag that is a number of bytes, with an optional suffix K, M, G or T (powers of 1024).
type size uint64

func (s *size) String() string { return strconv.FormatUint(uint64(*s), 10) }

func (s *size) Set(text string) error {
	digits := strings.TrimRight(text, "iBb")
	shift := 0
	if n := len(digits); n > 0 {
		if i := strings.IndexByte("KMGT", digits[n-1]&^0x20); i >= 0 {
			digits, shift = digits[:n-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n<<shift>>shift != n {
		return fmt.Errorf("want a number of bytes such as 65536 or 64M")
	}
	*s = size(n << shift)
	return nil
}

// settings are the flags of run.
type settings struct {
	mounts, env, envPass, listen, faults, exports repeated
	connect, plugs                                repeated
	clock, sched, argv0, invoke                   string
	seed, deterministic, turns                    optional
	threads, fds                                  number
	fuel                                          count
	timeout, cpu                                  span
	memory, stack, disk, output                   size
	switches, strategy                            string
	parallel                                      bool // -sched parallel was asked for
	trace, traceFormat, traceCalls                string
	record, diff, status                          string
	noPreempt, interpreter, absoluteLinks, spawn  bool
	localhost                                     bool // /etc/hosts names the loopback; has no flag
	untrusted, trapImports, throwRef              bool
	lateTimers, canonicalNaNs                     bool
	from, store                                   string
	model                                         string
	short                                         map[string]string // of mounts that -dir made: its value
	given                                         map[string]bool   // the flags that were given, or set by the environment
}

// optional is a number that may be left out.
type optional struct {
	set   bool
	value uint64
}

func (o *optional) String() string {
	if !o.set {
		return ""
	}
	return strconv.FormatUint(o.value, 10)
}

func (o *optional) Set(s string) error {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return fmt.Errorf("want a number from 0 to 2^64-1")
	}
	o.set, o.value = true, n
	return nil
}

// span is a flag that is a time: 1.5s, 2m, or a number of seconds.
type span time.Duration

func (s *span) String() string { return time.Duration(*s).String() }

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, e := strconv.ParseFloat(text, 64); err != nil && e == nil && seconds >= 0 && seconds < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return errors.New("want a time such as 1.5s, 200ms or 2m, or a number of seconds")
	}
	*s = span(d)
	return nil
}

// count is a flag that is a number: 1000000 or 1e6.
type count uint64

func (c *count) String() string { return strconv.FormatUint(uint64(*c), 10) }

func (c *count) Set(text string) error {
	n, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 63)
	if f, e := strconv.ParseFloat(text, 64); err != nil && e == nil && f >= 0 && f < 1<<63 && f == math.Trunc(f) {
		n, err = uint64(f), nil
	}
	if err != nil {
		return errors.New("want a whole number such as 1000000 or 1e6")
	}
	*c = count(n)
	return nil
}

// number is a flag that is a small number.
type number int

func (n *number) String() string { return strconv.Itoa(int(*n)) }

func (n *number) Set(text string) error {
	v, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return errors.New("want a whole number from 0 to 2147483647")
	}
	*n = number(v)
	return nil
}

// directories is the flag -dir, of which each adds a mount: HOST, or HOST::GUEST as wasmtime has
// it.
type directories struct{ *settings }

func (d directories) String() string { return "" }

func (d directories) Set(text string) error {
	host, guest, given := strings.Cut(text, "::")
	if !given {
		guest = host
	}
	if host == "" || guest == "" {
		return errors.New("want HOSTDIR or HOSTDIR::GUEST")
	}
	mount := guest + "=dir:" + host
	if d.short == nil {
		d.short = map[string]string{}
	}
	d.short[mount] = text
	return d.mounts.Set(mount)
}

// flagOf is a mount as it was given, by -mount or -dir.
func (s *settings) flagOf(mount string) string {
	if text, ok := s.short[mount]; ok {
		return fmt.Sprintf("-dir %q", text)
	}
	return fmt.Sprintf("-mount %q", mount)
}

func (s *settings) flags() *flag.FlagSet {
	f := newFlags("run")
	f.Var(&s.mounts, "mount", "`GUEST=SPEC`, repeatable. SPEC is mem, mem:HOSTDIR, mem:FILE.tar, dir:HOSTDIR, ro:HOSTDIR, overlay:HOSTDIR, file:HOSTFILE, zip:FILE or dev")
	f.Var(&s.env, "env", "`K=V`, repeatable: an environment variable of the guest")
	f.Var(&s.envPass, "env-pass", "`NAME`, repeatable: let this variable of the host's environment in")
	f.StringVar(&s.clock, "clock", "real", "`KIND`: real, or virtual[:RFC3339], which jumps ahead when everything sleeps")
	f.StringVar(&s.sched, "sched", "parallel", "`ORDER`: parallel, or seeded[:N]: one thread runs at a time, and a seed decides which")
	f.Var(&s.deterministic, "deterministic", "`N`: short for -clock virtual:2000-01-01T00:00:00Z -seed N -sched seeded:N, with the threads' order that explore gives seed N")
	f.StringVar(&s.switches, "switches", "accesses", "`WHERE`: where threads can switch with -deterministic and explore: accesses to shared memory, or calls only, which is faster")
	f.StringVar(&s.strategy, "strategy", "", "`NAME`: who is next where threads take turns: portfolio (several of the others, by the seed), uniform, block:P (a thread keeps its turn until it waits, and loses it with probability P at other switch points), pct:DEPTH,STEPS (priorities, of which DEPTH-1 change within STEPS choices), pos (partial-order sampling), delayed:STEPS (one thread is slow for up to STEPS choices), plan:1@5>2,… (when thread 1 comes to its fifth switch point, thread 2 goes on) or round-robin (default: portfolio with -deterministic and explore, else uniform)")
	f.StringVar(&s.from, "from", "", "`FILE` of wasivirt snapshot: begin where that was taken. Mounts that are given take the place of those in it")
	f.BoolVar(&s.lateTimers, "late-timers", true, "with -deterministic and explore, let timers of up to a second fire while threads could run, as if the machine had stopped them")
	f.BoolVar(&s.canonicalNaNs, "canonical-nans", false, "with -deterministic and explore, give NaNs the same bits on all machines; loops of floating-point arithmetic take 1.1 to 2.7 times as long")
	f.StringVar(&s.model, "memory-model", "sc", "`MODEL`: with -deterministic and explore, when threads see each other's stores: sc, at once; tso, later: stores that are not atomic wait in a buffer for each thread, as on x86; or wasm, as tso, and accesses that are not atomic change places")
	f.StringVar(&s.record, "record", "", "`FILE`: everything that crosses the border between guest and host, for replay. Threads run one at a time")
	f.Var(&s.listen, "listen", "`ADDR`, repeatable: a TCP listener on loopback, as the next descriptor after the mounts'")
	f.Var(&s.connect, "connect", "`[udp:]HOST[:PORT]`, repeatable: let the guest connect to an address, a prefix such as 10.0.0.0/8 or a name, by the sockets of WasmEdge; with udp: by datagrams")
	f.BoolVar(&s.spawn, "spawn", false, "let the guest start programs of its files as guests, by the functions of wasivirt_spawn")
	f.Var(&s.exports, "export", "`GUEST=FILE.tar`, repeatable: the tree at a path of the guest, after the run")
	f.StringVar(&s.diff, "diff", "", "`FILE.tar`: what the run changed in its writable mounts; a dir: mount is then changed at the end of the run")
	f.StringVar(&s.status, "status", "", "`FILE`, written each second: the guests, what their threads wait for, and their open descriptors. SIGUSR1 writes the same to standard error")
	f.Var(&s.seed, "seed", "`N`: seeded randomness instead of the system's")
	f.StringVar(&s.argv0, "argv0", "", "`NAME` of the program (default: the file's base name)")
	f.StringVar(&s.invoke, "invoke", "", "call the export `NAME` instead of _start, with the guest's arguments as parameters if it takes any, and print its results")
	f.Var(directories{s}, "dir", "`HOST[::GUEST]`, repeatable: mount a real directory, writable; short for -mount GUEST=dir:HOST")
	f.BoolVar(&s.untrusted, "untrusted", false, "set every budget for a module that nobody vouches for; other flags change single budgets")
	f.Var(&s.timeout, "timeout", "end the guest after this `TIME`, such as 1.5s or 2m; a bare number is in seconds")
	f.Var(&s.cpu, "cpu", "end the guest after it has computed for this `TIME`, all its threads together; waiting does not count")
	f.Var(&s.stack, "stack", "`BYTES` of memory for the call stacks of all threads at most, such as 32M")
	f.Var(&s.memory, "memory", "`BYTES` of linear memory at most, such as 64M")
	f.Var(&s.fds, "fds", "`N` open descriptors at most (0: the default)")
	f.Var(&s.disk, "disk", "`BYTES` that files may grow by, over all mounts")
	f.Var(&s.faults, "fault", "`RULE`, repeatable: let calls go wrong, as in path_open:/data/*:nth=3:EIO")
	f.Var(&s.plugs, "plug", "`FILE.wasm`, repeatable: a module that answers WASI functions of the guest; the last is outermost")
	f.StringVar(&s.trace, "trace", "", "write each call to this `FILE`, or to standard error (-)")
	f.StringVar(&s.traceFormat, "trace-format", "text", "`FORMAT`: text, json (an object a line), or perfetto (for ui.perfetto.dev)")
	f.StringVar(&s.traceCalls, "trace-calls", "*", "`CALLS` that -trace writes: names, patterns or subsystems with commas between them, as in fd_*,path_open; ! leaves out, as in '!clock'")
	f.BoolVar(&s.trapImports, "trap-unknown-imports", false, "run modules that import functions which nothing provides; a call of one is a trap")
	f.Var(&s.output, "output", "`BYTES` of standard output and error together at most")
	f.Var(&s.fuel, "fuel", "`N` WebAssembly instructions at most, such as 1e9")
	f.Var(&s.threads, "threads", "`N` threads alive at once at most, besides the first (0: thread-spawn answers EAGAIN; 64 with -deterministic and explore)")
	f.BoolVar(&s.noPreempt, "no-preempt", false, "run the module as it is: a loop in it cannot be stopped")
	f.BoolVar(&s.absoluteLinks, "absolute-links", false, "let symbolic links have absolute targets, which start at the guest's \"/\"")
	f.BoolVar(&s.interpreter, "interpreter", false, "use wazero's interpreter instead of its compiler")
	s.throwRefFlag(f)
	return f
}

func (s *settings) throwRefFlag(f *flag.FlagSet) {
	f.BoolVar(&s.throwRef, "throw-ref", false, "run modules with the instruction throw_ref, if you trust them: wazero frees exceptions that they refer to")
}

// givenOf tells which flags were given.
func givenOf(flags *flag.FlagSet) map[string]bool {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
}

// unused refuses flags that would have no effect beside the others.
func (s *settings) unused(flags *flag.FlagSet) error {
	given := givenOf(flags)
	s.given = given
	for _, name := range []string{"trace-format", "trace-calls"} {
		if given[name] && s.trace == "" && traceFormats[s.traceFormat] != nil {
			return fmt.Errorf("-%s has no effect without -trace FILE: give both", name)
		}
	}
	for _, name := range []string{"switches", "memory-model", "late-timers", "canonical-nans"} {
		if given[name] && !s.deterministic.set {
			return fmt.Errorf("-%s has no effect without -deterministic N: give both", name)
		}
	}
	for _, name := range []string{"clock", "seed", "sched"} {
		if given[name] && given["deterministic"] {
			return fmt.Errorf("-%s: -deterministic sets it: give one of the two", name)
		}
	}
	return nil
}

// readProgram reads a module from a file, or from standard input, which the guest then finds at its
// end.
func readProgram(file string, stdin *io.Reader) ([]byte, error) {
	if file != "-" {
		return os.ReadFile(file)
	}
	wasm, err := io.ReadAll(*stdin)
	if err != nil {
		return nil, fmt.Errorf("read the program from standard input: %w", err)
	}
	*stdin = strings.NewReader("")
	return wasm, nil
}

// runGuest is the command run.
func runGuest(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var s settings
	flags := s.flags()
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if err := s.environment(flags, os.Getenv); err != nil {
		return exitHost, err
	}
	if flags.NArg() == 0 {
		return exitHost, noProgram("run")
	}
	if err := s.unused(flags); err != nil {
		return exitHost, err
	}
	s.parallel = s.given["sched"] && s.sched == "parallel"
	return s.run(ctx, flags.Arg(0), flags.Args()[1:], stdin, stdout, stderr)
}

func (s *settings) run(ctx context.Context, file string, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error) {
	// What goes wrong after the guest's end is the host's part too.
	defer func() {
		if err != nil {
			code = exitHost
		}
	}()
	wasm, err := readProgram(file, &stdin)
	if err != nil {
		return exitHost, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w := &world{settings: s, stderr: stderr}
	defer func() { err = errors.Join(err, w.close()) }()
	recording, err := w.recording(wasm, stderr)
	if err != nil {
		return exitHost, err
	}
	if err := w.afterwards(); err != nil {
		return exitHost, err
	}
	opts, err := w.optionsInTime(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(stderr, "wasivirt: out of wall time before the guest began: %v\n", err)
		return exitTimeout, nil
	} else if signal, ok := errors.AsType[signaled](err); ok {
		return signal.status(), nil
	} else if err != nil {
		return exitHost, err
	}
	control, err := w.control(stderr)
	if err != nil {
		return exitHost, err
	}
	opts = append(append(opts, control...), brokenPipe(end))
	if s.trapImports {
		traps, err := trapping(wasm)
		if err != nil {
			return exitHost, fmt.Errorf("%s: %w", file, err)
		}
		opts = append(opts, traps...)
	}
	host, err := virt.NewBuilder(opts...).Build(ctx)
	if err != nil {
		return exitHost, err
	}
	defer func() {
		if !w.leave { // the compiler goes on until the process ends, which is now
			err = errors.Join(err, host.Close(context.WithoutCancel(ctx)))
		}
	}()
	module, err := w.compile(ctx, host, wasm)
	if err != nil {
		w.leave = ctx.Err() != nil
		return exitHost, fmt.Errorf("%s: %w", file, err)
	}
	if s.invoke == "" && s.store == "" && !module.Command() {
		return exitHost, fmt.Errorf("%s: the module exports no _start: it is no program; -invoke NAME calls one of its exports (see wasivirt inspect)", file)
	}
	name := s.argv0
	if name == "" {
		name = filepath.Base(file)
	}
	plugged, err := s.plugged(ctx, host)
	if err != nil {
		return exitHost, err
	}
	guest, close, err := s.instantiate(ctx, host, module, w.mountOptions, append(plugged, recording, virt.WithName(name), virt.WithArgs(args...),
		virt.WithStdin(stdin), virt.WithStdout(stdout), virt.WithStderr(stderr))...)
	if exit := (*virt.ExitError)(nil); errors.As(err, &exit) {
		return status(exit.Result, stderr), nil
	} else if err != nil {
		return exitHost, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { err = errors.Join(err, guest.Close(context.WithoutCancel(ctx)), close()) }()
	if s.store != "" {
		err := w.storeSnapshot(ctx, guest)
		if exit, ok := errors.AsType[*virt.ExitError](err); ok {
			return status(exit.Result, stderr), nil
		}
		return 0, err
	}
	tell, err := s.tellStatus(host, stderr)
	if err != nil {
		return exitHost, err
	}
	defer func() { err = errors.Join(err, tell()) }()
	var result *virt.Result
	if s.invoke != "" {
		result, err = invoke(ctx, guest, s.invoke, args, stdout)
	} else {
		result, err = guest.Run(ctx)
	}
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", file, err)
	}
	return status(result, stderr), w.finish(guest)
}

// plugged compiles the modules of -plug.
func (s *settings) plugged(ctx context.Context, host *virt.Host) (opts []virt.GuestOption, err error) {
	for _, file := range s.plugs {
		wasm, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-plug: %w", err)
		}
		plug, err := host.CompilePlug(ctx, wasm)
		if err != nil {
			return nil, fmt.Errorf("-plug %s: %w", file, err)
		}
		opts = append(opts, virt.WithPlug(plug))
	}
	return opts, nil
}

// optionsInTime is options within -timeout, of which the guest gets what is left.
func (w *world) optionsInTime(ctx context.Context) ([]virt.Option, error) {
	w.ctx = ctx
	if w.timeout <= 0 {
		return w.options()
	}
	end := time.Now().Add(time.Duration(w.timeout))
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	w.ctx = ctx
	opts, err := w.options()
	w.timeout = span(max(time.Until(end), 1))
	return opts, err
}

// invoke calls an export and prints its results, one a line. The guest's arguments are the
// parameters of an export that takes any.
func invoke(ctx context.Context, guest *virt.Guest, name string, args []string, stdout io.Writer) (*virt.Result, error) {
	f, ok := guest.Instance().ExportedFunctionDefinitions()[name]
	if !ok {
		return nil, fmt.Errorf("-invoke %q: the module exports no such function: wasivirt inspect lists its exports", name)
	}
	if len(f.ParamTypes()) == 0 {
		args = nil
	}
	values, err := guest.CallFormatted(ctx, name, args...)
	if exit := (*virt.ExitError)(nil); errors.As(err, &exit) {
		return exit.Result, nil
	} else if err != nil {
		return nil, err
	}
	for _, v := range values {
		if _, err := fmt.Fprintln(stdout, v); err != nil {
			return nil, err
		}
	}
	return &virt.Result{Outcome: virt.Exited}, nil
}

// status is the exit status that tells of a result; what the status cannot tell is printed.
func status(r *virt.Result, stderr io.Writer) int {
	switch r.Outcome {
	case virt.Exited:
		if status := int(r.ExitCode & 0xff); status != 0 || r.ExitCode == 0 {
			return status
		}
		return 255 // a failure is no success because of what the system drops of its number
	case virt.Signaled:
		return 128 + int(r.Signal)
	case virt.Canceled:
		signal := signalOf(r.Err)
		if signal.Signal != syscall.SIGPIPE {
			fmt.Fprintf(stderr, "wasivirt: %v\n", signal)
		}
		return signal.status()
	}
	text, _, _ := strings.Cut(r.String(), "\n") // a panic's stack is no help to who runs the command
	fmt.Fprintf(stderr, "wasivirt: %s\n", safetext.Line(text))
	switch r.Outcome {
	case virt.Trapped:
		for line := range strings.Lines(safetext.Lines(r.Trap.Stack, 128)) {
			fmt.Fprintf(stderr, "    %s", line)
		}
		return exitTrap
	case virt.Deadlocked:
		for _, s := range r.Stacks {
			fmt.Fprintf(stderr, "  thread %d was in\n", s.Thread)
			for line := range strings.Lines(safetext.Lines(s.Frames, 128)) {
				fmt.Fprintf(stderr, "    %s", line)
			}
		}
		return exitDeadlock
	case virt.Exhausted:
		if r.Budget == virt.BudgetWallTime {
			return exitTimeout
		}
		return exitExhausted
	}
	return exitHost
}
