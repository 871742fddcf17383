package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The guests: do does what its arguments say, hang waits for ever.
const (
	do   = "../../virt/testdata/bare/do.wasm"
	hang = "../../virt/testdata/bare/hang.wasm"

	traps = "../../virt/testdata/bare/traps.wasm"
)

// unstable is a module that imports proc_exit from wasi_unstable.
const unstable = "\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x01\x7f\x00\x02\x1b\x01\x0dwasi_unstable\x09proc_exit\x00\x00"

// write makes a file, and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// outcome is what a caller of the command sees.
type outcome struct {
	status         int
	stdout, stderr string
}

// wasivirt carries out a command line.
func wasivirt(t *testing.T, args ...string) outcome {
	t.Helper()
	return wasivirtWith(t, "", args...)
}

func wasivirtWith(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // compiling takes long under the race detector
	defer cancel()
	var stdout, stderr bytes.Buffer
	status, err := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	if err != nil {
		stderr.WriteString("wasivirt: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n") // as main does
	}
	return outcome{status, stdout.String(), stderr.String()}
}

// lines joins what a guest prints.
func lines(l ...string) string { return strings.Join(append(l, ""), "\n") }

func TestExitStatus(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		status int
		stderr string // a part of it
	}{
		{name: "the end of _start", args: []string{do}},
		{name: "the guest's own", args: []string{do, "exit", "7"}, status: 7},
		{name: "the lower 8 bits of the guest's own", args: []string{do, "exit", "258"}, status: 2},
		{name: "a signal", args: []string{do, "raise", "15"}, status: 128 + 15},
		{name: "an untrusted guest's own", args: []string{"-untrusted", do, "exit", "7"}, status: 7},
		{name: "an untrusted guest without a budget of output", args: []string{"-untrusted", "-output", "0", do, "spam", "20000", "exit", "7"}, status: 7},
		{name: "an untrusted guest with a budget of its own", args: []string{"-untrusted", "-fuel", "10000", do, "loop"}, status: 137, stderr: "fuel"},
		{name: "a trap", args: []string{do, "trap"}, status: 134, stderr: "unreachable"},
		{name: "a trap, interpreted", args: []string{"-interpreter", do, "trap"}, status: 134, stderr: "unreachable"},
		{name: "the timeout", args: []string{"-timeout", "50ms", do, "loop"}, status: 124, stderr: "wall time"},
		{name: "the timeout in a sleep", args: []string{"-timeout", "50ms", do, "sleep", "4000000"}, status: 124, stderr: "wall time"},
		{name: "a deadlock", args: []string{hang}, status: 123, stderr: "memory.atomic.wait32"},
		{name: "a deadlock, one thread at a time", args: []string{"-sched", "seeded:3", hang}, status: 123, stderr: "memory.atomic.wait32"},
		{name: "processor time", args: []string{"-cpu", "50ms", do, "loop"}, status: 137, stderr: "out of processor time"},
		{name: "call stacks", args: []string{"-stack", "1M", do, "deep"}, status: 137, stderr: "out of call stack"},
		{name: "fuel", args: []string{"-fuel", "10000", do, "loop"}, status: 137, stderr: "fuel"},
		{name: "output", args: []string{"-output", "150", do, "spam", "2"}, status: 137, stderr: "output"},
		{name: "no _start", args: []string{"../../virt/testdata/bare/wait.wasm"}, status: 125, stderr: "-invoke NAME"},
		{name: "an export with too few parameters", args: []string{"-invoke", "fine", traps}, status: 125, stderr: "fine with 0 parameters, which takes 1"},
		{name: "an export with a parameter that is none", args: []string{"-invoke", "fine", traps, "x"}, status: 125, stderr: "parameter 1 of fine"},
		{name: "a trap in an export", args: []string{"-invoke", "unreachable", traps}, status: 134, stderr: "inner_unreachable"},
		{name: "memory to start with", args: []string{"-memory", "64K", do}, status: 125, stderr: "131072 bytes of memory"},

		{name: "no command", status: 125, args: []string{""}, stderr: "is no command"},
		{name: "a bad flag", args: []string{"-colour", do}, status: 125, stderr: "-colour"},
		{name: "a bad number", args: []string{"-fuel", "lots", do}, status: 125, stderr: "-fuel"},
		{name: "a bad size", args: []string{"-memory", "12X", do}, status: 125, stderr: "64M"},
		{name: "no program", args: []string{"-seed", "1"}, status: 125, stderr: "which program?"},
		{name: "a missing file", args: []string{"gone.wasm"}, status: 125, stderr: "gone.wasm"},
		{name: "text", args: []string{write(t, "t.wat", "(module)")}, status: 125, stderr: "assemble it first"},
		{name: "a component", args: []string{write(t, "c.wasm", "\x00asm\x0d\x00\x01\x00")}, status: 125, stderr: "a WebAssembly component"},
		{name: "the preview before preview1", args: []string{write(t, "u.wasm", unstable)}, status: 125, stderr: "wasi_unstable"},
		{name: "nothing in it", args: []string{write(t, "e.wasm", "")}, status: 125, stderr: "empty file"},
		{name: "a directory", args: []string{"."}, status: 125, stderr: "is a directory"},
		{name: "a time that is none", args: []string{"-timeout", "1 hour", do}, status: 125, stderr: "-timeout"},
		{name: "too few descriptors", args: []string{"-fds", "2", do}, status: 125, stderr: "Limits.Descriptors"},
		{name: "a format for no trace", args: []string{"-trace-format", "xml", do}, status: 125, stderr: "text, json or perfetto"},
		{name: "-deterministic and what it sets", args: []string{"-deterministic", "1", "-seed", "2", do}, status: 125, stderr: "-seed: -deterministic sets it"},
		{name: "a time before all", args: []string{"-clock", "virtual:1960-01-01T00:00:00Z", do}, status: 125, stderr: "1970"},
		{name: "a time after all", args: []string{"-clock", "virtual:9999-01-01T00:00:00Z", do}, status: 125, stderr: "2262"},
		{name: "an address without a port", args: []string{"-listen", "localhost", do}, status: 125, stderr: "127.0.0.1:8080"},
		{name: "a fault at no call", args: []string{"-fault", "fd_write:nth=0:EIO", do}, status: 125, stderr: "counted from 1"},
		{name: "not a module", args: []string{"run_test.go"}, status: 125, stderr: "not a WebAssembly file"},
		{name: "a mount without a place", args: []string{"-mount", "mem", do}, status: 125, stderr: "want GUEST=SPEC"},
		{name: "a mount of nothing", args: []string{"-mount", "/a=tape:x", do}, status: 125, stderr: `"tape" is no kind of file system`},
		{name: "a mount without its argument", args: []string{"-mount", "/a=dir", do}, status: 125, stderr: "dir:HOSTDIR"},
		{name: "a mount with an empty argument", args: []string{"-mount", "/a=dir:", do}, status: 125, stderr: "dir:HOSTDIR"},
		{name: "a mount of no zip", args: []string{"-mount", "/a=zip:run_test.go", do}, status: 125, stderr: "not a valid zip file"},
		{name: "a mount of no tar", args: []string{"-mount", "/a=mem:run_test.go", do}, status: 125, stderr: "file: mounts a single file"},
		{name: "a mount of what is missing", args: []string{"-mount", "/a=dir:gone", do}, status: 125, stderr: "gone"},
		{name: "two mounts at one place", args: []string{"-mount", "/a=mem", "-mount", "/a/=mem", do}, status: 125, stderr: "/a/"},
		{name: "a file as the root", args: []string{"-mount", "/=file:run_test.go", do}, status: 125, stderr: "mount /"},
		{name: "a relative path", args: []string{"-mount", "./a=mem", do}, status: 0},
		{name: "a variable without a value", args: []string{"-env", "A", do}, status: 125, stderr: "want K=V"},
		{name: "a bad clock", args: []string{"-clock", "sundial", do}, status: 125, stderr: "sundial"},
		{name: "a bad time", args: []string{"-clock", "virtual:noon", do}, status: 125, stderr: "noon"},
		{name: "a bad scheduler", args: []string{"-sched", "fair", do}, status: 125, stderr: "fair"},
		{name: "a listener for the world", args: []string{"-listen", "0.0.0.0:0", do}, status: 125, stderr: "loopback"},
		{name: "an export that is missing", args: []string{"-invoke", "gone", do}, status: 125, stderr: "gone"},
		{name: "an -export of what is missing", args: []string{"-export", "/gone=" + filepath.Join(t.TempDir(), "x.tar"), do}, status: 125, stderr: "/gone"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"run"}, tc.args...)
			if tc.args[0] == "" {
				args = []string{"walk"}
			}
			got := wasivirt(t, args...)
			if got.status != tc.status || !strings.Contains(got.stderr, tc.stderr) || tc.status == 0 && got.stderr != "" {
				t.Errorf("status %d, want %d; standard error %q, want %q", got.status, tc.status, got.stderr, tc.stderr)
			}
			if tc.status == 125 && strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("standard error is not one line: %q", got.stderr)
			}
		})
	}
	if got := wasivirt(t); got.status != 125 || !strings.Contains(got.stderr, "wasivirt help") {
		t.Errorf("without arguments: %+v", got)
	}
}

