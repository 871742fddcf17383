package hostnet

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
)

// TestLookupsThatNobodyWaitsFor: guests ask for a name and end, again and again, while the resolver
// does not answer. They leave one question behind, not one each.
func TestLookupsThatNobodyWaitsFor(t *testing.T) {
	leak.Check(t)
	n, err := NewNetwork(Connect("slow.example", 80))
	if err != nil {
		t.Fatal(err)
	}
	var questions atomic.Int64
	asked, answer := make(chan struct{}), make(chan struct{})
	n.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		if questions.Add(1) == 1 {
			close(asked)
		}
		<-answer // whatever the context says
		return nil, errors.New("no server")
	}}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { _, err := n.Lookup(poll.NewTask(ctx), "slow.example"); ended <- err }()
		<-asked
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a guest that has ended gets %v", err)
		}
	}
	n.mu.Lock()
	l, under := n.lookups["slow.example"], len(n.lookups)
	n.mu.Unlock()
	if l == nil || under != 1 || questions.Load() > 2 { // one for each family
		t.Errorf("%d questions under way, %d of the resolver's", under, questions.Load())
	}
	close(answer)
	if l != nil {
		if _, err := poll.Block(poll.NewTask(t.Context()), l, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.Lookup(poll.NewTask(t.Context()), "slow.example"); err == nil {
		t.Error("a resolver without servers found a name")
	}
}
