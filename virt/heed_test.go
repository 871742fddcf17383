package virt_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// quiet is a context that ends without telling those that wait for it, as it is where their
// goroutines get no processor.
type quiet struct {
	context.Context
	err  atomic.Pointer[error]
	seen func() // by who asks once it has ended
}

func (c *quiet) Done() <-chan struct{} { return make(chan struct{}) }

func (c *quiet) Err() error {
	if err := c.err.Load(); err != nil {
		c.seen()
		return *err
	}
	return nil
}

// telling is a Parallel that ends a context while a thread has lost its turn.
type telling struct {
	*sched.Parallel
	tell func()
}

func (s *telling) Yield(t *sched.Thread, at sched.Point) bool {
	lost := s.Parallel.Yield(t, at)
	if at == sched.PointFuel && s.tell != nil {
		s.tell()
	}
	return lost
}

// TestWhoIsToldWhileItHasNoTurnComputesNoMore ends the context of a guest while it waits for its
// turn: it leaves without having written anything again.
func TestWhoIsToldWhileItHasNoTurnComputesNoMore(t *testing.T) {
	forms := map[string]virt.Option{"stop": virt.Options(), "fuel": virt.WithFuel(1 << 40), "interpreter": virt.WithInterpreter()}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			s := &telling{Parallel: sched.NewParallel(sched.Limits{})}
			host := newHost(t, form, virt.WithScheduler(s))
			g := newGuest(t, host, compiled(t, host, threadsGuest(t)))
			memory := func() []byte {
				mem := g.Instance().Memory()
				b, _ := mem.Read(0, mem.Size())
				return b
			}
			var then []byte
			looked := false
			ctx := &quiet{Context: t.Context()}
			ctx.seen = func() {
				if !looked {
					looked = true
					if !bytes.Equal(then, memory()) {
						t.Error("the guest went on after it was told")
					}
				}
			}
			s.tell = func() {
				if then == nil {
					then = bytes.Clone(memory())
					ctx.err.Store(&context.Canceled)
				}
			}
			_, err := g.Call(ctx, "hang", hangSpin, 0)
			if err == nil || g.Result().Outcome != virt.Canceled || !looked {
				t.Errorf("%v, %v", err, g.Result())
			}
		})
	}
}
