package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/wasivirt/wasivirt/examples/fleet/fleet"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt/explore"
)

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// secondSignal returns a context that ends at the second signal.
func secondSignal(first context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(first))
	signals := make(chan os.Signal, 2)
	stop := context.AfterFunc(first, func() {
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// jobFlags are the flags that make a job.
type jobFlags struct {
	fleet.Job
	tree, stdin string
}

func (j *jobFlags) flags(f *flag.FlagSet) {
	f.StringVar(&j.tree, "tree", "", "`DIR` or tar that becomes the guest's /")
	f.Func("env", "`NAME=VALUE` of the environment; repeatable", func(s string) error { j.Env = append(j.Env, s); return nil })
	f.Uint64Var(&j.Limits.Fuel, "fuel", 0, "instructions (default 1000000000)")
	f.Uint64Var(&j.Limits.Memory, "memory", 0, "`BYTES` of memory (default 256 MiB)")
	f.Uint64Var(&j.Limits.Disk, "disk", 0, "`BYTES` of files (default 64 MiB)")
	f.Uint64Var(&j.Limits.Output, "output", 0, "`BYTES` of output (default 1 MiB)")
	f.IntVar(&j.Limits.Threads, "threads", 0, "threads besides the first (default: none; 64 in explore)")
}

// store puts the module and its files into the fleet.
func (j *jobFlags) store(ctx context.Context, c *fleet.Client, args []string) error {
	if len(args) == 0 {
		return errors.New("which module? want: guest.wasm [arguments]")
	}
	wasm, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	j.Args = args[1:]
	if j.Module, err = c.Put(ctx, wasm); err != nil {
		return err
	}
	if j.tree != "" {
		tree, err := tarOf(j.tree)
		if err != nil {
			return fmt.Errorf("-tree: %w", err)
		}
		if j.Tree, err = c.Put(ctx, tree); err != nil {
			return err
		}
	}
	if j.stdin != "" {
		in, err := os.ReadFile(j.stdin)
		if err != nil {
			return fmt.Errorf("-stdin: %w", err)
		}
		if j.Stdin, err = c.Put(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// tarOf returns a tar of a directory, or the content of a file. Equal trees have equal tars.
func tarOf(name string) ([]byte, error) {
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		if err != nil {
			return nil, err
		}
		return os.ReadFile(name)
	}
	fsys := memfs.New()
	if err := archive.FromDir(fsys, name); err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := archive.ToTar(fsys, &b); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// submit runs a module, prints what it printed and ends with its exit code.
func submit(ctx context.Context, a *app) error {
	j := &jobFlags{}
	j.flags(a.flags)
	a.flags.Uint64Var(&j.Seed, "seed", 0, "`N`: randomness and the order of threads")
	a.flags.StringVar(&j.stdin, "stdin", "", "`FILE` for standard input")
	export := a.flags.String("export", "", "`GUEST=FILE.tar`: a tree after the run")
	noWait := a.flags.Bool("no-wait", false, "print the job's ID and do not wait")
	if err := a.parse(); err != nil {
		return err
	}
	var file string
	if *export != "" {
		var ok bool
		if j.Export, file, ok = strings.Cut(*export, "="); !ok {
			return fmt.Errorf("-export %q: want GUEST=FILE.tar", *export)
		}
	}
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := j.store(ctx, client, a.flags.Args()); err != nil {
		return err
	}
	id, err := client.Submit(ctx, j.Job)
	if err != nil {
		return err
	}
	if *noWait {
		fmt.Fprintln(a.stdout, id)
		return nil
	}
	f, err := client.Wait(ctx, id)
	if err != nil {
		return err
	}
	for _, out := range []struct {
		to     io.Writer
		text   []byte
		object string
	}{{a.stdout, f.Result.Stdout, f.Result.StdoutObject}, {a.stderr, f.Result.Stderr, f.Result.StderrObject}} {
		if out.object != "" {
			if out.text, err = client.Get(ctx, out.object); err != nil {
				return err
			}
		}
		if _, err := out.to.Write(out.text); err != nil {
			return err
		}
	}
	if file != "" {
		if f.Result.Tree == "" {
			return fmt.Errorf("-export: the guest left no %s", j.Export)
		}
		tree, err := client.Get(ctx, f.Result.Tree)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, tree, 0o644); err != nil {
			return err
		}
	}
	if f.Result.Exit != 0 {
		fmt.Fprintf(a.stderr, "fleet: the guest ended: %s\n", plain(f.Result.Text))
		return exitCode(f.Result.Exit)
	}
	return nil
}

// exploreSeeds runs a module with many seeds and prints the outcomes.
func exploreSeeds(ctx context.Context, a *app) error {
	j := &jobFlags{}
	j.flags(a.flags)
	seeds := a.flags.String("seeds", "1..1000", "`A..B`: the seeds to run")
	chunk := a.flags.Uint64("chunk", 0, fmt.Sprintf("seeds in one job, at most %d (default 1000)", fleet.MaxChunk))
	if err := a.parse(); err != nil {
		return err
	}
	r, err := parseSeeds(*seeds)
	if err != nil {
		return err
	}
	j.Seeds = r
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := j.store(ctx, client, a.flags.Args()); err != nil {
		return err
	}
	began := time.Now()
	found, err := client.Explore(ctx, fleet.Campaign{Job: j.Job, Chunk: *chunk, Progress: progressTo(a.stderr)})
	if err != nil {
		return err
	}
	again := func(seed uint64, s *explore.Schedule) string {
		if s != nil {
			return "" // jobs are seeds
		}
		return fmt.Sprintf("fleet explore -seeds %d..%d %s", seed, seed, strings.Join(a.flags.Args(), " "))
	}
	if err := found.Report.Write(a.stdout, again); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%d runs in %d jobs, %d retries, %v\n", found.Report.Runs, found.Jobs, found.Retries, time.Since(began).Round(time.Millisecond))
	if !found.Report.Clean() {
		return exitCode(1)
	}
	return nil
}

// progressTo shows progress on a terminal, in one line that changes.
func progressTo(w io.Writer) func(fleet.Progress) {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(p fleet.Progress) {
		fmt.Fprintf(f, "\r\x1b[K%d of %d jobs, %d runs, %d outcomes, %d retries", p.ChunksDone, p.Chunks, p.Runs, len(p.Outcomes), p.Retries)
		if p.ChunksDone == p.Chunks {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

func parseSeeds(s string) (*fleet.Range, error) {
	from, to, ok := strings.Cut(s, "..")
	first, err := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	if !ok || err != nil || err2 != nil || last < first {
		return nil, fmt.Errorf("-seeds %q: want A..B, such as 1..1000000", s)
	}
	return &fleet.Range{First: first, Last: last}, nil
}

// status prints the state of the fleet, once or again and again.
func status(ctx context.Context, a *app) error {
	watch := a.flags.Bool("watch", false, "print it again each second")
	asJSON := a.flags.Bool("json", false, "print JSON")
	if err := a.parse(); err != nil {
		return err
	}
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		switch {
		case *asJSON:
			json.NewEncoder(a.stdout).Encode(s)
		case *watch:
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J", table(s))
		default:
			fmt.Fprint(a.stdout, table(s))
		}
		if !*watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// plain is text of others without what a terminal would carry out.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// table is the status for a person.
func table(s *fleet.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "waiting %d   running %d   results %d   set aside %d   differences %d\n", s.Waiting, s.Running, s.Results, len(s.Aside), len(s.Differences))
	if len(s.Workers) > 0 {
		fmt.Fprintf(&b, "\n%-40s %6s %6s %10s %8s\n", "worker", "slots", "busy", "done", "failed")
	}
	for _, w := range s.Workers {
		fmt.Fprintf(&b, "%-40s %6d %6d %10d %8d\n", plain(w.Name), w.Slots, w.Busy, w.Done, w.Failed)
	}
	for _, x := range s.Aside {
		fmt.Fprintf(&b, "\nset aside after %d tries: %s\n  %q\n", x.Tries, plain(x.ID), x.Reason)
	}
	for _, d := range s.Differences {
		fmt.Fprintf(&b, "\ndifferent results: %s\n  %s: %s\n  %s: %s\n", plain(d.ID),
			plain(d.First.Worker), plain(d.First.Result.Text), plain(d.Second.Worker), plain(d.Second.Result.Text))
	}
	return b.String()
}

// get prints the result of a job, or an object.
func get(ctx context.Context, a *app) error {
	return withID(ctx, a, func(client *fleet.Client, id string) error {
		if !strings.Contains(id, ".") {
			b, err := client.Get(ctx, id)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		}
		f, err := client.Result(ctx, id)
		if err != nil {
			return err
		}
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(f)
	})
}

// retry queues a job again that was set aside.
func retry(ctx context.Context, a *app) error {
	return withID(ctx, a, func(client *fleet.Client, id string) error { return client.Retry(ctx, id) })
}

func withID(ctx context.Context, a *app, do func(*fleet.Client, string) error) error {
	if err := a.parse(); err != nil {
		return err
	}
	if a.flags.NArg() != 1 {
		return fmt.Errorf("want one ID, as submit -no-wait prints it: see fleet %s -h", a.flags.Name())
	}
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client, a.flags.Arg(0))
}
