package process_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	host := func() []string { return []string{"LANG=C", "SECRET=x", "HOME=/root"} }
	env, err := process.Env{}.
		WithHostEnviron(host).
		WithHost(process.PassDeny("SECRET")).
		With("HOME", "/").
		Snapshot()
	fmt.Println(env.List(), err)

	v := memory.NewView(make([]byte, 64))
	process.EnvironSizesGet(env, v, 0, 4)
	process.EnvironGet(env, v, 8, 32)
	n, _ := v.Uint32(0)
	second, _ := v.Uint32(12)
	s, _ := v.String(second, 6)
	fmt.Println(n, s)

	fmt.Println(process.ProcExit(nil, 3))
	// Output:
	// [LANG=C HOME=/] <nil>
	// 2 HOME=/
	// exit status 3
}

func TestEnvOrderAndOverrides(t *testing.T) {
	base := process.Env{}.WithHostEnviron(func() []string {
		return []string{"Z=host", "A=host", "LC_ALL=C", "LC_TIME=C", "=C:=C:\\", "odd", "M=host"}
	})
	ask := func() ([]string, error) { return []string{"F=func", "M=func"}, nil }
	for _, tt := range []struct {
		name string
		env  process.Env
		want []string
	}{
		{"zero", process.Env{}, nil},
		{"no policy", base, nil},
		{"none", base.WithHost(process.PassNone), nil},
		{"all, sorted", base.WithHost(process.PassAll), []string{"A=host", "LC_ALL=C", "LC_TIME=C", "M=host", "Z=host"}},
		{"allow", base.WithHost(process.PassAllow("LC_*", "A", "ABSENT")), []string{"A=host", "LC_ALL=C", "LC_TIME=C"}},
		{"deny", base.WithHost(process.PassDeny("LC_*", "A")), []string{"M=host", "Z=host"}},
		{"set wins", base.WithHost(process.PassAll).With("M", "set").With("B", ""), []string{"A=host", "LC_ALL=C", "LC_TIME=C", "Z=host", "M=set", "B="}},
		{"last set wins", process.FixedEnv("B=1", "A=1", "B=2"), []string{"A=1", "B=2"}},
		{"function over host", base.WithHost(process.PassAllow("M")).WithFunc(ask), []string{"F=func", "M=func"}},
		{"set over function", process.Env{}.WithFunc(ask).With("M", "set"), []string{"F=func", "M=set"}},
		{"= in value", process.FixedEnv("A=b=c"), []string{"A=b=c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.env.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(append([]string{}, tt.want...), s.List()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEnvIsCopiedOnChange(t *testing.T) {
	base := process.FixedEnv("A=1").With("B", "2")
	one, two := base.With("C", "one"), base.With("C", "two")
	a, _ := one.Snapshot()
	b, _ := two.Snapshot()
	if d := cmp.Diff([][]string{{"A=1", "B=2", "C=one"}, {"A=1", "B=2", "C=two"}}, [][]string{a.List(), b.List()}); d != "" {
		t.Error(d)
	}
}

func TestWhatGuestsCannotHave(t *testing.T) {
	failed := errors.New("failed")
	fail := func() ([]string, error) { return nil, failed }
	env := func(e process.Env) error { _, err := e.Snapshot(); return err }
	args := func(a process.Args) error { _, err := a.Snapshot(); return err }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"NUL in an argument", args(process.FixedArgs("a", "b\x00c")), `argument 1: "b\x00c" has a NUL`},
		{"no =", env(process.FixedEnv("PATH")), "not of the form NAME=value"},
		{"no name", env(process.FixedEnv("=x")), "needs a name"},
		{"= in a name", env(process.Env{}.With("A=B", "x")), `without "="`},
		{"NUL in a value", env(process.Env{}.With("A", "\x00")), "NUL"},
		{"bad from a function", env(process.Env{}.WithFunc(func() ([]string, error) { return []string{"x"}, nil })), "from a function"},
		{"function of arguments fails", args(process.AskArgs(fail)), "arguments: failed"},
		{"function of environment fails", env(process.Env{}.WithFunc(fail)), "environment: failed"},
		{"checked before", process.FixedArgs("\x00").Check(), "NUL"},
		{"checked before", process.FixedEnv("x").Check(), "NAME=value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", tt.err, tt.want)
			}
		})
	}
	if err := process.AskArgs(fail).Check(); err != nil {
		t.Errorf("Check asked: %v", err)
	}
}

func TestFunctionIsAskedOncePerSnapshot(t *testing.T) {
	asked := 0
	args := process.AskArgs(func() ([]string, error) {
		asked++
		return []string{fmt.Sprint("guest", asked)}, nil
	})
	first, _ := args.Snapshot()
	second, _ := args.Snapshot()
	v := memory.NewView(make([]byte, 64))
	for range 3 {
		process.ArgsSizesGet(first, v, 0, 4)
		process.ArgsGet(first, v, 8, 16)
	}
	if d := cmp.Diff([]string{"guest1", "guest2"}, append(first.List(), second.List()...)); d != "" || asked != 2 {
		t.Errorf("asked %d times\n%s", asked, d)
	}
}

