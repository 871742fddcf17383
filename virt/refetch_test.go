package virt_test

import (
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/wasip1"
)

// growing is a Poller that lets the guest's memory grow, as a guest does that it calls.
type growing struct{ mod *api.Module }

func (g growing) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	(*g.mod).Memory().Grow(100)
	return s.Poll(subs, events)
}

// TestAnswersReachAMemoryThatGrew polls while the memory of a module moves, on a runtime that is
// not the Host's own.
func TestAnswersReachAMemoryThatGrew(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	var mod api.Module
	c, err := dropin.Instantiate(ctx, r, virt.WithPoller(growing{&mod}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if mod, err = r.Instantiate(ctx, waiterModule(false)); err != nil {
		t.Fatal(err)
	}
	sub := wasip1.Subscription{Userdata: 42, Tag: wasip1.EventtypeClock, Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 1}}
	b := make([]byte, wasip1.SizeSubscription)
	sub.Encode(b)
	mod.Memory().Write(cancelSubsAt, b)
	if _, err := mod.ExportedFunction("poll_oneoff").Call(ctx, cancelSubsAt, cancelEventsAt, 1, cancelResultAt); err != nil {
		t.Fatal(err)
	}
	n, _ := mod.Memory().ReadUint32Le(cancelResultAt)
	u, _ := mod.Memory().ReadUint64Le(cancelEventsAt)
	if n != 1 || u != 42 {
		t.Errorf("the guest sees %d events, of %d; want 1, of 42", n, u)
	}
}
