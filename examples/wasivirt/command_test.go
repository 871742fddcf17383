package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/usercache"
)

// TestHelpFitsTheTerminal: help of every command is there, and no line of it is longer than 80
// columns.
func TestHelpFitsTheTerminal(t *testing.T) {
	for name := range commands() {
		for _, args := range [][]string{{"help", name}, {"help"}, {"--help"}, {"help", "-h"}, {"help", "--help"}} {
			got := wasivirt(t, args...)
			if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "wasivirt") {
				t.Errorf("%q: %v", args, got)
			}
			if form := forms[name].form; len(args) == 2 && args[1] == name && name != "help" && !strings.HasPrefix(got.stdout, form+"\n") {
				t.Errorf("%q does not begin with %q: %s", args, form, got.stdout)
			}
			for line := range strings.Lines(got.stdout) {
				if len(line) > 81 {
					t.Errorf("%q: %d columns: %s", args, len(line)-1, line)
				}
			}
		}
	}
	if got := wasivirt(t, "run", "-h"); !strings.Contains(got.stdout, "Budgets") || !strings.Contains(got.stdout, "-timeout TIME") {
		t.Error(got)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := wasivirt(t, args...); got.status != 0 || !strings.HasPrefix(got.stdout, "wasivirt ") {
			t.Error(got)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := wasivirt(t, "completion", shell)
		if got.status != 0 || !strings.Contains(got.stdout, "explore") || !strings.Contains(got.stdout, "-deterministic") || !strings.Contains(got.stdout, "-seeds") {
			t.Error(got)
		}
	}
	if got := wasivirt(t, "completion"); got.status != exitHost || !strings.Contains(got.stderr, "bash|zsh|fish") {
		t.Error(got)
	}
}

// TestCompletionOfACommand completes the flags and words of the command that is typed.
func TestCompletionOfACommand(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	script := wasivirt(t, "completion", "bash").stdout
	for _, tc := range []struct{ typed, want string }{
		{"sna", "snapshot"}, {"diff -", "-context"}, {"cache ", "clear"}, {"completion z", "zsh"}, {"help expl", "explore"},
		{"explore -see", "-seed -seeds"}, {"run -see", "-seed"}, {"run --see", "--seed"}, {"snapshot -o", "-output -o"},
	} {
		words := strings.Split("wasivirt "+tc.typed, " ")
		c := exec.Command("bash", "-c", script+`COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wasivirt; echo "${COMPREPLY[@]}"`)
		c.Args = append(c.Args, "bash")
		c.Args = append(c.Args, words...)
		out, err := c.CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tc.typed, got, err, tc.want)
		}
	}
}

