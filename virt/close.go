package virt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/wasivirt/wasivirt/internal/goroutine"
	"github.com/wasivirt/wasivirt/internal/safetext"
)

// ErrInside is the error of a Close that a guest's own call makes: by a Handler, a HostFunction, a
// Tracer, a Writer or other code of the embedder that runs for the guest. Such a Close would wait
// for itself. [Guest.Stop] does not wait.
var ErrInside = errors.New("Close was called from inside a call of the guest, for which it would wait: use Guest.Stop, and Close from elsewhere")

// StuckError means that a Close or Run stopped waiting for code of the embedder that nothing can
// interrupt. The rest of the work is done in the background when that code returns.
type StuckError struct {
	// Doing is what was waited for, as in `close guest "tool"`.
	Doing string
	// Goroutines are those that still run for the guest, each as "goroutine 12 [chan receive] in
	// main.(*slow).Read".
	Goroutines []string
	// Stacks are the stack traces of the goroutines.
	Stacks []string
	// Cause says why waiting ended: the cause of the context's end, or [context.DeadlineExceeded].
	Cause error
}

func (e *StuckError) Error() string {
	if len(e.Goroutines) == 0 {
		return fmt.Sprintf("%s: %v", e.Doing, e.Cause)
	}
	return fmt.Sprintf("%s: %v: waiting for %s", e.Doing, e.Cause, strings.Join(e.Goroutines, ", "))
}

// Unwrap returns the cause.
func (e *StuckError) Unwrap() error { return e.Cause }

// stuck makes the error of not having waited for guests.
func stuck(doing string, cause error, guests ...*Guest) *StuckError {
	e := &StuckError{Doing: doing, Cause: cause}
	for _, g := range guests {
		for _, i := range goroutine.Of(g.owner()) {
			e.Goroutines, e.Stacks = append(e.Goroutines, i.String()), append(e.Stacks, i.Stack)
		}
	}
	return e
}

// closeGrace is how long a Close waits for its end after its context's: what nothing keeps from
// ending ends well within it.
const closeGrace = 50 * time.Millisecond

