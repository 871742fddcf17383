package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/internal/cputime"
	"github.com/wasivirt/wasivirt/wasip1"
)

// maxPrograms is how many modules a Host keeps compiled for [Guest.Program], if they have together
// no more bytes than one module may have.
const maxPrograms = 16

// programs are the modules that guests have started last, the most recent one at the end.
type programs struct {
	compiling chan struct{} // holds one while a module is compiled for a guest

	mu   sync.Mutex
	all  []*program
	size uint64 // of all, in bytes
	// alive is the size of all, of those that guests still run, and of those that are about to be
	// compiled, in bytes. It grows under mu.
	alive atomic.Int64
}

type program struct {
	sum       [32]byte
	size      uint64 // of the module, in bytes
	module    *Module
	holders   int  // who is about to start it
	forgotten bool // it is closed when nobody holds it
}

// Program compiles a module for a child of g. The Host keeps the 16 that were asked for last, or as
// many as have together the bytes that one module may have ([WithModuleLimits]), and closes them
// with itself. The module is not closed before the caller calls release, once, when it has started
// a child or does without.
//
// A Host compiles one program at a time. What that takes counts for the processor time of g, which
// may end that much late. If ctx is that of a [HostCall], call Program on its goroutine: its thread
// counts no time while it waits.
//
// Errors: those of [Host.Compile]; EAGAIN if this program, those kept and those that guests still
// run would have more than twice the bytes of one module.
func (g *Guest) Program(ctx context.Context, wasm []byte) (m *Module, release func(), err error) {
	p := &g.host.programs
	sum, size := sha256.Sum256(wasm), uint64(len(wasm))
	held := p.find(sum)
	if held == nil {
		most := g.host.config.limitsOf().ModuleBytes
		if !p.reserve(size, most) {
			return nil, nil, fmt.Errorf("compile a program: guests run others of %d bytes: %w", p.alive.Load(), wasip1.EAGAIN)
		}
		m, err := g.compileProgram(ctx, wasm)
		if err != nil {
			p.free(size)
			return nil, nil, err
		}
		m.freed = func() { p.free(size) }
		held = p.add(&program{sum: sum, size: size, module: m}, most)
	}
	return held.module, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		held.holders--
		held.closeIdle()
	}, nil
}

// compileProgram compiles a module for g, whose thread does not compute meanwhile.
func (g *Guest) compileProgram(ctx context.Context, wasm []byte) (*Module, error) {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.guest == g {
		defer t.pause()()
	}
	return g.host.compileModule(ctx, wasm, nil, g)
}

// compiling calls compile for g, when nothing is compiled for another guest, and charges g for the
// time. A nil g stands for the embedder, who does not wait and is charged nothing.
func (g *Guest) compiling(ctx context.Context, compile func() error) error {
	if g == nil {
		return compile()
	}
	turn := g.host.first().programs.compiling
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-turn }()
	if !g.metered() {
		return compile()
	}
	runtime.LockOSThread() // whose processor time is measured
	defer runtime.UnlockOSThread()
	began := cputime.Now()
	defer func() {
		took, _ := cputime.Since(began)
		g.chargeComputing(took) // the thread that asked looks whether that was too much
	}()
	return compile()
}

// reserve takes room for size bytes more, for which it forgets old programs, unless guests run too
// many others. most is how many bytes one module may have; 0 is no limit.
func (p *programs) reserve(size, most uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	over := func() bool { return most != 0 && uint64(p.alive.Load())+size > 2*most }
	if most != 0 && size > most {
		over = func() bool { return false } // it is about to be refused
	}
	for over() && len(p.all) > 0 {
		p.forget()
	}
	if over() {
		return false
	}
	p.alive.Add(int64(size))
	return true
}

// free gives back what reserve took.
func (p *programs) free(size uint64) { p.alive.Add(-int64(size)) }

// add keeps a program, which the caller holds, and forgets the oldest ones as long as there are too
// many or they are larger together than most; 0 is no limit. It returns the one that is kept: if
// others have compiled the same program meanwhile, it is theirs.
func (p *programs) add(added *program, most uint64) *program {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept := p.findLocked(added.sum); kept != nil {
		_ = added.module.Close(context.Background()) // the code is that of the other
		return kept
	}
	added.holders++
	p.all, p.size = append(p.all, added), p.size+added.size
	for len(p.all) > 1 && (len(p.all) > maxPrograms || most != 0 && p.size > most) {
		p.forget()
	}
	return added
}

// forget takes the oldest program out. The lock is held.
func (p *programs) forget() {
	oldest := p.all[0]
	p.all, p.size = slices.Delete(p.all, 0, 1), p.size-oldest.size
	oldest.forgotten = true
	oldest.closeIdle()
}

// closeIdle closes the module if it was forgotten and nobody holds it.
func (p *program) closeIdle() {
	if p.forgotten && p.holders == 0 {
		// The code is freed when no guest uses it any more: whose error that is nobody knows.
		_ = p.module.Close(context.Background())
	}
}

// find returns the program with a sum, which is now the most recent one and which the caller holds,
// or nil.
func (p *programs) find(sum [32]byte) *program {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.findLocked(sum)
}

func (p *programs) findLocked(sum [32]byte) *program {
	i := slices.IndexFunc(p.all, func(o *program) bool { return o.sum == sum })
	if i < 0 {
		return nil
	}
	found := p.all[i]
	p.all = append(slices.Delete(p.all, i, i+1), found)
	found.holders++
	return found
}

// close closes the modules.
func (p *programs) close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, o := range p.all {
		errs = append(errs, o.module.Close(ctx))
	}
	p.all, p.size = nil, 0
	return errors.Join(errs...)
}
