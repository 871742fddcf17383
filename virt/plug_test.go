package virt_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// writer is a guest that exports fd_write as write.
func writer() []byte {
	four := signature{params: []byte{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, results: []byte{api.ValueTypeI32}}
	return handModule{memory: 1, funcs: []handFunc{
		{module: "wasi_snapshot_preview1", name: "fd_write", signature: four},
		{name: "write", signature: four, body: calling(0, 4)},
	}}.encode()
}

// plugged makes a guest that writes through the plug of testdata, with a text of 4 bytes at 16 and
// a vector of it at 8.
func plugged(t *testing.T, host *virt.Host, opts ...virt.GuestOption) (g *virt.Guest, write func(ctx context.Context, fd uint32) (wasip1.Errno, error)) {
	t.Helper()
	plug, err := host.CompilePlug(t.Context(), bareGuest(t, "plug_hostile"))
	if err != nil {
		t.Fatal(err)
	}
	g, err = host.Instantiate(t.Context(), compiled(t, host, writer()), append(opts, virt.WithPlug(plug))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.WriteMemory(8, []byte("\x10\x00\x00\x00\x04\x00\x00\x00text")); err != nil {
		t.Fatal(err)
	}
	return g, func(ctx context.Context, fd uint32) (wasip1.Errno, error) {
		r, err := g.Call(ctx, "write", uint64(fd), 8, 1, 4)
		if err != nil {
			return 0, err
		}
		return wasip1.Errno(r[0]), nil
	}
}

// A plug reaches the guest's memory within its bounds, and only during a call; what it calls is
// answered below it.
func TestPlugReachesTheGuest(t *testing.T) {
	var out bytes.Buffer
	_, write := plugged(t, newHost(t), virt.WithStdout(&out))
	for fd, want := range map[uint32]wasip1.Errno{
		1: wasip1.ESUCCESS, 55: wasip1.EBADF,
		100: wasip1.ENOTCAPABLE, 101: wasip1.EFAULT, 102: wasip1.EFAULT, 103: wasip1.EFAULT, 104: wasip1.EFAULT,
		107: wasip1.EBADF, 109: 0, 111: wasip1.ESUCCESS,
	} {
		if errno, err := write(t.Context(), fd); errno != want || err != nil {
			t.Errorf("descriptor %d: %v, %v, want %v", fd, errno, err, want)
		}
	}
	if out.String() != "texttexttext" {
		t.Errorf("%q", out.String())
	}
}

// Two guests have a plug each.
func TestPlugsOfTwoGuests(t *testing.T) {
	host := newHost(t)
	_, first := plugged(t, host)
	_, second := plugged(t, host)
	for want := range wasip1.Errno(3) {
		for _, write := range []func(context.Context, uint32) (wasip1.Errno, error){first, second} {
			if n, err := write(t.Context(), 110); n != want+1 || err != nil {
				t.Errorf("call %d of the plug, %v, want %d", n, err, want+1)
			}
		}
	}
}

func TestEndsInPlugs(t *testing.T) {
	t.Run("trap", func(t *testing.T) {
		_, write := plugged(t, newHost(t))
		_, err := write(t.Context(), 105)
		trap, ok := errors.AsType[*virt.Trap](err)
		if !ok || !strings.Contains(trap.Stack, "boom") || !strings.Contains(trap.Stack, "wasi_snapshot_preview1.fd_write(i32,i32,i32,i32) i32\n.") {
			t.Errorf("%v: %q, want the functions of both", err, trap.Stack)
		}
	})
	t.Run("again after a trap", func(t *testing.T) {
		_, write := plugged(t, newHost(t), virt.WithCallsAfterTrap())
		for range 100 {
			if _, err := write(t.Context(), 105); !errors.As(err, new(*virt.Trap)) {
				t.Fatal(err)
			}
		}
		if errno, err := write(t.Context(), 1); errno != wasip1.ESUCCESS || err != nil {
			t.Error(errno, err)
		}
	})
	t.Run("the context's end", func(t *testing.T) {
		_, write := plugged(t, newHost(t))
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		go cancel(reason)
		if _, err := write(ctx, 106); !errors.Is(err, reason) {
			t.Error(err)
		}
	})
	t.Run("fuel", func(t *testing.T) {
		_, write := plugged(t, newHost(t, virt.WithFuel(100_000)))
		_, err := write(t.Context(), 106)
		if budget, ok := errors.AsType[*virt.BudgetError](err); !ok || budget.Budget != virt.BudgetFuel {
			t.Error(err)
		}
	})
}

// A recording has what plugs answered, and is replayed without them.
func TestRecordedPlugs(t *testing.T) {
	var tape, out, again bytes.Buffer
	g, write := plugged(t, newHost(t, virt.Deterministic(1)), virt.WithRecording(&tape), virt.WithHash(), virt.WithStdout(&out))
	for _, fd := range []uint32{1, 111, 100, 55} {
		if _, err := write(t.Context(), fd); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write(t.Context(), 105); err == nil {
		t.Fatal("no trap")
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := replay.Run(t.Context(), writer(), &tape, virt.WithStdout(&again))
	if err != nil || r.Outcome != virt.Trapped || again.String() != out.String() || out.String() != "texttexttext" {
		t.Errorf("%v, %v, %q and %q", r, err, out.String(), again.String())
	}
}

func TestPolicyHoldsForPlugs(t *testing.T) {
	_, write := plugged(t, newHost(t), virt.WithPolicy(virt.Deny("fd_close")))
	if errno, err := write(t.Context(), 107); errno != 1000 || err != nil {
		t.Errorf("%v, %v, want that the plug's call is refused", errno, err)
	}
}

func TestModulesThatAreNoPlugs(t *testing.T) {
	host := newHost(t)
	other := handModule{memory: 1, funcs: []handFunc{{name: "fd_write"}}}.encode()
	for want, wasm := range map[string][]byte{"no function of WASI": writer(), "another type": other} {
		if _, err := host.CompilePlug(t.Context(), wasm); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := host.Compile(t.Context(), bareGuest(t, "plug_hostile")); !errors.As(err, new(*virt.ImportError)) {
		t.Errorf("a guest with the imports of a plug: %v", err)
	}
	if _, err := host.Instantiate(t.Context(), compiled(t, host, writer()), virt.WithPlug(compiled(t, host, writer()))); err == nil {
		t.Error("no error of a plug that CompilePlug did not make")
	}
}
