// Package goguest compiles Go programs to WebAssembly, for the examples and tests that run one as a
// guest.
package goguest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles a program, named by its import path or its directory, with the go command of this
// machine, which keeps what it compiled in its cache. flags are those of go build. The guest does
// not name the commit that it was built at: code that is kept for it, hashes and seeds would be
// another guest's with each commit.
func Build(ctx context.Context, program string, flags ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "goguest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "guest.wasm")
	args := append([]string{"build", "-buildvcs=false", "-o", file}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, program)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest %s: %w\n%s", program, err, text)
	}
	return os.ReadFile(file)
}
