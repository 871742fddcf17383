package virt_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/compile"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

func TestMain(m *testing.M) {
	compile.Process() // the test binary is a program whose Hosts compile in processes
	os.Exit(m.Run())
}

// TestCompilationProcess: the code comes from the process by the cache, and the limits end the
// process.
func TestCompilationProcess(t *testing.T) {
	ctx := context.Background()
	good := virt.Command(1, "\x00", "\x01")
	for _, tc := range []struct {
		name   string
		limits compile.ProcessLimits
		module []byte
		want   string // a part of the error
	}{
		{"within limits", compile.ProcessLimits{Time: time.Minute, Memory: 1 << 30}, good, ""},
		{"no limits", compile.ProcessLimits{}, good, ""},
		{"out of time", compile.ProcessLimits{Time: 1}, good, "ProcessLimits.Time"},
		{"refused", compile.ProcessLimits{}, virt.Command(1, "\x00", "\x1a"), "the engine refuses it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			host, err := virt.NewBuilder(virt.WithCompilationCache(dir, 0), compile.WithProcess(tc.limits)).Build(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close(ctx)
			r, err := host.Run(ctx, tc.module)
			if tc.want == "" {
				if err != nil || !r.Success() {
					t.Errorf("%v, %v", r, err)
				}
				return
			}
			bad, ok := errors.AsType[*inspect.Error](err)
			if !ok || !strings.Contains(bad.Error(), tc.want) || virt.UnsafeText(bad.Error()) || strings.Contains(bad.Error(), "\n") {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if _, n, err := compile.CacheSize(dir); n != 0 || err != nil {
				t.Errorf("%d entries are kept, %v", n, err)
			}
		})
	}
}

// TestCompilationProcessOutOfMemory: a module that needs more than the limit is refused, and the
// Host lives on.
func TestCompilationProcessOutOfMemory(t *testing.T) {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithCompilationCache(t.TempDir(), 0), virt.WithModuleLimits(inspect.Limits{}),
		compile.WithProcess(compile.ProcessLimits{Memory: 32 << 20})).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	if _, err := host.Compile(ctx, virt.HostileModules()["FunctionCost/ifs"]); err == nil || !strings.Contains(err.Error(), "ProcessLimits.Memory") {
		t.Errorf("%v", err)
	}
}

// TestCompilationProcessEndsWithTheContext: when nobody waits any more, the process is killed, and
// Close has nothing to wait for.
func TestCompilationProcessEndsWithTheContext(t *testing.T) {
	background := context.Background()
	host, err := virt.NewBuilder(virt.WithCompilationCache(t.TempDir(), 0), virt.WithModuleLimits(inspect.Limits{}),
		compile.WithProcess(compile.ProcessLimits{})).Build(background)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, 200*time.Millisecond)
	defer cancel()
	// In this process it would take minutes.
	if _, err := host.Compile(ctx, virt.HostileModules()["FunctionCost/loops"]); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := host.Close(background); err != nil {
		t.Error(err)
	}
}

// TestCompilationProcessNeedsACache: without one the code could not come back.
func TestCompilationProcessNeedsACache(t *testing.T) {
	if _, err := virt.NewBuilder(compile.WithProcess(compile.ProcessLimits{})).Build(context.Background()); err == nil || !strings.Contains(err.Error(), "WithCompilationCache") {
		t.Error(err)
	}
}
