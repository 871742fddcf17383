package cookbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Watch the calls of a guest, as strace does. For a person who asks what a guest does, or why it
// fails.
func Example_trace() {
	var calls bytes.Buffer
	_, err := virt.Run(ctx, wasm, virt.WithTrace(trace.Text(&calls), trace.WithCalls("path_*")), virt.WithArgs("cat", "/nosuch"))
	check(err)
	fmt.Println(strings.Contains(calls.String(), `"nosuch"`), strings.Contains(calls.String(), "ENOENT"))
	// Output: true true
}

// Watch calls as a program: one JSON object a line. For tests and tools that read a trace.
func Example_traceJSON() {
	var calls bytes.Buffer
	_, err := virt.Run(ctx, wasm, virt.WithTrace(trace.JSON(&calls), trace.WithCalls("fd_write")), virt.WithArgs("echo", "x"))
	check(err)
	var call struct{ Call string }
	check(json.Unmarshal(calls.Bytes(), &call))
	fmt.Println(call.Call)
	// Output: fd_write
}

// Count what guests used, and how they ended. For a metrics page or a bill. Without WithUsage calls
// and bytes are not counted.
func Example_usage() {
	host, err := virt.NewBuilder(virt.WithUsage()).Build(ctx)
	check(err)
	defer host.Close(ctx)
	_, err = host.Run(ctx, wasm, virt.WithArgs("write", "/tmp/a", "text"))
	check(err)
	u := host.Usage()
	fmt.Println(u.BytesOut, "bytes written,", u.Guests[virt.Exited], "exited,", u.Guests[virt.Exhausted], "out of a budget")
	// Output: 4 bytes written, 1 exited, 0 out of a budget
}

// Change what a guest writes. For filters of arguments and results: middleware sees them decoded,
// and decides whether the call is made.
func Example_middleware() {
	upper := func(c *virt.Call) wasip1.Errno {
		if b, errno := c.Bytes("iovs"); errno == 0 {
			c.SetBytes("iovs", bytes.ToUpper(b))
		}
		return c.Next()
	}
	_, err := virt.Run(ctx, wasm, virt.WithMiddleware("fd_write", upper), virt.WithArgs("echo", "text"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: TEXT
}

// Answer a call in the Host's place. For a world in which one function behaves in another way, or
// is missing.
func Example_replacement() {
	noRandomness := func(c *virt.Call) wasip1.Errno { return wasip1.ENOSYS }
	_, err := virt.Run(ctx, wasm, virt.WithReplacement("random_get", noRandomness), virt.WithArgs("random"), virt.WithStdout(os.Stdout))
	check(err)
	// Output:
	// errno 52
	// 0
}

// Forbid calls and paths. For a guest that needs a part of what is mounted. The first rule that
// matches decides; the errno is ENOTCAPABLE.
func Example_policy() {
	rules := []virt.Rule{virt.Allow("path_open", "/tmp/**"), virt.Deny("path_*"), virt.Deny("sock_*")}
	_, err := virt.Run(ctx, wasm, virt.WithPolicy(rules...), virt.WithArgs("write", "/tmp/a", "1", "write", "/b", "2"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: errno 76
}

// Let a call go wrong. For tests of what a guest does if the nth write fails. On the command line
// it is -fault.
func Example_fault() {
	fault, err := virt.ParseFault("fd_write:nth=2:EIO")
	check(err)
	_, err = virt.Run(ctx, wasm, virt.WithFaults(fault), virt.WithArgs("echo", "1", "echo", "2", "echo", "3"), virt.WithStdout(os.Stdout))
	check(err)
	// Output:
	// 1
	// 3
}

// Give guests a function of your own. For numbers and raw memory. For strings, structs and errors
// use plugin.HostFunc.
func Example_hostFunction() {
	double := virt.HostFunction{Name: "double", Params: []api.ValueType{api.ValueTypeI32}, Results: []api.ValueType{api.ValueTypeI32},
		Call: func(c *virt.HostCall, stack []uint64) { stack[0] *= 2 }}
	host, err := virt.NewBuilder(virt.WithFunctions("env", double)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, caller)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	results, err := guest.Call(ctx, "quadruple", 10)
	check(err)
	fmt.Println(results[0])
	// Output: 40
}

// Know what a module needs before it runs. For uploads: it reads the module and compiles nothing.
func Example_inspect() {
	audit, err := inspect.Module(wasm)
	check(err)
	fmt.Println(audit.Kind(), len(audit.Missing()), "imports that no Host answers")
	// Output: command 0 imports that no Host answers
}

// Refuse modules by what they import. For modules that have no business with files or sockets,
// whatever they would do at run time.
func Example_allowedImports() {
	host, err := virt.NewBuilder(virt.WithAllowedImports("fd_write", "proc_exit")).Build(ctx)
	check(err)
	defer host.Close(ctx)
	_, err = host.Compile(ctx, wasm)
	if refused, ok := errors.AsType[*virt.ImportError](err); ok {
		fmt.Println(len(refused.Denied) > 0)
	}
	// Output: true
}

// Use it from code that instantiates its modules with wazero. For programs that have a wazero
// runtime already.
func Example_wazero() {
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	_, err := dropin.Instantiate(ctx, r, virt.WithStdout(os.Stdout), virt.WithArgs("echo", "hello"))
	check(err)
	_, err = r.Instantiate(ctx, wasm)
	check(err)
	// Output: hello
}
