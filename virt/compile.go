package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// compilation is a module's code, which all Modules of the same bytes and options share. The
// goroutine that makes it belongs to the Host that shares it, see Host.first.
type compilation struct {
	compiled wazero.CompiledModule
	memory   wazero.CompiledModule // of the shared memory that it imports, else nil
	info     *wasmbin.Module
	report   *wasmbin.Report // nil where the module was not rewritten
	options  wasmbin.Options // by which it was rewritten

	offsetFile string
	source     sourceLines
	beginning  beginning

	name      string
	sum       [32]byte // SHA-256 of the module as it was given
	rewritten [32]byte // and as it is run
	bytes     int      // of the module as it is run
	exported  map[string]api.FunctionDefinition

	host   *Host // the first
	key    compilationKey
	done   chan struct{} // closed when err, and all of the above, are set
	err    error
	wanted context.Context // ends when nobody waits any more
	forget context.CancelFunc
	freed  sync.Once
	refs   int // Modules and those who wait for one; guarded by host.mu
}

// compilationKey tells what compiled code depends on: the module, and how it is rewritten.
type compilationKey struct {
	sum     [32]byte
	options string
}

// Compile checks a module and compiles it for this Host.
//
// The same bytes are compiled once while one of their Modules is open, also if several goroutines
// ask at once. If ctx ends, Compile returns its cause at once, but wazero's compiler cannot be
// interrupted: it goes on in the background, and [Host.Close] waits for it. [inspect.Limits] bound
// how long that can take. Package virt/compile compiles in a process of its own, with all
// processors, which ends with ctx.
//
// One goroutine compiles. A ctx of wazero's experimental.WithCompilationWorkers has several
// compile, and stop between two functions when ctx ends. That is for trusted modules: a module that
// makes the engine panic is an error with one goroutine, and ends the process with several.
//
// Errors:
//   - [*inspect.Error]: the bytes are no module, exceed a limit, or the engine refuses them;
//   - [*ImportError]: the module imports what nothing provides, or what the Host does not grant;
//   - [ErrClosed]: the Host has been closed;
//   - the cause of ctx.
func (h *Host) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	return h.CompileLinked(ctx, wasm)
}

// CompileLinked is [Host.Compile] for a module that imports from libraries with these names. Each
// guest of the module needs a [WithLibrary] for each of them.
func (h *Host) CompileLinked(ctx context.Context, wasm []byte, libraries ...string) (*Module, error) {
	return h.compileModule(ctx, wasm, libraries, nil)
}

// compileModule is CompileLinked for code of the embedder, or, if by is not nil, for that guest.
func (h *Host) compileModule(ctx context.Context, wasm []byte, libraries []string, by *Guest) (*Module, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("compile the module: %w", context.Cause(ctx))
	}
	wasm = slices.Clone(wasm) // the caller may change it while, and after, it is compiled
	info, err := readModule(wasm, h.config.limitsOf())
	if err != nil {
		return nil, err
	}
	if err := h.checkImports(info, libraries); err != nil {
		return nil, err
	}
	options := h.rewriting(info)
	values := context.WithoutCancel(ctx) // others may wait for it too
	c, err := h.first().compilation(compilationKey{sha256.Sum256(wasm), fmt.Sprintf("%+v", options)}, func(c *compilation) error {
		ctx, cancel := context.WithCancel(values)
		defer cancel()
		defer context.AfterFunc(c.wanted, cancel)()
		return by.compiling(ctx, func() error { return h.compile(ctx, c, wasm, info, options) })
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if err := c.release(context.WithoutCancel(ctx)); err != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
		return nil, fmt.Errorf("compile the module: %w", context.Cause(ctx))
	}
	if err := c.err; err != nil {
		_ = c.release(ctx) // there is no code that could not be freed
		return nil, err
	}
	m := &Module{compilation: c, host: h, linked: len(libraries) > 0}
	if m.preview1, err = h.first().variants.get(values, h.first(), signaturesOf(info.Imports)); err != nil {
		return nil, errors.Join(err, c.release(values))
	}
	return m, nil
}