func TestWhatTheGuestIsGiven(t *testing.T) {
	t.Setenv("WASIVIRT_TEST_PASSED", "from the host")
	t.Setenv("WASIVIRT_TEST_KEPT", "not for the guest")
	tests := []struct {
		name   string
		flags  []string
		guest  []string
		stdin  string
		stdout string
	}{
		{name: "arguments", guest: []string{"args", "echo", "-mount"}, stdout: lines("do.wasm", "args", "echo", "-mount", "-mount")},
		{name: "another name", flags: []string{"-argv0", "tool"}, guest: []string{"args"}, stdout: lines("tool", "args")},
		{name: "no environment", guest: []string{"env"}},
		{name: "an environment", flags: []string{"-env", "A=1", "-env", "B=x=y", "-env-pass", "WASIVIRT_TEST_PASSED", "-env-pass", "WASIVIRT_TEST_GONE", "-env", "A=2"},
			guest: []string{"env"}, stdout: lines("WASIVIRT_TEST_PASSED=from the host", "B=x=y", "A=2")},
		{name: "standard input", guest: []string{"stdin"}, stdin: "hello\n", stdout: "hello\n"},
		{name: "the default world", guest: []string{"preopens", "ls", "/", "ls", "/dev", "ls", "/tmp", "write", "/tmp/a", "hi", "cat", "/tmp/a"},
			stdout: lines("/", "tmp", "dev", "null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr") + "hi"},
		{name: "a virtual clock", flags: []string{"-clock", "virtual:2020-01-01T00:00:00Z"}, guest: []string{"time", "sleep", "4000000", "time"},
			stdout: lines("1577836800", "1577840800")},
		{name: "a seed", flags: []string{"-seed", "1"}, guest: []string{"random"}, stdout: lines("9127777441277756459")},
		{name: "all that -deterministic is short for", flags: []string{"-deterministic", "1"}, guest: []string{"time", "random"},
			stdout: lines("946684800", "9127777441277756459")},
		{name: "few descriptors", flags: []string{"-fds", "10"}, guest: []string{"descriptors"}, stdout: lines("6", "errno 33")},
		{name: "memory to grow", flags: []string{"-memory", "192K"}, guest: []string{"grow", "1", "grow", "1"}, stdout: lines("yes", "no")},
		{name: "an export", flags: []string{"-invoke", "answer"}, stdout: lines("42")},
		{name: "no preemption", flags: []string{"-no-preempt"}, guest: []string{"echo", "hi"}, stdout: lines("hi")},
		{name: "the interpreter", flags: []string{"-interpreter"}, guest: []string{"echo", "hi"}, stdout: lines("hi")},
		{name: "no absolute links", guest: []string{"write", "/a", "x", "symlink", "/a", "/l", "cat", "/l"}, stdout: lines("errno 63", "errno 44")},
		{name: "absolute links", flags: []string{"-absolute-links"}, guest: []string{"write", "/a", "x", "symlink", "/a", "/l", "cat", "/l"}, stdout: "x"},
		{name: "a full disk", flags: []string{"-disk", "5"}, guest: []string{"write", "/a", "1234567", "append", "/a", "8", "cat", "/a", "rm", "/a", "write", "/b", "9", "cat", "/b"},
			stdout: lines("errno 19") + "12345" + "9"},
		{name: "a full disk of two mounts", flags: []string{"-disk", "5", "-mount", "/x=mem", "-mount", "/y=mem"},
			guest: []string{"write", "/x/a", "123", "write", "/y/a", "456", "cat", "/y/a"}, stdout: "45"},
		{name: "a fault", flags: []string{"-fault", "path_open:/tmp/*:nth=2:EIO"}, guest: []string{"write", "/tmp/a", "1", "write", "/b", "2", "write", "/tmp/c", "3", "cat", "/tmp/a"},
			stdout: lines("errno 29") + "1"},
		{name: "output that fits", flags: []string{"-output", "6"}, guest: []string{"echo", "hello"}, stdout: lines("hello")},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := wasivirtWith(t, tc.stdin, append(append(append([]string{"run"}, tc.flags...), do), tc.guest...)...)
			if diff := cmp.Diff(outcome{stdout: tc.stdout}, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOutputBudget: what fits is written, by both streams together.
func TestOutputBudget(t *testing.T) {
	got := wasivirt(t, "run", "-output", "250", do, "spam", "3")
	if got.status != 137 || len(got.stdout) != 250 {
		t.Errorf("status %d and %d bytes, want 137 and 250", got.status, len(got.stdout))
	}
	got = wasivirt(t, "run", "-output", "8", do, "complain", "12345", "echo", "6789")
	if got.status != 137 || got.stdout != "678" || !strings.HasPrefix(got.stderr, "12345") {
		t.Errorf("%+v, want 5 bytes of standard error and 3 of standard output", got)
	}
}

// hostTree makes a directory on the host with a, sub/b and, where the system can, a link to a.
func hostTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"a": "A", "sub/b": "B"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// archives packs dir as a tar and a zip.
func archives(t *testing.T, dir string) (tarFile, zipFile string) {
	t.Helper()
	to := t.TempDir()
	tarFile, zipFile = filepath.Join(to, "t.tar"), filepath.Join(to, "t.zip")
	var tars, zips bytes.Buffer
	tw, zw := tar.NewWriter(&tars), zip.NewWriter(&zips)
	err := errors.Join(tw.AddFS(os.DirFS(dir)), tw.Close(), zw.AddFS(os.DirFS(dir)), zw.Close(),
		os.WriteFile(tarFile, tars.Bytes(), 0o666), os.WriteFile(zipFile, zips.Bytes(), 0o666))
	if err != nil {
		t.Fatal(err)
	}
	return tarFile, zipFile
}

func TestMounts(t *testing.T) {
	use := []string{"ls", "/", "cat", "/sub/b", "write", "/a", "changed", "cat", "/a", "mkdir", "/new"}
	writable := "a\nsub\nBchanged"
	refused := "a\nsub\nBerrno 69\nAerrno 69\n"
	tests := []struct {
		name    string
		spec    func(dir, tarFile, zipFile string) string
		stdout  string
		changes bool // on the host
	}{
		{"mem:HOSTDIR", func(dir, _, _ string) string { return "mem:" + dir }, writable, false},
		{"mem:FILE.tar", func(_, tar, _ string) string { return "mem:" + tar }, writable, false},
		{"dir:HOSTDIR", func(dir, _, _ string) string { return "dir:" + dir }, writable, true},
		{"ro:HOSTDIR", func(dir, _, _ string) string { return "ro:" + dir }, refused, false},
		{"overlay:HOSTDIR", func(dir, _, _ string) string { return "overlay:" + dir }, writable, false},
		{"zip:FILE", func(_, _, zip string) string { return "zip:" + zip }, refused, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := hostTree(t)
			tarFile, zipFile := archives(t, dir)
			before := treeOf(t, dir)
			got := wasivirt(t, append([]string{"run", "-mount", "/=" + tc.spec(dir, tarFile, zipFile), do}, use...)...)
			if diff := cmp.Diff(outcome{stdout: tc.stdout}, sorted(got), cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			after := treeOf(t, dir)
			if changed := after != before; changed != tc.changes {
				t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
			}
			if tc.changes && !strings.Contains(after, "- a changed\n") && !strings.Contains(after, " a changed\n") {
				t.Errorf("the host's directory is\n%s", after)
			}
		})
	}
	t.Run("mem", func(t *testing.T) {
		got := wasivirt(t, "run", "-mount", "/=mem", do, "ls", "/", "write", "/x", "X", "cat", "/x")
		if want := (outcome{stdout: "X"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("file:HOSTFILE", func(t *testing.T) {
		dir := hostTree(t)
		got := wasivirt(t, "run", "-mount", "/etc/a=file:"+filepath.Join(dir, "a"), do, "ls", "/", "ls", "/etc", "cat", "/etc/a", "write", "/etc/a", "x", "rm", "/etc/a")
		if want := (outcome{stdout: "etc\na\nAerrno 69\nerrno 10\n"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("dev", func(t *testing.T) {
		got := wasivirtWith(t, "in", "run", "-mount", "/d=dev", do, "cat", "/d/null", "cat", "/d/stdin", "write", "/d/stdout", "out", "write", "/d/full", "x", "write", "/d/stderr", "err")
		if want := (outcome{stdout: "inouterrno 51\n", stderr: "err"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("nested and relative", func(t *testing.T) {
		dir := hostTree(t)
		got := wasivirt(t, "run", "-mount", "one=mem", "-mount", "/src/deep=mem", "-mount", "/src=ro:"+dir, "-mount", "two=ro:"+filepath.Join(dir, "sub"), do,
			"preopens", "ls", "/", "ls", "/src/deep", "cat", "/src/a", "write", "/src/deep/x", "X", "cat", "/src/deep/x", "cat", "5:b", "write", "4:y", "Y", "ls", "4:",
			"mkdir", "/more", "ln", "/src/a", "/src/deep/a", "mv", "/src/deep/x", "4:x")
		if want := (outcome{stdout: lines("/", "one", "two", "src") + "AXB" + lines("y", "errno 69", "errno 75", "errno 75")}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// sorted puts the two names that the guest listed first in order: what a host's directory has comes
// in any.
func sorted(o outcome) outcome {
	if rest, ok := strings.CutPrefix(o.stdout, "sub\na\n"); ok {
		o.stdout = "a\nsub\n" + rest
	}
	return o
}

// tarOf returns what is in an archive: names with types, and content.
func tarOf(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return in
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		in[h.Name] = string(content)
	}
}

func TestDiff(t *testing.T) {
	change := []string{"write", "/a", "changed", "mkdir", "/new", "write", "/new/x", "X", "rm", "/sub/b"}
	want := map[string]string{"w/a": "changed", "w/new/": "", "w/new/x": "X", "w/sub/.wh.b": ""}
	for i := range change {
		if strings.HasPrefix(change[i], "/") {
			change[i] = "/w" + change[i]
		}
	}
	for _, kind := range []string{"overlay:", "mem:", "dir:"} {
		t.Run(kind, func(t *testing.T) {
			dir, to := hostTree(t), filepath.Join(t.TempDir(), "diff.tar")
			before := treeOf(t, dir)
			got := wasivirt(t, append([]string{"run", "-diff", to, "-mount", "/w=" + kind + dir, "-mount", "/r=ro:" + dir, do}, change...)...)
			if got != (outcome{}) {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(want, tarOf(t, to)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if after := treeOf(t, dir); (after != before) != (kind == "dir:") {
				t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

func TestExport(t *testing.T) {
	to := t.TempDir()
	all, part, again := filepath.Join(to, "all.tar"), filepath.Join(to, "part.tar"), filepath.Join(to, "again.tar")
	flags := []string{"run", "-deterministic", "1", "-mount", "/=mem", "-mount", "/src=ro:" + hostTree(t), "-mount", "rel=mem"}
	guest := []string{do, "mkdir", "/d", "write", "/d/x", "X", "write", "4:r", "R"}
	if got := wasivirt(t, append(append(flags, "-export", "/="+all, "-export", "rel="+part), guest...)...); got != (outcome{}) {
		t.Errorf("%+v", got)
	}
	want := map[string]string{"d/": "", "d/x": "X", "src/": "", "src/a": "A", "src/sub/": "", "src/sub/b": "B"}
	if diff := cmp.Diff(want, tarOf(t, all)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"r": "R"}, tarOf(t, part)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// The same run gives the same bytes, and what was exported can be mounted.
	wasivirt(t, append(append(flags, "-export", "/="+again), guest...)...)
	one, err1 := os.ReadFile(all)
	two, err2 := os.ReadFile(again)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("the second archive differs from the first (%v)", err)
	}
	if got := wasivirt(t, "run", "-mount", "/=mem:"+all, do, "cat", "/d/x", "cat", "/src/sub/b"); got != (outcome{stdout: "XB"}) {
		t.Errorf("mounted again: %+v", got)
	}
}

func TestInspect(t *testing.T) {
	got := wasivirt(t, "inspect", do)
	for _, want := range []string{"path_open", "proc_exit", "_start", "snapshot: can be taken"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, got.stdout)
		}
	}
	if got.status != 0 || got.stderr != "" {
		t.Errorf("status %d, %q", got.status, got.stderr)
	}
	if got := wasivirt(t, "inspect", "run_test.go"); got.status != 125 {
		t.Errorf("status %d of what is no module", got.status)
	}
}

// What nobody provides is one line a module, however much a module imports from it.
func TestInspectGroupsWhatIsMissing(t *testing.T) {
	module := filepath.Join(t.TempDir(), "missing.wasm")
	wasm := "\x00asm\x01\x00\x00\x00" + // (import "env" "a"), (import "env" "b"), (import "x" "c"), all func()
		"\x01\x04\x01\x60\x00\x00" + "\x02\x17\x03" + "\x03env\x01a\x00\x00" + "\x03env\x01b\x00\x00" + "\x01x\x01c\x00\x00"
	if err := os.WriteFile(module, []byte(wasm), 0o666); err != nil {
		t.Fatal(err)
	}
	got := wasivirt(t, "inspect", module)
	for _, want := range []string{"NOT provided, from module env: a(), b()\n", "NOT provided, from module x: c()\n"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in\n%s%s", want, got.stdout, got.stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"help", "wasivirt run"}, {"run -h", "-mount"}, {"run -help", "wasivirt run [flags]"}, {"inspect -h", "wasivirt inspect"}, {"explore -h", "-seeds"},
		{"replay -h", "-interpreter"}, {"rewrite -h", "wasivirt rewrite -o OUT"},
	} {
		got := wasivirt(t, strings.Fields(tc.args)...)
		if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, tc.want) {
			t.Errorf("%s: %+v, want %q", tc.args, got, tc.want)
		}
	}
}

// TestMistakes of the commands other than run: one line, and status 125.
func TestMistakes(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone", "x")
	text := write(t, "t.wat", "(module)")
	for _, args := range [][]string{
		{"inspect"}, {"inspect", "-colour", do}, {"inspect", gone}, {"inspect", do, do}, {"inspect", text},
		{"explore"}, {"explore", gone}, {"explore", "-seeds", "x", do}, {"explore", "-seeds", "2..1", do}, {"explore", "-seed", "1", do}, {"explore", "-seeds", "1", text},
		{"explore", "-mount", "/a=dir:.", do}, {"explore", "-trace", "-", do},
		{"replay"}, {"replay", do}, {"replay", do, do}, {"replay", gone, do}, {"replay", do, gone},
		{"rewrite", do}, {"rewrite", "-o", gone, do}, {"rewrite", "-o", filepath.Join(t.TempDir(), "out"), text},
	} {
		got := wasivirt(t, args...)
		if got.status != 125 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v, want status 125 and one line", args, got)
		}
	}
}

// TestWhatIsAskedForAfterTheRun is looked at before it: the guest has not printed anything.
func TestWhatIsAskedForAfterTheRun(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone", "x.tar")
	for _, flags := range [][]string{{"-export", "/=" + gone}, {"-export", "/tmp"}, {"-diff", gone}, {"-record", gone}, {"-trace", gone}} {
		got := wasivirt(t, append(append([]string{"run"}, flags...), do, "echo", "hi")...)
		if got.status != 125 || got.stdout != "" || !strings.Contains(got.stderr, flags[0]) {
			t.Errorf("%v: %+v", flags, got)
		}
	}
}
