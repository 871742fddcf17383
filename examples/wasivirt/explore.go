package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// exploration is the command explore: the flags of run, and its own.
type exploration struct {
	settings
	seeds      string
	workers    number
	time       span
	systematic bool
	guided     bool
	schedules  number
	state      string
	html       string
	flags      *flag.FlagSet
	shared     mounted
	begun      atomic.Int64 // runs
}

// mounted are the file systems of the machine that all runs share. They are read only.
type mounted struct {
	mu    sync.Mutex
	files map[string]vfs.FS
	world *world // closes them
}

// exploreGuest is the command explore.
func exploreGuest(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) (code int, err error) {
	e := &exploration{}
	e.addFlags()
	if err := parse(e.flags, args, stdout); err != nil {
		return exitHost, err
	}
	if e.flags.NArg() == 0 {
		return exitHost, noProgram("explore")
	}
	// Directories are read only, and nobody is expected to change them meanwhile.
	c := explore.Config{Workers: int(e.workers), World: e.makeWorld, AllowMachine: true}
	if c.First, c.Last, err = parseSeeds(e.seeds); err != nil {
		return exitHost, err
	}
	if c.Wasm, err = os.ReadFile(e.flags.Arg(0)); err != nil {
		return exitHost, err
	}
	if err := e.check(); err != nil {
		return exitHost, err
	}
	if e.threads == 0 {
		e.threads = explore.DefaultThreads
	}
	if c.Strategy, err = parseStrategy(e.strategy); err != nil {
		return exitHost, err
	}
	c.Fuel, c.Threads, c.CallsOnly, c.PunctualTimers = uint64(e.fuel), int(e.threads), e.switches == "calls", !e.lateTimers
	c.Time, c.Systematic, c.MaxSchedules, c.Guided = time.Duration(e.time), e.systematic, int(e.schedules), e.guided
	if c.MemoryModel, err = parseModel(e.model); err != nil {
		return exitHost, err
	}
	if e.state != "" && !e.systematic {
		return exitHost, errors.New("-state is for -systematic")
	}
	if c.State, err = e.readState(); err != nil {
		return exitHost, err
	}
	// A run leaves garbage of some 100 KiB while little is live: the collector would run every few
	// milliseconds. A block that is never touched takes no memory of the machine and counts as
	// live, which makes the collector wait for as much garbage more.
	block := make([]byte, 16<<20)
	defer runtime.KeepAlive(block)
	w := &world{settings: &e.settings}
	defer func() { err = errors.Join(err, w.close()) }()
	e.shared.world, e.shared.files = w, map[string]vfs.FS{}
	engine, err := w.engine()
	if err != nil {
		return exitHost, err
	}
	c.Host = []virt.Option{engine, virt.WithDeterminism(virt.Determinism{CanonicalNaNs: e.canonicalNaNs})}
	if e.noPreempt {
		c.Host = append(c.Host, virt.WithoutPreemption())
	}
	report, stopped := e.run(ctx, c, stderr)
	if report == nil {
		return exitHost, fmt.Errorf("%s: %w", e.flags.Arg(0), stopped)
	}
	if e.state != "" && report.State != nil {
		if err := os.WriteFile(e.state, append([]byte(e.searched()), report.State...), 0o666); err != nil {
			return exitHost, err
		}
	}
	e.fuel = count(report.Fuel)
	if err := report.Write(stdout, e.command); err != nil {
		return exitHost, err
	}
	if e.html != "" {
		if err := e.writePage(report); err != nil {
			return exitHost, err
		}
	}
	switch {
	case stopped != nil:
		return exitHost, stopped
	case !report.Clean():
		return 1, nil
	}
	return 0, nil
}

// addFlags makes the flags: those of run, and its own.
func (e *exploration) addFlags() {
	e.flags = e.settings.flags()
	e.flags.Init("explore", flag.ContinueOnError)
	e.flags.StringVar(&e.seeds, "seeds", "1..1000", "`A..B`: the seeds to run")
	e.flags.Var(&e.time, "time", "begin no more runs after this `TIME`, such as 10m (0: until all seeds are run)")
	e.flags.BoolVar(&e.systematic, "systematic", false, "explore schedules instead of seeds, those with few preemptions first, one of each class that cannot differ, up to -schedules; says whether that proves that no other ends otherwise")
	e.flags.Var(&e.schedules, "schedules", "`N` schedules that -systematic runs at most (0: 100000)")
	e.flags.BoolVar(&e.guided, "guided", false, "let every second run vary the schedule of one that did something new")
	e.flags.StringVar(&e.state, "state", "", "`FILE`: go on with the search of -systematic that it holds, if it exists, and write how far the search came")
	e.flags.StringVar(&e.html, "html", "", "`FILE`: write the report as a page too, with a lane for each thread")
	e.flags.Var(&e.workers, "workers", "`N` runs at a time (0: one a core)")
}

// run explores, and shows how many runs were begun.
func (e *exploration) run(ctx context.Context, c explore.Config, stderr io.Writer) (*explore.Report, error) {
	compiling := compiling(c.Wasm)
	defer progress(stderr, func() string {
		if n := e.begun.Load(); n != 0 {
			return fmt.Sprintf("exploring, %d runs", n)
		}
		return compiling()
	})()
	return explore.Run(ctx, c)
}

// writePage writes the report as a page.
func (e *exploration) writePage(r *explore.Report) (err error) {
	f, err := os.Create(e.html)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.WriteHTML(f, filepath.Base(e.flags.Arg(0)), e.command)
}