// compilation returns the one for a key, which begins unless there is one. The caller holds a
// reference.
func (h *Host) compilation(key compilationKey, compile func(*compilation) error) (*compilation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("compile the module: the Host is %w", ErrClosed)
	}
	if c := h.compilations[key]; c != nil {
		c.refs++
		return c, nil
	}
	c := &compilation{host: h, key: key, sum: key.sum, refs: 1, done: make(chan struct{})}
	c.wanted, c.forget = context.WithCancel(context.Background())
	h.compilations[key] = c
	h.compiling.Go(func() {
		c.err = compile(c)
		h.mu.Lock()
		if c.err != nil { // whoever asks next tries again
			delete(h.compilations, key)
		}
		abandoned := c.refs == 0
		close(c.done)
		h.mu.Unlock()
		if abandoned && c.err == nil {
			// Nobody is left who could be told that the code was not freed.
			_ = c.free(context.Background())
		}
	})
	return c, nil
}

// release gives a reference back. The last one frees the code, once it is there.
func (c *compilation) release(ctx context.Context) error {
	c.host.mu.Lock()
	c.refs--
	last := c.refs == 0
	ready := false
	if last {
		c.forget()
		select {
		case <-c.done:
			ready = c.err == nil
		default: // its goroutine frees it
		}
		if c.host.compilations[c.key] == c {
			delete(c.host.compilations, c.key)
		}
	}
	c.host.mu.Unlock()
	if ready {
		return c.free(ctx)
	}
	return nil
}

// free frees all that belongs to the code, which no Module uses any more.
func (c *compilation) free(ctx context.Context) error {
	return errors.Join(c.freeCode(ctx), c.closeImage())
}

// freeCode frees the code, if there is any, once: a Module may be closed after its Host.
func (c *compilation) freeCode(ctx context.Context) (err error) {
	if c.err != nil {
		return nil
	}
	c.freed.Do(func() {
		if cache := c.host.cache; cache != nil && cache.loaded != nil {
			err = cache.loaded.Free(ctx, c.rewritten, c.bytes, c.compiled)
		} else {
			err = c.compiled.Close(ctx)
		}
		if c.memory != nil {
			err = errors.Join(err, c.memory.Close(ctx))
		}
	})
	return err
}

// compile rewrites a module and has the engine compile it.
func (h *Host) compile(ctx context.Context, c *compilation, wasm []byte, info *wasmbin.Module, options wasmbin.Options) error {
	rewritten, report, err := wasmbin.Rewrite(wasm, options)
	if err != nil {
		return inspect.FromError(err)
	}
	if err := h.compileElsewhere(ctx, rewritten); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // nobody waits any more
	}
	compiled, err := h.compileCached(ctx, rewritten)
	if err != nil {
		return err
	}
	c.compiled, c.info, c.report, c.rewritten = compiled, info, report, sha256.Sum256(rewritten)
	c.bytes, c.options, c.offsetFile = len(rewritten), options, options.Offsets
	c.name, c.exported = compiled.Name(), compiled.ExportedFunctions()
	if mem := sharedMemory(info); mem != nil && mem.Imported {
		if c.memory, err = h.runtime.CompileModule(ctx, memoryModule(mem)); err != nil {
			return errors.Join(fmt.Errorf("shared memory: %w", err), compiled.Close(ctx))
		}
	}
	return nil
}

// engineCompile has the engine compile a module. A panic of the engine, which a module may have
// been made for, is an error like others.
func engineCompile(ctx context.Context, r wazero.Runtime, wasm []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &inspect.Error{Offset: -1, Reason: fmt.Sprintf("the engine failed on it, which is a fault of the engine: %v", p)}
		}
	}()
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, &inspect.Error{Offset: -1, Reason: "the engine refuses it: " + err.Error(), Err: err}
	}
	return compiled, nil
}