// waited waits for done no longer than closeGrace, and reports whether it was closed.
func waited(done <-chan struct{}) bool {
	t := time.NewTimer(closeGrace)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// owner marks goroutines that run for the guest.
func (g *Guest) owner() unsafe.Pointer { return unsafe.Pointer(g) }

// mark calls f marked as running for the guest.
func (g *Guest) mark(f func()) { goroutine.Do(g.owner(), f) }

// runs reports whether something runs for the guest.
func (g *Guest) runs() bool { return g.uses.used() || g.group.Alive() > 0 || g.writing() }

// inside reports whether the caller runs for the guest.
func (g *Guest) inside(ctx context.Context) bool {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.guest == g {
		return true
	}
	return g.runs() && goroutine.Inside(func(owner uintptr) bool { return owner == uintptr(g.owner()) })
}

// Lingering lists the goroutines that run for the guest at this moment, each as "goroutine 12 [chan
// receive] in main.(*slow).Read". The name after "in" is the embedder's function. After Close only
// goroutines remain that nothing can interrupt, in a Read or a Write of the embedder. It stops all
// goroutines of the program for a moment.
func (g *Guest) Lingering() (names []string) {
	for _, i := range goroutine.Of(g.owner()) {
		names = append(names, i.String())
	}
	return names
}

// Lingering lists the goroutines that are still in a Read or Write of the embedder's, for guests of
// the Host that have been closed. See [Guest.Lingering].
func (h *Host) Lingering() (names []string) {
	h.mu.Lock()
	guests := slices.Collect(maps.Keys(h.lingering))
	h.mu.Unlock()
	slices.SortFunc(guests, func(a, b *Guest) int { return cmp.Compare(a.serial, b.serial) })
	for _, g := range guests {
		names = append(names, g.Lingering()...)
	}
	return names
}

// linger keeps a guest in mind of which goroutines are still in code of the embedder's, and forgets
// those that have none any more.
func (h *Host) linger(g *Guest) {
	reads := busy(g.streams[0]) || g.writing()
	h.mu.Lock()
	defer h.mu.Unlock()
	for old := range h.lingering {
		if !busy(old.streams[0]) && !old.writing() {
			delete(h.lingering, old)
		}
	}
	if !reads {
		return
	}
	if h.lingering == nil {
		h.lingering = map[*Guest]struct{}{}
	}
	h.lingering[g] = struct{}{}
}

// Stop ends the guest, unless it has ended, with a Result that says [Canceled] and, as its Err,
// cause; nil stands for [context.Canceled]. It does not wait: the guest's threads leave at their
// next call, wait or check. It may be called at any time and from anywhere, a Handler,
// HostFunction, Tracer or Writer of the guest included. Close is still due.
func (g *Guest) Stop(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	g.decide(&Result{Outcome: Canceled, Err: cause})
}

// Close ends the guest if it has not ended, waits until nothing of it runs, closes its descriptors
// and frees its memory. Do not use objects of [Guest.Instance] afterwards: another guest may get
// the memory, zeroed. When Close returns, the guest's output has been written and none of its
// goroutines writes any more. If the guest did not end by itself, its writers have 100 ms to take
// its output; the rest is lost.
//
// Every Close waits, also a second one. A Close after the end does nothing. If ctx ends first,
// Close returns a [*StuckError] that says what still runs, and finishes in the background.
//
// Errors: [ErrInside] if the caller runs for the guest; Close then does nothing. [*OutputError] if
// output was lost. Errors of closing descriptors.
func (g *Guest) Close(ctx context.Context) error {
	if g.inside(ctx) {
		return fmt.Errorf("close guest %s: %w", safetext.Quote(g.title), ErrInside)
	}
	return g.close(ctx)
}

func (g *Guest) close(ctx context.Context) error {
	return g.closing.close(ctx, func() error { return g.finishClose(ctx) }, func(cause error) error {
		return stuck("close guest "+safetext.Quote(g.title), cause, g)
	})
}

// finishClose closes the guest. Only waiting for output heeds the end of ctx.
func (g *Guest) finishClose(ctx context.Context) error {
	g.decide(&Result{Outcome: Canceled, Err: ErrClosed})
	g.uses.shutAndWait()
	g.group.Close()
	if g.timer != nil {
		g.timer.Stop()
	}
	err := errors.Join(
		contained(func() error { g.usage.stop(g); return nil }),
		g.finishObserver(ctx),
		contained(func() error { return g.flush(ctx) }),
		contained(g.closeFiles),
		contained(g.abandon))
	ctx = context.WithoutCancel(ctx)
	if g.main.mod != nil {
		err = errors.Join(err, g.main.mod.Close(ctx))
	}
	err = errors.Join(err, g.closeLibraries(ctx))
	g.giveTables(g.grown.Load())
	if g.copies.Load() > 0 {
		g.dischargeInstance(g.module)
	}
	if g.reserved {
		g.releaseStack()
	}
	if g.home != nil {
		err = errors.Join(err, g.home.Close())
	}
	if g.main.lin != nil {
		err = errors.Join(err, g.main.lin.recycle())
	}
	g.discharge(0)
	if g.sharedDisk != nil {
		g.sharedDisk.Return()
	}
	err = errors.Join(err, g.unshare(ctx))
	if g.admitted {
		g.host.dismiss()
	}
	if g.family.root != nil {
		g.family.quit()
	}
	g.host.remove(g)
	g.host.linger(g)
	if !g.adopted {
		g.module.uses.leave()
	}
	return err
}

// Close ends all guests of the Host, waits until nothing of them runs and no module is being
// compiled, and frees what the Host made. A runtime that the embedder gave stays open. Siblings are
// closed first.
//
// Every Close waits, also a second one. A Close after the end does nothing. If ctx ends first,
// Close returns a [*StuckError] that says what still runs, and finishes in the background.
//
// Errors: [ErrInside] if the caller runs for one of the guests; Close then does nothing. Errors of
// closing the guests.
func (h *Host) Close(ctx context.Context) error {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && (t.guest.host == h || t.guest.host.elder == h) || h.inside() {
		return fmt.Errorf("close the Host: %w", ErrInside)
	}
	return h.closing.close(ctx, func() error { return h.finishClose(ctx) }, func(cause error) error {
		return stuck("close the Host", cause, h.alive()...)
	})
}

// inside reports whether the calling goroutine runs for a guest of the Host.
func (h *Host) inside() bool {
	guests := map[uintptr]bool{}
	for _, g := range h.alive() {
		if g.runs() {
			guests[uintptr(g.owner())] = true
		}
	}
	return len(guests) > 0 && goroutine.Inside(func(owner uintptr) bool { return guests[owner] })
}

// alive are the guests that have not been closed, those of siblings included, in the order in which
// they were made.
func (h *Host) alive() (guests []*Guest) {
	h.mu.Lock()
	for g := range h.guests {
		guests = append(guests, g)
	}
	siblings := slices.Collect(maps.Keys(h.siblings))
	h.mu.Unlock()
	slices.SortFunc(guests, func(a, b *Guest) int { return cmp.Compare(a.serial, b.serial) })
	for _, s := range siblings {
		guests = append(guests, s.alive()...)
	}
	return guests
}

// finishClose closes the Host. Only waiting for output heeds the end of ctx.
func (h *Host) finishClose(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	siblings := slices.Collect(maps.Keys(h.siblings))
	h.mu.Unlock()
	var errs []error
	for _, s := range siblings {
		errs = append(errs, s.closing.close(context.WithoutCancel(ctx), func() error { return s.finishClose(ctx) }, nil))
	}
	guests := h.alive()
	if !h.takesTurns() {
		// One that cannot be interrupted keeps no other running.
		for _, g := range guests {
			g.decide(&Result{Outcome: Canceled, Err: ErrClosed})
		}
	}
	// In the order in which they were made: others may see how one ends.
	for _, g := range guests {
		errs = append(errs, g.closing.close(context.WithoutCancel(ctx), func() error { return g.finishClose(ctx) }, nil))
	}
	h.uses.shutAndWait()
	h.compiling.Wait()
	ctx = context.WithoutCancel(ctx)
	errs = append(errs, h.programs.close(ctx))
	if h.elder == nil {
		errs = append(errs, h.spares.close())
	}
	switch {
	case h.elder != nil:
		h.elder.mu.Lock()
		delete(h.elder.siblings, h)
		h.elder.mu.Unlock()
	case h.owned:
		errs = append(errs, h.closeRuntime(ctx))
	default:
		for _, m := range h.own {
			errs = append(errs, m.Close(ctx))
		}
		for _, m := range h.modules {
			errs = append(errs, m.Close(ctx))
		}
		for _, m := range h.plugModules {
			errs = append(errs, m.Close(ctx))
		}
		errs = append(errs, h.variants.close(ctx), h.freeHostModules(ctx))
	}
	return errors.Join(errs...)
}