// check refuses flags that make no sense for many runs.
func (e *exploration) check() error {
	given := givenOf(e.flags)
	for _, name := range []string{"from", "spawn", "trace-calls", "trace-format"} {
		if given[name] {
			return fmt.Errorf("-%s is for wasivirt run: explore begins each run of the program at its start, and shows the end and the output", name)
		}
	}
	if given["fuel"] && e.fuel == 0 {
		return errors.New("-fuel 0: want a limit, by which explore knows a program that never ends; without the flag it finds one that fits the program")
	}
	for name, set := range map[string]bool{
		"-plug": e.plugs != nil, "-status": e.status != "",
		"-record": e.record != "", "-diff": e.diff != "", "-trace": e.trace != "", "-trap-unknown-imports": e.trapImports, "-export": e.exports != nil, "-listen": e.listen != nil,
		"-invoke": e.invoke != "", "-untrusted": e.untrusted, "-deterministic": e.deterministic.set, "-seed": e.seed.set, "-sched": e.sched != "parallel", "-clock": e.clock != "real",
	} {
		if set {
			return fmt.Errorf("%s is for one run: explore sets clock, randomness and threads by the seed, and shows the end and the output", name)
		}
	}
	for _, m := range e.mounts {
		if strings.Contains(m, "=dir:") {
			return fmt.Errorf("%s: each run would find what others left: give -mount GUEST=overlay:HOSTDIR or GUEST=ro:HOSTDIR", e.flagOf(m))
		}
	}
	return nil
}

// makeWorld makes the world of one run.
func (e *exploration) makeWorld(seed uint64) ([]virt.Option, error) {
	e.begun.Add(1)
	s := e.settings
	s.deterministic = optional{set: true, value: seed}
	w := &world{settings: &s, shared: &e.shared}
	opts, err := w.options()
	if err != nil {
		return nil, err
	}
	control, err := w.control(io.Discard)
	opts = append(opts, control...)
	name := e.argv0
	if name == "" {
		name = filepath.Base(e.flags.Arg(0))
	}
	return append(opts, virt.WithName(name), virt.WithArgs(e.flags.Args()[1:]...)), err
}

// command is the command line that runs one seed again, or a schedule of it, with the same limits
// and input.
func (e *exploration) command(seed uint64, s *explore.Schedule) string {
	words := []string{"wasivirt", "run", "-deterministic", strconv.FormatUint(seed, 10)}
	given := map[string]bool{}
	words = append(words, e.world(func(name string) bool {
		given[name] = true
		return s == nil || name != "strategy" && name != "late-timers"
	})...)
	if s != nil {
		words = append(words, "-strategy", "plan:"+s.Plan.String())
		if s.Punctual {
			words = append(words, "-late-timers=false")
		}
	}
	if !given["threads"] {
		words = append(words, "-threads", e.threads.String())
	}
	if !given["fuel"] {
		words = append(words, "-fuel", e.fuel.String())
	}
	words = append(words, e.flags.Args()...)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ") + " </dev/null"
}

// world are the flags that were given for what each run is, among those for which want is true.
func (e *exploration) world(want func(name string) bool) (words []string) {
	e.flags.Visit(func(f *flag.Flag) {
		switch list, many := f.Value.(*repeated); {
		case !want(f.Name) || slices.Contains([]string{"seeds", "workers", "time", "systematic", "schedules", "guided", "state", "html"}, f.Name):
		case many:
			for _, v := range *list {
				words = append(words, "-"+f.Name, v)
			}
		default:
			words = append(words, "-"+f.Name+"="+f.Value.String())
		}
	})
	return words
}

// searched is the first line of a file of -state: what was searched. The search of other runs is
// not gone on with, because what it says of these would be wrong.
func (e *exploration) searched() string {
	words := append([]string{"explore", "-systematic"}, e.world(func(string) bool { return true })...)
	words = append(append(words, "MODULE"), e.flags.Args()[1:]...)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.ReplaceAll(strings.Join(words, " "), "\n", `\n`) + "\n"
}

// readState reads the file of -state, if there is one.
func (e *exploration) readState() ([]byte, error) {
	if e.state == "" {
		return nil, nil
	}
	b, err := os.ReadFile(e.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	line, state, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(line, "explore -systematic ") {
		return nil, fmt.Errorf("-state %q: the file holds no search: remove it, or name another", e.state)
	}
	if line+"\n" != e.searched() {
		return nil, fmt.Errorf("-state %q: the search is of %q, and this one of %q: give the same flags and arguments, or another file", e.state, line, strings.TrimSpace(e.searched()))
	}
	return []byte(state), nil
}

// shellWord quotes a word where a shell would take it for anything else.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-=+:,./@%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// parseSeeds reads A..B.
func parseSeeds(s string) (first, last uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		b = a
	}
	first, err = strconv.ParseUint(a, 10, 64)
	if err == nil {
		last, err = strconv.ParseUint(b, 10, 64)
	}
	if err != nil || last < first {
		return 0, 0, fmt.Errorf("-seeds %q: want A..B, such as 1..1000", s)
	}
	return first, last, nil
}

// open opens a file system of the machine, or returns the one that another run has opened.
func (m *mounted) open(spec string) (vfs.FS, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[spec]; f != nil {
		return f, nil
	}
	f, err := m.world.mount(spec)
	if err == nil {
		m.files[spec] = f
	}
	return f, err
}
