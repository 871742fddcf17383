package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/virt/internal/cachedir"
)

// TestCompileOnce: modules of the same bytes share one compilation, until the last of them is
// closed.
func TestCompileOnce(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	wasm := command(1, "\x00", "")
	var all [16]*Module
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = host.Compile(ctx, wasm); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	shared := all[0].compilation
	for i, m := range all {
		if m.compilation != shared {
			t.Errorf("module %d was compiled for itself", i)
		}
		if i > 0 {
			for range 2 { // the second time does nothing
				if err := m.Close(ctx); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if r, err := host.RunModule(ctx, all[0]); err != nil || !r.Success() {
		t.Errorf("after the others were closed: %v, %v", r, err)
	}
	if err := all[0].Close(ctx); err != nil {
		t.Error(err)
	}
	if n := len(host.compilations); n != 0 {
		t.Errorf("%d compilations are kept", n)
	}
	again, err := host.Compile(ctx, wasm)
	if err != nil || again.compilation == shared {
		t.Errorf("compiled again after all were closed: %v", err)
	}
}

// TestCompileWithWorkers: the engine's workers come with the context, and the code is the same.
func TestCompileWithWorkers(t *testing.T) {
	ctx := context.Background()
	wasm, err := os.ReadFile("testdata/bare/kernels.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var code [2]string
	for i, workers := range []int{1, 4} {
		dir := t.TempDir()
		host, err := NewBuilder(WithRuntimeConfig(wazero.NewRuntimeConfigCompiler()), WithCompilationCache(dir, 0)).Build(ctx)
		if err != nil {
			t.Skip(err) // no compiler for this machine
		}
		defer host.Close(ctx)
		m, err := host.Compile(experimental.WithCompilationWorkers(ctx, workers), wasm)
		if err != nil {
			t.Fatal(err)
		}
		g, err := host.Instantiate(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := g.Call(ctx, "fib", 10); err != nil || r[0] != 55 {
			t.Errorf("%d workers: %v, %v", workers, r, err)
		}
		var files []string
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				b, e := os.ReadFile(path)
				files, err = append(files, fmt.Sprintf("%s %x", filepath.Base(path), sha256.Sum256(b))), e
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		code[i] = fmt.Sprint(files)
	}
	if code[0] != code[1] {
		t.Errorf("the code differs:\n%s\n%s", code[0], code[1])
	}
}

// TestCompileEndsWithItsContext: who waits for a compilation leaves when the context ends, and
// Host.Close waits for what goes on.
func TestCompileEndsWithItsContext(t *testing.T) {
	background := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(background)
	if err != nil {
		t.Fatal(err)
	}
	wasm := command(1, "\x00", "")
	info, err := readModule(wasm, host.config.limitsOf())
	if err != nil {
		t.Fatal(err)
	}
	key := compilationKey{sha256.Sum256(wasm), fmt.Sprintf("%+v", host.rewriting(info))}
	begun, goOn := make(chan struct{}), make(chan struct{})
	c, err := host.compilation(key, func(*compilation) error {
		close(begun)
		<-goOn
		return errors.New("it was in vain")
	})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(background)
	ended := make(chan error)
	go func() {
		_, err := host.Compile(ctx, wasm)
		ended <- err
	}()
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("%v, want the context's cause", err)
	}
	if _, err := host.Compile(ctx, wasm); !errors.Is(err, cause) {
		t.Errorf("%v of a context that has ended, want its cause", err)
	}
	closed := make(chan error)
	go func() { closed <- host.Close(background) }()
	select {
	case <-closed:
		t.Error("the Host is closed, and its compilation goes on")
	default:
	}
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	<-c.done
	if _, err := host.Compile(background, wasm); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestCompilationThatFails is tried again by whoever asks next.
func TestCompilationThatFails(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	for range 2 {
		if _, err := host.Compile(ctx, command(1, "\x00", "\x1a")); err == nil {
			t.Error("a drop of nothing was compiled")
		}
	}
	if n := len(host.compilations); n != 0 {
		t.Errorf("%d compilations are kept", n)
	}
}

// TestCompilationCache keeps code from Host to Host, within its bound, whatever is done to its
// entries.
func TestCompilationCache(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "cache")
	run := func(bytes int64, wasm []byte) {
		t.Helper()
		host, err := NewBuilder(WithCompilationCache(dir, bytes)).Build(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := host.Run(ctx, wasm); err != nil || !r.Success() {
			t.Errorf("%v, %v", r, err)
		}
		if err := host.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	size := func() int64 {
		t.Helper()
		n, _, err := cachedir.Size(dir)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	wasm := command(1, "\x00", "\x01")
	run(0, wasm)
	one := size()
	if one == 0 {
		t.Skip("this platform has no compiler: nothing is kept")
	}
	run(0, wasm)
	if size() != one {
		t.Errorf("%d bytes, and %d before", size(), one)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range entries {
		if err := os.WriteFile(path, []byte("WAZEVO and more"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(0, wasm)
	if size() != one {
		t.Errorf("%d bytes after a damage, and %d before", size(), one)
	}
	for i := range 8 {
		run(3*one, command(1, "\x00", string(make([]byte, 0, i))+"\x41"+string(rune(i))+"\x1a"))
	}
	if n := size(); n > 3*one+one/2 {
		t.Errorf("%d bytes, want at most %d", n, 3*one)
	}
}

// TestCompilationCacheAndRuntime: the cache cannot be put into a runtime that is there.
func TestCompilationCacheAndRuntime(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	if _, err := NewBuilder(WithRuntime(host.Runtime()), WithCompilationCache(t.TempDir(), 0)).Build(ctx); err == nil {
		t.Error("both were taken")
	}
}
