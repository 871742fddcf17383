package virt_test

import (
	"io"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A limit that is not reached, and an option that only looks on, change nothing of a deterministic
// run: neither who runs when nor what time it is.
func TestLimitsDoNotChangeADeterministicRun(t *testing.T) {
	t.Parallel()
	options := func() map[string]virt.Option {
		return map[string]virt.Option{
			"fuel":         virt.WithFuel(1_000_000_000),
			"fuel, nearly": virt.WithFuel(5_000_000),
			"shared fuel":  virt.WithSharedLimits(func(l *virt.Limits) { l.Fuel = 1_000_000_000 }),
			"shared limits": virt.WithSharedLimits(func(l *virt.Limits) {
				l.Memory, l.HostCalls, l.RandomBytes, l.Sleep, l.WallTime, l.CPUTime, l.OutputBytes, l.DiskBytes, l.Inodes, l.Descriptors, l.Threads = 1<<30, 1<<40, 1<<30, time.Hour, time.Hour, time.Hour, 1<<20, 1<<20, 1<<20, 1<<20, 1<<10
			}),
			"time":           virt.WithTimeout(time.Hour),
			"host calls":     virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 1 << 40 }),
			"output":         virt.WithLimits(func(l *virt.Limits) { l.OutputBytes = 1 << 30 }),
			"disk":           virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1 << 30 }),
			"inodes":         virt.WithLimits(func(l *virt.Limits) { l.Inodes = 1 << 20 }),
			"memory":         virt.WithMemoryLimit(1 << 30),
			"descriptors":    virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 500 }),
			"threads":        virt.WithMaxThreads(100),
			"usage":          virt.WithUsage(),
			"trace":          virt.WithTrace(trace.Text(io.Discard)),
			"middleware":     virt.WithMiddleware("*", func(c *virt.Call) wasip1.Errno { return c.Next() }),
			"recording":      virt.WithRecording(io.Discard),
			"fault, no call": virt.WithFaults(virt.Fault{Calls: "sock_shutdown", Errno: wasip1.EIO}),
		}
	}
	guests := map[string][]byte{"threads": bareGuest(t, "race_counter_fixed"), "go": goGuest(t, "busy")}
	for name, wasm := range guests {
		first := newHost(t, shared, virt.WithAccessSwitches(), virt.Deterministic(0))
		m := compiled(t, first, wasm)
		want, text := hashed(t, first, m, 3)
		for option, o := range options() {
			host, err := first.Sibling(virt.Deterministic(3), virt.WithHash(), virt.WithMaxThreads(8), virt.WithEnv("PWD", "/"), o)
			if err != nil {
				t.Fatalf("%s: %v", option, err)
			}
			result, err := host.RunModule(t.Context(), m, virt.WithStdout(io.Discard), virt.WithStderr(io.Discard))
			if err != nil {
				t.Fatalf("%s: %v", option, err)
			}
			if result.Hash != want {
				t.Errorf("%s, %s: %v, and another hash than without (output %q)", name, option, result, text)
			}
			if err := host.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
