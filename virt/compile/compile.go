// Package compile bounds what compiling modules takes: it has them compiled in processes that can
// be killed, and looks after the directories of virt.WithCompilationCache.
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

// DefaultCacheBytes is the bound of a virt.WithCompilationCache for which 0 was given.
const DefaultCacheBytes = cachedir.DefaultBytes

// CacheSize returns how many bytes a directory of virt.WithCompilationCache holds, and in how many
// entries.
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

// ProcessLimits bounds a process that compiles one module. A field that is 0 sets no limit.
type ProcessLimits struct {
	// Time bounds the process's life, in real time.
	Time time.Duration
	// Memory bounds what it holds, in bytes. It is looked at every few milliseconds.
	Memory uint64
}

// WithProcess has each module compiled in a process of its own, which is killed at its limits and
// at the end of the context given to virt.Host.Compile. The process is the embedder's program,
// started again; its main must call [Process] first. The code comes back through the cache, so
// virt.WithCompilationCache is needed too.
//
// The option excludes virt.WithRuntime and virt.WithRuntimeConfig, whose code would be another.
func WithProcess(limits ProcessLimits) virt.HostOption {
	var c link.Compiler
	if processesCompile.Load() {
		c = limits.compile
	}
	return link.CompileElsewhere("compile.WithProcess", c).(virt.HostOption)
}

// Process makes programs able to use [WithProcess]. Call it first in main. In a process that was
// started to compile a module it compiles that and ends the process; otherwise it returns at once.
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
