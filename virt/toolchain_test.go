package virt_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// toolchainGuest returns a guest that .ci/guests built into the directory WASIVIRT_GUESTS.
func toolchainGuest(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("WASIVIRT_GUESTS")
	if dir == "" {
		t.Skip("WASIVIRT_GUESTS names no directory that .ci/guests has built guests into: NOT RUN")
	}
	wasm, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// ran is how a run ended, and what it wrote.
type ran struct {
	*virt.Result
	stdout, stderr string
}

func runModule(t *testing.T, host *virt.Host, m *virt.Module, opts ...virt.GuestOption) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	result, err := host.RunModule(t.Context(), m, append(opts, virt.WithStdout(&stdout), virt.WithStderr(&stderr))...)
	if err != nil {
		t.Fatal(err)
	}
	return ran{result, stdout.String(), stderr.String()}
}

// TestToolchains runs guests in C, C++, Rust and Go as toolchains that know nothing of this library
// build them.
func TestToolchains(t *testing.T) {
	tests := []struct {
		name   string
		guest  string
		files  map[string]string
		opts   []virt.GuestOption
		exit   uint32
		stdout string
		wrote  map[string]string
	}{
		{name: "C files", guest: "files-c", stdout: "read and write\nlinks\nnames\nappend\ndirectories\ninside\nok\n",
			wrote: map[string]string{"box/log": "one\ntwo\n"}},
		{name: "C++ streams", guest: "streams-cpp", stdout: "9 words, the 3 times\nnot found\n",
			wrote: map[string]string{"words.txt": "the quick brown fox jumps over the lazy dog the end\n"}},
		{name: "Rust files", guest: "files-rust", opts: []virt.GuestOption{virt.WithEnv("GREETING", "hello"), virt.WithArgs("a", "b c")},
			exit: 7, stdout: "from rust\nb copy linked moved\nNotFound\nhello\na,b c\n",
			wrote: map[string]string{"a/moved": "hello", "a/copy": "hello", "a/linked": "hello"}},
		{name: "jsonnet", guest: "jsonnet", opts: []virt.GuestOption{virt.WithArgs("-J", "/lib", "-o", "/out.json", "/main.jsonnet")},
			files: map[string]string{
				"main.jsonnet":         `local shapes = import "shapes.libsonnet"; { area: shapes.square(7), text: importstr "note.txt" }`,
				"lib/shapes.libsonnet": `{ square(x):: x * x }`,
				"note.txt":             "hi",
			},
			wrote: map[string]string{"out.json": "{\n   \"area\": 49,\n   \"text\": \"hi\"\n}\n"}},
		{name: "jsonnet, an import that is missing", guest: "jsonnet", opts: []virt.GuestOption{virt.WithArgs("-e", `import "gone"`)}, exit: 1},
		{name: "gosh", guest: "gosh", opts: []virt.GuestOption{virt.WithArgs("/script.sh"), virt.WithEnv("PWD", "/"), virt.WithEnv("HOME", "/")},
			files: map[string]string{
				"script.sh": `echo one >/out/a.txt
echo two >/out/b.txt
echo three >>/out/b.txt
for f in /out/*.txt; do
	while read -r line; do echo "$f: $line"; done <"$f"
done
cd /out && echo *
[ -e /out/c.txt ] || echo "no c" >&2
exit 42
`,
				"out/keep": "",
			},
			exit: 42, stdout: "/out/a.txt: one\n/out/b.txt: two\n/out/b.txt: three\na.txt b.txt keep\n",
			wrote: map[string]string{"out/a.txt": "one\n", "out/b.txt": "two\nthree\n"}},
	}
	host := newHost(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			wasm := toolchainGuest(t, tc.guest)
			files, err := memfs.FromMap(tc.files)
			if err != nil {
				t.Fatal(err)
			}
			got := runModule(t, host, compiled(t, host, wasm), append(tc.opts, virt.WithMount("/", files))...)
			if got.Outcome != virt.Exited || got.ExitCode != tc.exit {
				t.Errorf("%v, want exit %d\n%s", got.Result, tc.exit, got.stderr)
			}
			if got.stdout != tc.stdout {
				t.Errorf("printed %q, want %q", got.stdout, tc.stdout)
			}
			for name, want := range tc.wrote {
				if text, err := files.ReadFile(name); string(text) != want {
					t.Errorf("%s holds %q, %v, want %q", name, text, err, want)
				}
			}
		})
	}
}