// TestHabits are command lines that people write who know other runtimes.
func TestHabits(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"hello.wasm"}, exitHost, "wasivirt run hello.wasm"},
		{[]string{"run", "--env", "A=b", "--dir", dir + "::/data", do}, 0, ""},
		{[]string{"run", "-dir", dir, do}, 0, ""},
		{[]string{"run", "-dir", "::", do}, exitHost, "HOSTDIR::GUEST"},
		{[]string{"run", "-mount", ".", do}, exitHost, "-dir HOSTDIR::GUEST"},
		{[]string{"run", "-mount=.:/", do}, exitHost, "want -mount /=dir:."},
		{[]string{"run", "-mount=.:/data:ro", do}, exitHost, "want -mount /data=ro:."},
		{[]string{"run", "-mount", "/=tape:x", do}, exitHost, "want mem, mem:HOSTDIR"},
		{[]string{"run", "--env", "HOME", do}, exitHost, "-env-pass HOME"},
		{[]string{"run", "-env", "=x", do}, exitHost, `-env "=x": want K=V`},
		{[]string{"run", "-from", "nosuch", do}, exitHost, "-from: open nosuch"},
		{[]string{"help", "run", "inspect"}, exitHost, "want: wasivirt help [COMMAND]"},
		{[]string{"run", "-timeout", "60", do}, 0, ""},
		{[]string{"run", "-timeout", "0.05", do, "loop"}, exitTimeout, "wall time"},
		{[]string{"run", "-timeout", "soon", do}, exitHost, "want a time such as 1.5s"},
		{[]string{"run", "-fuel", "1e4", do, "loop"}, exitExhausted, "fuel"},
		{[]string{"run", "-fuel", "1_000_000", do}, 0, ""},
		{[]string{"run", "-fuel", "1.5", do}, exitHost, "want a whole number"},
		{[]string{"run", "-trace-format", "json", do}, exitHost, "-trace FILE"},
		{[]string{"run", "-switches", "calls", do}, exitHost, "-deterministic"},
		{[]string{"run", "-deterministic", "1", "-clock", "real", do}, exitHost, "-clock: -deterministic sets it"},
		{[]string{"run", "-threads", "x", do}, exitHost, "want a whole number from 0"},
		{[]string{"run", "-fds", "-1", do}, exitHost, "want a whole number from 0"},
		{[]string{"run", "-interpreter=maybe", do}, exitHost, "want true or false"},
		{[]string{"run", "-mapdir", "a::b", do}, exitHost, "no flag -mapdir: here it is -dir HOST::GUEST"},
		{[]string{"run", "-invok", "f", do}, exitHost, "no flag -invok (did you mean -invoke?)"},
		{[]string{"run", "-xyzzy", do}, exitHost, "no flag -xyzzy: see wasivirt help run"},
		{[]string{"run", "-dir", "nosuch", do}, exitHost, `-dir "nosuch": `},
		{[]string{"run", "-invoke", "nosuch", do}, exitHost, "wasivirt inspect lists its exports"},
		{[]string{"run", "-status", dir + "/no/s", do}, exitHost, "-status " + dir + "/no/s: no such"},
		{[]string{"run", "-memory-model", "tso", do}, exitHost, "-deterministic"},
		{[]string{"run", "-late-timers=false", do}, exitHost, "-deterministic"},
		{[]string{"run", "-trace-calls", "fd_*", do}, exitHost, "-trace FILE"},
		{[]string{"run", "-trace", "-", "-trace-calls", "fd_wrte", do}, exitHost, `-trace-calls: "fd_wrte" is no function`},
		{[]string{"run", "-trace", "-", "-trace-calls", "!clock", do}, 0, "args_get("},
		{[]string{"run"}, exitHost, "from a pipe"},
		{[]string{"explore", "-workers", "x", do}, exitHost, "want a whole number from 0"},
		{[]string{"explore", "-dir", dir, do}, exitHost, `-dir "` + dir},
		{[]string{"rn", do}, exitHost, "did you mean run?"},
		{[]string{"-dir", ".", do}, exitHost, "as in wasivirt run -dir"},
		{[]string{"explore", "-from", "x.snap", do}, exitHost, "-from is for wasivirt run"},
		{[]string{"explore", "-spawn", do}, exitHost, "-spawn is for wasivirt run"},
		{[]string{"explore", "-trace-calls", "x", do}, exitHost, "-trace-calls is for wasivirt run"},
		{[]string{"explore", "-fuel", "0", do}, exitHost, "-fuel 0: want a limit"},
		{[]string{"run", do, "exit", "256"}, 255, ""},
		{[]string{"run", do, "exit", "65536"}, 255, ""},
		{[]string{"run", do, "exit", "257"}, 1, ""},
		{[]string{"run", do, "exit", "0"}, 0, ""},
	} {
		if got := wasivirt(t, tc.args...); got.status != tc.status || !strings.Contains(got.stderr, tc.stderr) {
			t.Errorf("%q: status %d, want %d; %s", tc.args, got.status, tc.status, got.stderr)
		}
	}
}

// TestProgramFromAPipe reads the program from standard input, which the guest finds at its end.
func TestProgramFromAPipe(t *testing.T) {
	wasm, err := os.ReadFile(do)
	if err != nil {
		t.Fatal(err)
	}
	if got := wasivirtWith(t, string(wasm), "run", "-", "stdin"); got.status != 0 || got.stdout != "" {
		t.Errorf("status %d, %q, %s", got.status, got.stdout, got.stderr)
	}
	if got := wasivirtWith(t, string(wasm), "inspect", "-"); got.status != 0 {
		t.Error(got)
	}
}

// TestNamesAreEscaped: nothing that a module names reaches the terminal as it is.
func TestNamesAreEscaped(t *testing.T) {
	name := "e\x1b[31m\r\n\x07"
	imported := write(t, "i.wasm", "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x02\x17\x01\x09"+name+"\x09"+name+"\x00\x00")
	for _, command := range []string{"run", "inspect"} {
		got := wasivirt(t, command, imported)
		text := strings.ReplaceAll(got.stdout+got.stderr, "\n", "")
		if strings.ContainsAny(text, "\x1b\r\x07") || !strings.Contains(text, `e\x1b[31m`) {
			t.Errorf("%s: %q", command, text)
		}
	}
}