func TestGetAndSizes(t *testing.T) {
	const size = 256
	s, err := process.FixedArgs("prog", "", "-v").Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	layout := "prog\x00\x00-v\x00"
	for _, tt := range []struct {
		name      string
		s         *process.Strings
		argv, buf uint32
		want      wasip1.Errno
	}{
		{"fits", s, 16, 64, wasip1.ESUCCESS},
		{"unaligned", s, 17, 65, wasip1.ESUCCESS},
		{"at the very end", s, size - 12, size - 12 - uint32(len(layout)), wasip1.ESUCCESS},
		{"pointers past the end", s, size - 11, 0, wasip1.EFAULT},
		{"bytes past the end", s, 0, size - uint32(len(layout)) + 1, wasip1.EFAULT},
		{"wild pointers", s, 1<<32 - 1, 0, wasip1.EFAULT},
		{"wild bytes", s, 0, 1<<32 - 4, wasip1.EFAULT},
		{"none", nil, size, size, wasip1.ESUCCESS},
		{"none, behind the end", nil, size + 1, 0, wasip1.EFAULT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, log := memory.NewView(make([]byte, size)), new(memory.Log)
			v.SetLog(log)
			if got := process.ArgsGet(tt.s, v, tt.argv, tt.buf); got != tt.want {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			if tt.want != wasip1.ESUCCESS {
				for i, b := range v.Bytes() {
					if b != 0 {
						t.Fatalf("wrote at %d in spite of %v", i, tt.want)
					}
				}
				return
			}
			if tt.s == nil {
				return
			}
			if d := cmp.Diff(layout, string(v.Bytes()[tt.buf:][:len(layout)])); d != "" {
				t.Error(d)
			}
			for i, off := range []uint32{0, 5, 6} {
				if p, _ := v.Uint32(tt.argv + 4*uint32(i)); p != tt.buf+off {
					t.Errorf("argv[%d] = %d, want %d", i, p, tt.buf+off)
				}
			}
			want := []memory.Range{{Ptr: tt.buf, Len: uint32(len(layout))}, {Ptr: tt.argv, Len: 12}}
			if tt.buf+uint32(len(layout)) == tt.argv {
				want = []memory.Range{{Ptr: tt.buf, Len: uint32(len(layout)) + 12}}
			}
			if d := cmp.Diff(want, log.Writes); d != "" {
				t.Error(d)
			}
		})
	}
	v := memory.NewView(make([]byte, 16))
	for _, tt := range []struct {
		count, size uint32
		want        wasip1.Errno
	}{{0, 4, wasip1.ESUCCESS}, {13, 0, wasip1.EFAULT}, {0, 13, wasip1.EFAULT}, {1 << 31, 1<<32 - 1, wasip1.EFAULT}} {
		clear(v.Bytes())
		if got := process.ArgsSizesGet(s, v, tt.count, tt.size); got != tt.want {
			t.Errorf("sizes at %d and %d: %v, want %v", tt.count, tt.size, got, tt.want)
		}
		n, _ := v.Uint32(0)
		if want := uint32(3); tt.want == wasip1.ESUCCESS && n != want || tt.want != wasip1.ESUCCESS && n != 0 {
			t.Errorf("sizes at %d and %d: count %d", tt.count, tt.size, n)
		}
	}
	if n, _ := v.Uint32(4); n != 0 {
		t.Errorf("size %d written with a bad pointer", n)
	}
}

func TestExit(t *testing.T) {
	var told []uint32
	err := process.ProcExit(&process.Hooks{Exit: func(code uint32) { told = append(told, code) }}, 7)
	exit, ok := errors.AsType[process.Exit](fmt.Errorf("run: %w", err))
	if !ok || exit.Code != 7 {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff([]uint32{7}, told); d != "" {
		t.Error(d)
	}
	if process.ProcExit(nil, 0) == nil {
		t.Error("exit with code 0 goes on")
	}
}

func TestRaise(t *testing.T) {
	answer := func(a process.Action) *process.Hooks {
		return &process.Hooks{Signal: func(wasip1.Signal) process.Action { return a }}
	}
	for _, tt := range []struct {
		name  string
		hooks *process.Hooks
		sig   wasip1.Signal
		want  error
	}{
		{"none", answer(process.ActionEnd), wasip1.SIGNONE, nil},
		{"unknown", answer(process.ActionIgnore), wasip1.SIGSYS + 1, wasip1.EINVAL},
		{"unknown", nil, 255, wasip1.EINVAL},
		{"abort", nil, wasip1.SIGABRT, process.Raised{Signal: wasip1.SIGABRT}},
		{"stop", &process.Hooks{}, wasip1.SIGSTOP, process.Raised{Signal: wasip1.SIGSTOP}},
		{"child", nil, wasip1.SIGCHLD, nil},
		{"continue", nil, wasip1.SIGCONT, nil},
		{"urgent", nil, wasip1.SIGURG, nil},
		{"hook ignores", answer(process.ActionIgnore), wasip1.SIGTERM, nil},
		{"hook ends", answer(process.ActionEnd), wasip1.SIGCHLD, process.Raised{Signal: wasip1.SIGCHLD}},
		{"hook leaves it", answer(process.ActionDefault), wasip1.SIGTERM, process.Raised{Signal: wasip1.SIGTERM}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := process.ProcRaise(tt.hooks, tt.sig); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if r := (process.Raised{Signal: wasip1.SIGABRT}); r.ExitCode() != 134 || r.Error() != "ended by signal SIGABRT" {
		t.Error(r.ExitCode(), r)
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	s, _ := process.FixedArgs("a", "b", "c").Snapshot()
	v := memory.NewView(make([]byte, 64))
	if n := testing.AllocsPerRun(100, func() {
		process.ArgsSizesGet(s, v, 0, 4)
		process.ArgsGet(s, v, 8, 32)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	v := memory.NewView(make([]byte, 1<<16))
	for _, n := range []int{3, 10} {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("VARIABLE%d=value", i)
		}
		s, _ := process.FixedArgs(list...).Snapshot()
		b.Run(fmt.Sprint("get/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				process.ArgsGet(s, v, 64, 1024)
			}
		})
	}
	s, _ := process.FixedArgs("a").Snapshot()
	b.Run("sizes", func(b *testing.B) {
		for b.Loop() {
			process.ArgsSizesGet(s, v, 64, 1024)
		}
	})
}
