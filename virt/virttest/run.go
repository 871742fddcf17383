package virttest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/trace"
)

var update = flag.Bool("virttest.update", false, "write golden files instead of comparing with them")

// Guest is a command and the world that [Run] gives it.
type Guest struct {
	// Wasm is the module. If it is nil, Package is built.
	Wasm []byte
	// Package is a Go program, by import path or directory, built for wasip1 with the go command.
	Package string
	// Args are the arguments after the program's name; Env are environment variables; Stdin is
	// standard input.
	Args  []string
	Env   map[string]string
	Stdin string
	// Files are contents by path from "/". A path that ends in "/" is an empty directory.
	Files map[string]string
	// Txtar is a world in the format of txtar; Files are added to it.
	Txtar string
	// Seed decides about randomness and threads. 0 is 1. The environment variable [SeedVariable]
	// replaces it.
	Seed uint64
	// Faults are rules in the form of [virt.ParseFault]. A rule does not count calls that an
	// earlier one failed: `path_open:nth=1:EIO` twice fails the first two calls.
	Faults []string
	// Options are further options of the Host, which win.
	Options []virt.Option
}

// Outcome is what [Run] saw.
type Outcome struct {
	Result *virt.Result
	Stdout string
	Stderr string
	// Files are the contents of all files at the end, by path from "/", without devices.
	Files map[string]string

	t     testing.TB
	seed  uint64
	calls *lastLines
}

// Run runs a command to its end in a deterministic Host: time is virtual and jumps when all threads
// wait, randomness and threads follow the seed, and the files are in memory. Defaults: an empty "/"
// with "/tmp", PWD is "/", at most 8 threads.
//
// Compiled guests are kept in the user's cache directory, for each version of wazero apart, unless
// its module is replaced or vendored. The environment variable WASIVIRT_CACHE names another
// directory, or is "off".
//
// How the guest ended is in Outcome.Result; Run fails t only if the guest could not be run. If the
// test fails, it logs the Result, standard error, the last calls other than those of the clock and
// writes to standard error, and the command that repeats the run.
func Run(t testing.TB, g Guest) *Outcome {
	t.Helper()
	wasm := g.Wasm
	switch {
	case wasm == nil && g.Package == "":
		t.Fatal("virttest.Run: which guest? Give Guest.Wasm or Guest.Package")
	case wasm == nil:
		wasm = Build(t, g.Package)
	}
	o := &Outcome{t: t, seed: max(g.Seed, 1), calls: &lastLines{most: 20}}
	if seeds := only(t); len(seeds) > 0 {
		o.seed = seeds[0]
	}
	files := memfs.New()
	world, err := parseTxtar(g.Txtar)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(world, g.Files)
	clean := map[string]string{"tmp/": ""}
	for name, content := range world {
		clean[strings.TrimPrefix(name, "/")] = content
	}
	if err := archive.FromMap(files, clean); err != nil {
		t.Fatalf("make the guest's files: %v", err)
	}
	var out, errs bytes.Buffer
	opts := []virt.Option{
		compilationCache(g.Options), virt.WithDeterminism(virt.Determinism{Seed: o.seed, Strategy: explore.DefaultStrategy()}), virt.WithMount("/", files),
		virt.WithDevices("/dev"), virt.WithArgs(g.Args...), virt.WithEnv("PWD", "/"), virt.WithStdin(strings.NewReader(g.Stdin)),
		virt.WithStdout(&out), virt.WithStderr(&errs), virt.WithMaxThreads(8), virt.WithTrace(trace.Text(o.calls), trace.WithCalls("!clock_time_get")),
	}
	for _, name := range slices.Sorted(maps.Keys(g.Env)) {
		opts = append(opts, virt.WithEnv(name, g.Env[name]))
	}
	for _, rule := range g.Faults {
		fault, err := virt.ParseFault(rule)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, virt.WithFaults(fault))
	}
	t.Cleanup(o.explain)
	o.Result, err = virt.Run(context.WithoutCancel(t.Context()), wasm, append(opts, g.Options...)...)
	if err != nil {
		t.Fatalf("run the guest: %v", err)
	}
	o.Stdout, o.Stderr = out.String(), errs.String()
	if o.Files, err = tree(files); err != nil {
		t.Fatalf("read the guest's files: %v", err)
	}
	return o
}

// compilationCache keeps compiled guests in the user's cache directory, as the command wasivirt
// does. A runtime among opts has a cache of its own.
func compilationCache(opts []virt.Option) virt.Option {
	if link.NamesRuntime(opts) {
		return virt.Options()
	}
	return testcache.Option()
}

