package virt_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// goGuest compiles a Go program below testdata/go to WebAssembly, once for all tests: the go
// command keeps packages, but links each time.
func goGuest(tb testing.TB, dir string, flags ...string) []byte {
	tb.Helper()
	key := strings.Join(append([]string{dir}, flags...), "\x00")
	entry, _ := goGuests.LoadOrStore(key, sync.OnceValues(func() ([]byte, error) {
		return goguest.Build(context.Background(), "./"+filepath.Join("testdata", "go", dir), flags...)
	}))
	wasm, err := entry.(func() ([]byte, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return slices.Clone(wasm) // a test may change it
}

var goGuests sync.Map // program and flags → func() ([]byte, error)

func TestGoGuestReadsAndWritesFiles(t *testing.T) {
	files := memfs.New()
	if err := files.WriteFile("in.txt", []byte("hello, world")); err != nil {
		t.Fatal(err)
	}
	host := newHost(t, shared, virt.WithMount("/", files))
	var stdout, stderr bytes.Buffer
	result, err := host.Run(t.Context(), goGuest(t, "hello"), virt.WithArgs("a", "b"), virt.WithEnv("GREETING", "hi"),
		virt.WithStdout(&stdout), virt.WithStderr(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != virt.Exited || result.ExitCode != 3 {
		t.Errorf("%v, want exit 3\n%s", result, stderr.String())
	}
	if got, want := stdout.String(), "12 bytes, [a b] hi\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, err := files.ReadFile("out.txt"); string(got) != "HELLO, WORLD" {
		t.Errorf("wrote %q, %v", got, err)
	}
}

// newHost builds a Host that is closed when the test ends. It interprets WebAssembly where
// WASIVIRT_ENGINE says "interpreter".
func newHost(tb testing.TB, opts ...virt.Option) *virt.Host {
	tb.Helper()
	if os.Getenv("WASIVIRT_ENGINE") == "interpreter" {
		opts = append([]virt.Option{virt.WithInterpreter()}, opts...)
	}
	return hostOf(tb, opts...)
}

// hostOf builds a Host by nothing but opts, among which is the engine.
func hostOf(tb testing.TB, opts ...virt.Option) *virt.Host {
	tb.Helper()
	host, err := virt.NewBuilder(opts...).Build(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			tb.Errorf("close the Host: %v", err)
		}
	})
	return host
}
