package virt_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// do is a guest that does what its arguments say.
func do(ctx context.Context, host *virt.Host, args ...string) {
	wasm, err := os.ReadFile("testdata/bare/do.wasm")
	if err != nil {
		log.Fatal(err)
	}
	result, err := host.Run(ctx, wasm, virt.WithArgs(args...), virt.WithStdout(os.Stdout))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result)
}

// Middleware looks at a path, and sends the guest elsewhere.
func ExampleWithMiddleware() {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithMiddleware("path_open", func(c *virt.Call) wasip1.Errno {
		if path, errno := c.Path("path"); errno == wasip1.ESUCCESS && strings.HasSuffix(path, "old") {
			c.SetPath("path", strings.TrimSuffix(path, "old")+"new")
		}
		return c.Next()
	})).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	do(ctx, host, "write", "/tmp/old", "text\n", "cat", "/tmp/new")
	// Output:
	// text
	// exit 0
}

// A trace shows each call with its parameters by name and kind.
func ExampleWithTrace() {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithClock(clock.NewVirtual()),
		virt.WithTrace(trace.Text(os.Stdout), trace.WithCalls("path_*,fd_write"), trace.WithPaths("/tmp/**"))).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	do(ctx, host, "write", "/tmp/a.txt", "text", "rm", "/tmp/missing")
	// Output:
	// path_open(3</>, SYMLINK_FOLLOW, "tmp/a.txt", O_CREAT|O_TRUNC, FD_WRITE, 0, 0) = 4  <0s>
	// fd_write(4</tmp/a.txt>, "text") = 4  <0s>
	// path_unlink_file(3</>, "tmp/missing") = ENOENT (no such file or directory)  <0s>
	// errno 44
	// exit 0
}

// The first rule that fits decides.
func ExampleWithPolicy() {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithPolicy(
		virt.Allow("path_open", "/tmp/**"),
		virt.Deny("path_*").With(wasip1.EACCES),
	)).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	do(ctx, host, "write", "/tmp/a", "text\n", "cat", "/tmp/a", "mkdir", "/tmp/b")
	// Output:
	// text
	// errno 2
	// exit 0
}
