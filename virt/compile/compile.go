// Package compile bounds the time and memory that compiling a module takes: it compiles modules in
// processes that can be killed. It also measures and clears directories of
// [virt.WithCompilationCache].
package compile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/internal/cachedir"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

// DefaultCacheBytes is the limit, in bytes, of a [virt.WithCompilationCache] that was given 0.
const DefaultCacheBytes = cachedir.DefaultBytes

// CacheSize returns the size in bytes and the number of entries of a directory of
// [virt.WithCompilationCache].
func CacheSize(dir string) (bytes int64, entries int, err error) { return cachedir.Size(dir) }

// ClearCache removes all entries of a directory of virt.WithCompilationCache.
func ClearCache(dir string) error { return cachedir.Trim(dir, 0) }

// processVariable is set for a process that compiles: the cache's directory.
const processVariable = "WASIVIRT_COMPILE_INTO"

// processMemoryVariable is set for it too: the bytes that it may use, 0 for any number.
const processMemoryVariable = "WASIVIRT_COMPILE_MEMORY"

// Exit statuses of a process that compiles.
const (
	processRefused     = 3 // the engine refuses the module; standard error has its words
	processOutOfMemory = 4
)

// processesCompile says that Process was called, so that the program can be started to compile.
var processesCompile atomic.Bool

// ProcessLimits bounds a process that compiles one module. 0 is no limit.
type ProcessLimits struct {
	// Time is how long the process may take, in real time.
	Time time.Duration
	// Memory is the number of bytes that it may hold. It is checked every few milliseconds.
	Memory uint64
}

// WithProcess compiles each module in a process of its own. The process is killed when it exceeds
// limits, and when the context of [virt.Host.Compile] ends. It runs the embedder's program, whose
// main must call [Process] first. The code comes back through the cache, so
// [virt.WithCompilationCache] is needed too.
//
// It cannot be combined with [virt.WithRuntime] and [virt.WithRuntimeConfig], because the process
// would generate other code.
func WithProcess(limits ProcessLimits) virt.HostOption {
	var c link.Compiler
	if processesCompile.Load() {
		c = limits.compile
	}
	return link.CompileElsewhere("compile.WithProcess", c).(virt.HostOption)
}

// Process lets a program use [WithProcess]. Call it first in main. In a process that was started to
// compile a module, it compiles the module and ends the process. Otherwise it returns at once.
func Process() {
	processesCompile.Store(true)
	dir := os.Getenv(processVariable)
	if dir == "" {
		return
	}
	if most, err := strconv.ParseUint(os.Getenv(processMemoryVariable), 10, 64); err == nil && most > 0 {
		go watchMemory(most)
	}
	wasm, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = link.Compile(context.Background(), wasm, dir)
	}
	if err != nil {
		fmt.Fprint(os.Stderr, err)
		os.Exit(processRefused)
	}
	os.Exit(0)
}

// watchMemory ends the process when the Go runtime holds more than so many bytes.
func watchMemory(most uint64) {
	held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(5 * time.Millisecond) {
		metrics.Read(held)
		if held[0].Value.Uint64()-held[1].Value.Uint64() > most {
			os.Exit(processOutOfMemory)
		}
	}
}

// compile has a process of its own compile a module into the cache in dir.
func (limits ProcessLimits) compile(ctx context.Context, wasm []byte, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("compile in a process: %w", err)
	}
	outer := ctx
	if limits.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limits.Time)
		defer cancel()
	}
	p := exec.CommandContext(ctx, self)
	p.Env = append(os.Environ(), processVariable+"="+dir, processMemoryVariable+"="+strconv.FormatUint(limits.Memory, 10))
	p.Stdin = bytes.NewReader(wasm)
	var text strings.Builder
	p.Stderr = &shortWriter{&text, safetext.MaxLine}
	err = p.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case outer.Err() != nil:
		return fmt.Errorf("compile the module: %w", context.Cause(outer))
	case ctx.Err() != nil:
		return &inspect.Error{Offset: -1, Reason: fmt.Sprintf("compiling it took longer than %v: raise ProcessLimits.Time", limits.Time)}
	case ended && exit.ExitCode() == processOutOfMemory:
		return &inspect.Error{Offset: -1, Reason: fmt.Sprintf("compiling it took more than %d bytes: raise ProcessLimits.Memory", limits.Memory)}
	case ended && exit.ExitCode() == processRefused:
		return &inspect.Error{Offset: -1, Reason: strings.TrimPrefix(text.String(), "module: ")}
	}
	return &inspect.Error{Offset: -1, Reason: fmt.Sprintf("the process that compiles it failed: %v: %s", err, &text)}
}

// shortWriter keeps the first bytes of what is written.
type shortWriter struct {
	to   io.Writer
	left int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if _, err := w.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
