package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/usercache"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/compile"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// cacheSizeVariable names the environment variable that says how many bytes the cache may take.
const cacheSizeVariable = "WASIVIRT_CACHE_SIZE"

// cacheBytes is how much the cache may hold.
func cacheBytes() (int64, error) {
	text := os.Getenv(cacheSizeVariable)
	if text == "" {
		return compile.DefaultCacheBytes, nil
	}
	var s size
	if err := s.Set(text); err != nil || s > 1<<62 {
		return 0, fmt.Errorf("%s=%q: want a number of bytes such as 512M", cacheSizeVariable, text)
	}
	return int64(s), nil
}

// engine says how modules are run. Compiled code is kept in the user's cache directory, because
// compiling a large program takes seconds; where there is none, or it cannot be written to, every
// run compiles.
func (w *world) engine() (virt.Option, error) {
	var opts []virt.Option
	if w.throwRef {
		limits := inspect.DefaultLimits()
		limits.NoThrowRef = false
		opts = append(opts, virt.WithModuleLimits(limits))
	}
	if w.interpreter {
		opts = append(opts, virt.WithInterpreter())
	} else if dir := usercache.Writable(); dir != "" {
		bytes, err := cacheBytes()
		if err != nil {
			return nil, err
		}
		opts = append(opts, virt.WithCompilationCache(dir, bytes))
	}
	return virt.Options(opts...), nil
}

// compile compiles a module, with all processors unless nobody vouches for it: an engine that fails
// in a worker ends the process.
func (w *world) compile(ctx context.Context, host *virt.Host, wasm []byte) (*virt.Module, error) {
	defer progress(w.stderr, compiling(wasm))()
	if !w.untrusted {
		ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	}
	m, err := host.Compile(ctx, wasm)
	if large, ok := errors.AsType[*inspect.Error](err); ok && large.Limit != "" {
		bare := *large
		bare.Limit = "" // what the library advises about it is not to be had by a flag
		advice := "run it without -untrusted"
		switch {
		case large.Limit == "NoThrowRef":
			advice = "if you trust the module, run it with -throw-ref"
		case !w.untrusted:
			advice = "the command has no flag for that, a program that embeds wasivirt has (virt.WithModuleLimits)"
		}
		if large.Limit == "FunctionCost" || large.Limit == "TotalCost" {
			advice += ", or use -interpreter"
		}
		err = fmt.Errorf("%w: %s", &bare, advice)
	}
	if missing, ok := errors.AsType[*virt.ImportError](err); ok && missing.Missing != nil {
		names := make([]string, 0, 4)
		for _, im := range missing.Missing[:min(len(missing.Missing), cap(names))] {
			names = append(names, safetext.Name(im.Module)+"."+safetext.Name(im.Name)+im.Type())
		}
		err = fmt.Errorf("nothing provides %d of the functions that the module imports: %s (wasivirt inspect lists all): -trap-unknown-imports runs it without them",
			len(missing.Missing), strings.Join(names, "; "))
	}
	return m, err
}

func compiling(wasm []byte) func() string { return still("compiling %d KB", len(wasm)>>10) }

// still says the same for as long as something takes.
func still(format string, args ...any) func() string {
	what := fmt.Sprintf(format, args...)
	return func() string { return what }
}

// progressColumns is how much of what goes on fits a line of 80 columns, with the time.
const progressColumns = 58

// progress shows on a terminal what goes on, once it has taken a second, until done is called.
func progress(stderr io.Writer, what func() string) (done func()) {
	if !terminal(stderr) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		begun := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-stop:
				if shown {
					fmt.Fprint(stderr, "\r\x1b[K")
				}
				return
			case <-tick.C:
				shown = true
				text := []rune(safetext.Line(what()))
				if len(text) > progressColumns { // a line that wraps could not be taken back
					text = append(text[:progressColumns-3], []rune("...")...)
				}
				fmt.Fprintf(stderr, "\r\x1b[Kwasivirt: %s: %d s", string(text), int(time.Since(begun).Seconds()))
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// terminal reports whether a stream is a terminal that understands more than text.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// cacheCommand is the command cache: it tells the size of the cache, or empties it.
func cacheCommand(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	dir := usercache.Dir()
	args, err := noFlags("cache", args, stdout)
	if err != nil {
		return exitHost, err
	}
	if len(args) > 1 || len(args) == 1 && args[0] != "clear" {
		return exitHost, fmt.Errorf("want: %s", forms["cache"].form)
	}
	if dir == "" {
		_, err := fmt.Fprintf(stdout, "nothing is kept (%s=off)\n", usercache.Variable)
		return 0, err
	}
	most, err := cacheBytes()
	if err != nil {
		return exitHost, err
	}
	if len(args) == 1 {
		if err := compile.ClearCache(dir); err != nil {
			return exitHost, fmt.Errorf("%s: %w", dir, err)
		}
	}
	held, entries, err := compile.CacheSize(dir)
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", dir, err)
	}
	_, err = fmt.Fprintf(stdout, "%s: %d modules, %.1f MB of at most %.1f MB (%s, %s)\n", dir, entries,
		float64(held)/(1<<20), float64(most)/(1<<20), usercache.Variable, cacheSizeVariable)
	return 0, err
}
