package virt_test

import (
	"errors"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// TestResetReportsLostOutput that host code wrote for the guest, and resets the guest all the same.
func TestResetReportsLostOutput(t *testing.T) {
	full := errors.New("no room")
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, passing()), virt.WithStdout(failing{full}))
	g.Instance().Memory().WriteUint32Le(0x700, 7)
	if _, err := g.Files().Get(1).Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	err := g.Reset(t.Context())
	if _, ok := errors.AsType[*virt.OutputError](err); !ok || !errors.Is(err, full) {
		t.Errorf("Reset: %v, want an OutputError because of %v", err, full)
	}
	if n, _ := g.Instance().Memory().ReadUint32Le(0x700); n != 0 || g.Result().Outcome != virt.Running {
		t.Errorf("the guest is %v and its memory has %d", g.Result(), n)
	}
}