// TestLinksOfATree: a tree whose links are absolute, or lead above it, is mounted from a directory
// and a tar, and exported again.
func TestLinksOfATree(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	dir := t.TempDir()
	for link, target := range map[string]string{"sh": "/bin/busybox", "up": "../../up"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out.tar")
	again := filepath.Join(t.TempDir(), "again.tar")
	for _, args := range [][]string{
		{"-mount", "/=mem:" + dir, "-export", "/=" + out},
		{"-mount", "/=mem:" + out, "-export", "/=" + again},
		{"-mount", "/=overlay:" + dir, "-diff", filepath.Join(t.TempDir(), "diff.tar")},
	} {
		if got := wasivirt(t, append(append([]string{"run"}, args...), do)...); got.status != 0 {
			t.Fatalf("%q: %v", args, got)
		}
	}
	b, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if h.Typeflag == tar.TypeSymlink {
			links[h.Name] = h.Linkname
		}
	}
	if diff := cmp.Diff(map[string]string{"sh": "/bin/busybox", "up": "../../up"}, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// TestCacheCommand tells the size of the cache, and empties it.
func TestCacheCommand(t *testing.T) {
	t.Setenv(usercache.Variable, t.TempDir())
	t.Setenv(cacheSizeVariable, "64M")
	if got := wasivirt(t, "run", do); got.status != 0 {
		t.Fatal(got)
	}
	if got := wasivirt(t, "cache"); got.status != 0 || !strings.Contains(got.stdout, "at most 64.0 MB") {
		t.Error(got)
	}
	if got := wasivirt(t, "cache", "clear"); got.status != 0 || !strings.Contains(got.stdout, ": 0 modules") {
		t.Error(got)
	}
	t.Setenv(cacheSizeVariable, "much")
	for _, args := range [][]string{{"cache"}, {"run", do}} {
		if got := wasivirt(t, args...); got.status != exitHost || !strings.Contains(got.stderr, "512M") {
			t.Errorf("%q: %v", args, got)
		}
	}
}

// TestTrapUnknownImports: a module runs without functions that nothing provides, until it calls
// one.
func TestTrapUnknownImports(t *testing.T) {
	const (
		start  = "\x00asm\x01\x00\x00\x00" + "\x01\x09\x02\x60\x00\x00\x60\x01\x7e\x01\x7c" + "\x02\x09\x01\x03env\x01a\x00\x01" + "\x03\x02\x01\x00"
		exits  = "\x07\x13\x02\x06_start\x00\x01\x06memory\x02\x00"
		memory = "\x05\x03\x01\x00\x01"
		call   = "\x0a\x09\x01\x07\x00\x42\x01\x10\x00\x1a\x0b"
		nop    = "\x0a\x04\x01\x02\x00\x0b"
	)
	calls := write(t, "calls.wasm", start+memory+exits+call)
	if got := wasivirt(t, "run", calls); got.status != exitHost || !strings.Contains(got.stderr, "env.a(i64) f64") || !strings.Contains(got.stderr, "-trap-unknown-imports") {
		t.Error(got)
	}
	if got := wasivirt(t, "run", "-trap-unknown-imports", calls); got.status != exitTrap || !strings.Contains(got.stderr, "the guest called env.a, which nothing provides") {
		t.Error(got)
	}
	if got := wasivirt(t, "run", "-trap-unknown-imports", write(t, "nop.wasm", start+memory+exits+nop)); got.status != 0 {
		t.Error(got)
	}
}

// TestNobodyReadsADeterministicRun: what was asked for is finished, and the replay of the recording
// ends alike.
func TestNobodyReadsADeterministicRun(t *testing.T) {
	dir := t.TempDir()
	tape, tree := filepath.Join(dir, "tape"), filepath.Join(dir, "tree.tar")
	c := process(t, "run", "-deterministic", "1", "-record", tape, "-mount", "/=mem", "-export", "/="+tree, do, "spam", "4000000")
	stdout, err := c.StdoutPipe()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := errors.Join(err, c.Start(), stdout.Close()); err != nil {
		t.Fatal(err)
	}
	if status := ended(t, c); status != 141 {
		t.Errorf("status %d, want 141; %s", status, &stderr)
	}
	if info, err := os.Stat(tree); err != nil || info.Size() == 0 {
		t.Errorf("the tree was not written: %v", err)
	}
	if got := wasivirt(t, "replay", tape, do); got.status != 141 {
		t.Errorf("replay: %v", got.status)
	}
}

// TestThrowRef: the command runs modules with throw_ref where it is told that they are trusted.
func TestThrowRef(t *testing.T) {
	module := write(t, "rethrows.wasm", "\x00asm\x01\x00\x00\x00"+
		"\x01\x04\x01\x60\x00\x00"+ // a type without parameters
		"\x03\x02\x01\x00"+ // a function
		"\x07\x0a\x01\x06_start\x00\x00"+
		"\x0a\x06\x01\x04\x00\x0f\x0a\x0b") // return, throw_ref
	recording := filepath.Join(t.TempDir(), "recording")
	if got := wasivirt(t, "run", module); got.status != exitHost || !strings.Contains(got.stderr, "run it with -throw-ref") {
		t.Error(got)
	}
	if got := wasivirt(t, "run", "-throw-ref", "-record", recording, module); got.status != 0 {
		t.Error(got)
	}
	if got := wasivirt(t, "replay", "-throw-ref", recording, module); got.status != 0 {
		t.Error(got)
	}
	if got := wasivirt(t, "run", "-throw-ref", "-untrusted", module); got.status != exitHost || !strings.Contains(got.stderr, "leave out -untrusted") {
		t.Error(got)
	}
}

// TestTransient: a wrapper does not refer to a command that is about to be removed.
func TestTransient(t *testing.T) {
	for executable, want := range map[string]bool{
		"/tmp/go-build123/b001/exe/wasivirt":           true,
		"/root/.cache/go-build/53/53d5e07a-d/wasivirt": true,
		"/root/go/bin/wasivirt":                        false,
		"/home/a/go-builds/wasivirt":                   false,
	} {
		if got := transient(executable); got != want {
			t.Errorf("%s: %v", executable, got)
		}
	}
}

// TestExecWrapper: the wrapper runs a Go test program in its directory, and a seed makes it repeat.
func TestExecWrapper(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the wrapper is a shell script")
	}
	bin := filepath.Join(t.TempDir(), "bin")
	if got := wasivirt(t, "exec-wrapper", bin); got.status != 0 || !strings.Contains(got.stdout, "WASIVIRT_SEED") {
		t.Fatal(got)
	}
	script, err := os.ReadFile(filepath.Join(bin, wrapperName))
	if err != nil || !strings.HasPrefix(string(script), "#!/bin/sh\n") {
		t.Fatalf("%s, %v", script, err)
	}
	wasm, err := goguest.Build(t.Context(), "./testdata/gotest")
	if err != nil {
		t.Fatal(err)
	}
	program := write(t, "gotest.wasm", string(wasm))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(here, "testdata", "gotest"))
	t.Setenv(wrapperVariable, "1")
	run := func(seed string) string {
		t.Setenv("WASIVIRT_SEED", seed)
		got := wasivirt(t, "run", program)
		if got.status != 0 || !strings.Contains(got.stdout, "read main.go\n") || !strings.Contains(got.stdout, "temporary file\n") {
			t.Fatalf("seed %q: %v", seed, got)
		}
		return got.stdout
	}
	run("")
	if one, again, other := run("7"), run("7"), run("8"); one != again || one == other {
		t.Errorf("7: %s\n7: %s\n8: %s", one, again, other)
	}
	// Coverage goes where the go command looks for it.
	for _, seed := range []string{"", "7"} {
		t.Setenv("WASIVIRT_SEED", seed)
		to := filepath.Join(t.TempDir(), "covered")
		if err := os.Mkdir(to, 0o777); err != nil {
			t.Fatal(err)
		}
		got := wasivirt(t, "run", filepath.Join(here, do), "write", filepath.Join(to, "counters"), "1", "write", filepath.Join(filepath.Dir(to), "out"), "2",
			"-test.gocoverdir="+to, "-test.coverprofile="+filepath.Join(filepath.Dir(to), "out"))
		_, err1 := os.Stat(filepath.Join(to, "counters"))
		_, err2 := os.Stat(filepath.Join(filepath.Dir(to), "out"))
		if err := errors.Join(err1, err2); err != nil {
			t.Errorf("seed %q: %v, %v", seed, err, got)
		}
	}
	t.Setenv("WASIVIRT_SEED", "seven")
	if got := wasivirt(t, "run", program); got.status != exitHost || !strings.Contains(got.stderr, strconv.Quote("seven")) {
		t.Error(got)
	}
}