// explain logs what a reader of a failed test needs.
func (o *Outcome) explain() {
	if !o.t.Failed() || o.Result == nil {
		return
	}
	text := fmt.Sprintf("the guest ended with %v", o.Result)
	if o.Result.Trap != nil && o.Result.Trap.Stack != "" {
		text += "\nstack:\n" + o.Result.Trap.Stack
	}
	if o.Stderr != "" {
		text += "\nstandard error:\n" + o.Stderr
	}
	if calls := o.calls.String(); calls != "" {
		text += "\nlast calls:\n" + calls
	}
	o.t.Logf("%s\nrun it again: %s", text, Command(o.t.Name(), o.seed))
}

// Exit fails the test if the guest did not exit with code.
func (o *Outcome) Exit(code uint32) *Outcome {
	o.t.Helper()
	if o.Result.Outcome != virt.Exited || o.Result.ExitCode != code {
		o.t.Errorf("the guest ended with %v, want exit %d", o.Result, code)
	}
	return o
}

// Output fails the test if standard output is not want.
func (o *Outcome) Output(want string) *Outcome {
	o.t.Helper()
	if diff := cmp.Diff(want, o.Stdout); diff != "" {
		o.t.Errorf("standard output (-want +got):\n%s", diff)
	}
	return o
}

// Tree fails the test if the files at the end are not want: contents by path from "/".
func (o *Outcome) Tree(want map[string]string) *Outcome {
	o.t.Helper()
	if diff := cmp.Diff(want, o.Files); diff != "" {
		o.t.Errorf("files (-want +got):\n%s", diff)
	}
	return o
}

// Golden fails the test if exit, output and files are not those of a file, in the format of txtar.
// With the flag -virttest.update it writes the file.
func (o *Outcome) Golden(file string) *Outcome {
	o.t.Helper()
	got := o.txtar()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			o.t.Fatal(err)
		}
		return o
	}
	want, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatalf("%v: write it: go test -run %s . -virttest.update", err, pattern(o.t.Name()))
	}
	if diff := cmp.Diff(strings.SplitAfter(string(want), "\n"), strings.SplitAfter(got, "\n")); diff != "" {
		o.t.Errorf("%s (-want +got), update it with -virttest.update:\n%s", file, diff)
	}
	return o
}

func (o *Outcome) txtar() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n", o.Result)
	section := func(name, content string) {
		fmt.Fprintf(&b, "-- %s --\n%s", name, content)
		if content != "" && !strings.HasSuffix(content, "\n") {
			b.WriteByte('\n')
		}
	}
	section("stdout", o.Stdout)
	section("stderr", o.Stderr)
	for _, name := range slices.Sorted(maps.Keys(o.Files)) {
		section(name, o.Files[name])
	}
	return b.String()
}

// Build builds a Go program for wasip1 with flags of go build, once for each program and flags in a
// test binary. See [GoOverlay].
func Build(t testing.TB, program string, flags ...string) []byte {
	t.Helper()
	key := strings.Join(append([]string{program}, flags...), "\x00")
	entry, _ := built.LoadOrStore(key, sync.OnceValues(func() ([]byte, error) {
		return goguest.Build(context.Background(), program, flags...)
	}))
	wasm, err := entry.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

var built sync.Map // program and flags → func() ([]byte, error)

// tree reads all regular files of a file system.
func tree(files *memfs.FS) (map[string]string, error) {
	all := map[string]string{}
	fsys := view.FS(files)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		all[path.Join("/", name)] = string(b)
		return err
	})
	return all, err
}

// parseTxtar reads files between lines of the form "-- NAME --".
func parseTxtar(text string) (map[string]string, error) {
	files := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		rest, begins := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "-- ")
		next, ends := strings.CutSuffix(rest, " --")
		switch {
		case begins && ends:
			if name = strings.TrimSpace(next); name == "" {
				return nil, fmt.Errorf("txtar: %q names no file", line)
			}
			files[name] = ""
		case name != "":
			files[name] += line
		}
	}
	return files, nil
}

// lastLines keeps the last lines that were written to it.
type lastLines struct {
	most  int
	mu    sync.Mutex
	lines []string
	rest  string
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.rest + string(p)) {
		if l.rest = ""; !strings.HasSuffix(line, "\n") {
			l.rest = line
			break
		}
		if strings.Contains(line, "fd_write(2<stderr>,") {
			continue // what it wrote is shown as a whole
		}
		if l.lines = append(l.lines, line); len(l.lines) > l.most {
			l.lines = l.lines[1:]
		}
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "") + l.rest
}
