package virt_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
)

// TestSeamsThatNeverReturn lets code of the embedder's, wherever a guest calls some, keep the
// guest's thread for longer than anybody waits. Close comes back when its context ends, and names
// the goroutine and the code that it is in; other guests run; and nothing of the guest touches a
// Writer any more, neither then nor when the code returns after all.
func TestSeamsThatNeverReturn(t *testing.T) {
	const iov, text = 0x800, 0x700
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, s := range seams() {
			t.Run(s.name, func(t *testing.T) {
				var armed atomic.Bool
				var calls, writes atomic.Int64
				entered, release := make(chan struct{}), make(chan struct{})
				host := hostOf(t, engine, s.opts(func() {
					calls.Add(1)
					if armed.CompareAndSwap(true, false) {
						close(entered)
						<-release
					}
				}))
				m := compiled(t, host, s.module())
				var opts []virt.GuestOption
				if s.name != "Writer" {
					opts = append(opts, virt.WithStdout(embedded{func() { writes.Add(1) }}))
				}
				g, err := host.Instantiate(t.Context(), m, opts...)
				if err != nil {
					t.Fatal(err)
				}
				mem := g.Instance().Memory()
				mem.WriteUint32Le(iov, text)
				mem.WriteUint32Le(iov+4, 1)
				mem.WriteString(text, "a")
				mem.WriteByte(0xa10, 1) // a subscription: the monotonic clock, now
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				armed.Store(true)
				called := make(chan error, 1)
				go func() { _, err := g.Call(ctx, s.export, s.params...); called <- err }()
				<-entered
				cancel()
				soon, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer stop()
				err = g.Close(soon)
				// They are on goroutines of their own: the call ends.
				onItsOwn := s.name == "Writer" || s.name == "Reader"
				if onItsOwn {
					<-called
				}
				// Close waits for a Write as long as it may, and never for a Read.
				if stuck, ok := errors.AsType[*virt.StuckError](err); s.name == "Reader" && err != nil || s.name != "Reader" && !ok {
					t.Errorf("Close: %v", err)
				} else if ok && !strings.Contains(strings.Join(stuck.Goroutines, " "), "virt_test.") {
					t.Errorf("Close: %v; want it to name the embedder's code", err)
				}
				if all := strings.Join(g.Lingering(), " "); !strings.Contains(all, "virt_test.") {
					t.Errorf("lingering: %q; want the embedder's code", all)
				}
				next := newGuest(t, host, m)
				if _, err := next.Call(t.Context(), s.export, s.params...); err != nil && s.name != "exit hook" {
					t.Errorf("the next guest: %v", err)
				}
				writesBefore, callsBefore := writes.Load(), calls.Load()
				close(release)
				for len(g.Lingering()) > 0 {
					runtime.Gosched()
				}
				if !onItsOwn {
					<-called
				}
				_ = g.Close(t.Context()) // what it could not write it has told before
				if n := writes.Load() - writesBefore; n != 0 {
					t.Errorf("%d writes after Close", n)
				}
				if n := calls.Load() - callsBefore; onItsOwn && n != 0 {
					t.Errorf("the %s is called %d times after Close", s.name, n)
				}
			})
		}
	})
}