// TestToolchainTranscripts runs C programs that print what each of many calls of POSIX gave, in
// every world that a guest may write to. What is expected beside their sources is what they print
// on Linux.
func TestToolchainTranscripts(t *testing.T) {
	host := newHost(t)
	worlds := []struct {
		name string
		make func(t *testing.T) vfs.FS
	}{
		{"memfs", func(*testing.T) vfs.FS { return memfs.New() }},
		{"forked memfs", func(*testing.T) vfs.FS { return memfs.New().Fork() }},
		{"aferofs", func(*testing.T) vfs.FS { return aferofs.New(afero.NewMemMapFs()) }},
		{"hostfs", func(t *testing.T) vfs.FS { return hostDir(t, t.TempDir()) }},
		{"overlayfs", func(*testing.T) vfs.FS { return overlayfs.New(memfs.New(), memfs.New()) }},
		{"overlayfs of hostfs", func(t *testing.T) vfs.FS { return overlayfs.New(hostDir(t, t.TempDir()), memfs.New()) }},
	}
	for _, program := range []string{"names", "descriptors"} {
		m := compiled(t, host, toolchainGuest(t, program+"-c"))
		want, err := os.ReadFile(filepath.Join("testdata", "c", program+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range worlds {
			t.Run(program+"/"+w.name, func(t *testing.T) {
				got := runModule(t, host, m, virt.WithMount("/", w.make(t)))
				if !got.Success() {
					t.Errorf("%v\n%s", got.Result, got.stderr)
				}
				if diff := cmp.Diff(string(want), got.stdout); diff != "" {
					t.Errorf("the transcript (-Linux +here):\n%s", diff)
				}
			})
		}
	}
}

// TestToolchainProcess runs a C program that ends, waits and fails in the ways that programs do.
func TestToolchainProcess(t *testing.T) {
	wasm := toolchainGuest(t, "process-c")
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	world := func(t *testing.T, opts ...virt.Option) (*virt.Host, *virt.Module, *clock.Virtual) {
		k := clock.NewVirtual(clock.WithAutoAdvance(), clock.WithStart(start))
		host := newHost(t, append(opts, virt.WithClock(k), virt.WithSeed(1))...)
		return host, compiled(t, host, wasm), k
	}
	host, m, k := world(t)

	exits := []struct {
		args   []string
		exit   uint32
		stdin  string
		stdout string
	}{
		{args: []string{"args", "x y", ""}, stdout: "process\nargs\nx y\n\nA=1\nEMPTY=\n"},
		{args: []string{"cat"}, stdin: strings.Repeat("0123456789", 1000), stdout: strings.Repeat("0123456789", 1000)},
		{args: []string{"exit", "0"}},
		{args: []string{"exit", "1"}, exit: 1},
		{args: []string{"exit", "255"}, exit: 255},
		{args: []string{"exit", "256"}, exit: 256},
		{args: []string{"nothing"}, exit: 2},
	}
	for _, tc := range exits {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			got := runModule(t, host, m, virt.WithName("process"), virt.WithArgs(tc.args...), virt.WithEnv("A", "1"),
				virt.WithEnv("EMPTY", ""), virt.WithStdin(strings.NewReader(tc.stdin)))
			if got.Outcome != virt.Exited || got.ExitCode != tc.exit {
				t.Errorf("%v, want exit %d", got.Result, tc.exit)
			}
			if got.stdout != tc.stdout {
				t.Errorf("printed %q, want %q", got.stdout, tc.stdout)
			}
		})
	}

	traps := map[string]trap.Kind{
		"abort":  trap.Unreachable,
		"divide": trap.DivideByZero,
	}
	for what, kind := range traps {
		t.Run(what, func(t *testing.T) {
			got := runModule(t, host, m, virt.WithArgs(what))
			if got.Outcome != virt.Trapped || got.Trap.Kind != kind {
				t.Fatalf("%v, want the trap %v", got.Result, kind)
			}
			if !strings.Contains(got.Trap.Stack, "_start") {
				t.Errorf("the stack does not reach _start:\n%s", got.Trap.Stack)
			}
		})
	}

	t.Run("sleep", func(t *testing.T) {
		host, m, k := world(t)
		got := runModule(t, host, m, virt.WithArgs("sleep"))
		if want := "1500 ms\nSat Jan  1 00:00:01 2000\n"; got.stdout != want {
			t.Errorf("printed %q, want %q", got.stdout, want)
		}
		if k.Elapsed() != 1500*time.Millisecond {
			t.Errorf("the clock moved by %v", k.Elapsed())
		}
	})
	t.Run("hour", func(t *testing.T) {
		host, m, k := world(t)
		got := runModule(t, host, m, virt.WithArgs("hour"))
		if want := "3600 s 0 ns\n"; got.stdout != want {
			t.Errorf("printed %q, want %q", got.stdout, want)
		}
		if k.Elapsed() != time.Hour {
			t.Errorf("the clock moved by %v", k.Elapsed())
		}
	})
	t.Run("random", func(t *testing.T) {
		random := func() string {
			host, m, _ := world(t)
			return runModule(t, host, m, virt.WithArgs("random")).stdout
		}
		one, two := random(), random()
		if !regexp.MustCompile(`^[0-9a-f]{16}\n$`).MatchString(one) || one != two {
			t.Errorf("printed %q and %q, want the same of the same seed", one, two)
		}
	})
	t.Run("spin", func(t *testing.T) {
		got := runModule(t, host, m, virt.WithArgs("spin"), virt.WithTimeout(20*time.Millisecond))
		if got.Outcome != virt.Exhausted || got.Budget != virt.BudgetWallTime {
			t.Errorf("%v, want the end of the wall time", got.Result)
		}
	})
	t.Run("deep", func(t *testing.T) {
		got := runModule(t, host, m, virt.WithArgs("deep"))
		overflow := got.Outcome == virt.Trapped && (got.Trap.Kind == trap.StackOverflow || got.Trap.Kind == trap.MemoryOutOfBounds)
		if !overflow && (got.Outcome != virt.Exhausted || got.Budget != virt.BudgetCallDepth) {
			t.Errorf("%v, want an overflow", got.Result)
		}
	})
	if k.Elapsed() != 0 {
		t.Errorf("a clock that nobody slept on moved by %v", k.Elapsed())
	}
}
