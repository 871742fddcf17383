package cookbook

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
)

// Run a command once. The shortest way, for a program that runs one module. It compiles the module
// each time.
func Example_run() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("echo", "hello"), virt.WithStdout(os.Stdout))
	check(err) // the Host failed: a bad module, a mistake in an option
	fmt.Println(result)
	// Output:
	// hello
	// exit 0
}

// Give a guest an environment and standard input. By default the environment is empty and standard
// input is at its end.
func Example_world() {
	_, err := virt.Run(ctx, wasm, virt.WithArgs("env", "stdin"), virt.WithEnv("LANG", "C"),
		virt.WithStdin(strings.NewReader("some input")), virt.WithStdout(os.Stdout))
	check(err)
	// Output:
	// LANG=C
	// some input
}

// Keep output and errors apart. By default output is dropped, and Result.Stderr has a part of
// standard error.
func Example_output() {
	var stdout, stderr bytes.Buffer
	_, err := virt.Run(ctx, wasm, virt.WithArgs("echo", "data", "complain", "oops"), virt.WithStdout(&stdout), virt.WithStderr(&stderr))
	check(err)
	fmt.Printf("%q %q\n", stdout.String(), stderr.String())
	// Output:
	// "data\n" "oops"
}

// Pass output on line by line, while the guest runs. For server-sent events, progress and logs.
// After the run, no line comes any more.
func Example_lines() {
	lines := stdio.Lines(func(line string) { fmt.Printf("data: %s\n", line) }) // and flush, for a browser
	_, err := virt.Run(ctx, wasm, virt.WithArgs("echo", "one", "echo", "two"), virt.WithStdout(lines))
	check(err)
	// Output:
	// data: one
	// data: two
}

// Tell how a guest ended. Look at the Result after each run: a guest that fails is no error.
func Example_ends() {
	for _, args := range [][]string{{"exit", "3"}, {"trap"}, {"raise", "15"}} {
		result, err := virt.Run(ctx, wasm, virt.WithArgs(args...))
		check(err)
		switch result.Outcome {
		case virt.Exited:
			fmt.Println("exit code", result.ExitCode)
		case virt.Signaled:
			fmt.Println("signal", uint8(result.Signal))
		case virt.Trapped:
			fmt.Println("trap:", result.Trap.Kind)
		}
	}
	// Output:
	// exit code 3
	// trap: unreachable
	// signal 15
}

// Compile once and run often. For servers: compiling takes seconds for a large module, starting a
// guest microseconds.
func Example_compile() {
	host, err := virt.NewBuilder(virt.WithStdout(os.Stdout)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm)
	check(err)
	for _, name := range []string{"a", "b"} {
		_, err := host.RunModule(ctx, module, virt.WithArgs("echo", name))
		check(err)
	}
	// Output:
	// a
	// b
}

// Call the exports of a reactor. For modules without a main function, with numbers. For strings and
// structs use package plugin.
func Example_exports() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	results, err := guest.Call(ctx, "bump")
	check(err)
	fmt.Println(results[0])
	// Output: 107
}

// Find out why a call ended its guest. A Call, unlike a Run, returns an error if the guest traps,
// exits or runs out of a budget.
func Example_trapInACall() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	_, err = guest.Call(ctx, "trap")
	if trapped, ok := errors.AsType[*virt.Trap](err); ok {
		fmt.Println(trapped.Kind)
	}
	// Output: unreachable
}

// Run a module that nobody vouches for. Every budget gets a value. Further options change single
// ones.
func Example_untrusted() {
	result, err := virt.Run(ctx, wasm, virt.Untrusted(), virt.WithArgs("spam", "1000000"))
	check(err)
	fmt.Println(result)
	// Output: out of output bytes
}

// Bound the time of a guest. For a deadline in real time, which waiting counts for too.
func Example_timeout() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("loop"), virt.WithTimeout(20*time.Millisecond))
	check(err)
	fmt.Println(result)
	// Output: out of wall time
}

// Bound what a guest computes, the same on every machine. For limits that must not depend on the
// machine's load.
func Example_fuel() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("loop"), virt.WithFuel(1_000_000))
	check(err)
	fmt.Println(result)
	// Output: out of fuel
}

// Bound disk, memory and output, for one guest. For limits that a guest can handle: it gets an
// errno for disk, and a failed memory.grow.
func Example_limits() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("spam", "100"), virt.WithLimits(func(l *virt.Limits) {
		l.Memory, l.DiskBytes, l.OutputBytes = 16<<20, 1<<20, 5000
		l.Threads, l.WallTime = 4, time.Second
	}))
	check(err)
	fmt.Println(result)
	// Output: out of output bytes
}

// Bound all guests of a Host together, and how many there are. For a server: what comes above the
// number of guests waits.
func Example_sharedLimits() {
	host, err := virt.NewBuilder(virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 1 << 30 }), virt.WithMaxGuests(100)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	result, err := host.Run(ctx, wasm) // waits while 100 others exist
	check(err)
	fmt.Println(result)
	// Output: exit 0
}

// End a guest from outside. For a user who clicks on stop, or a handler that has seen enough. A
// context does the same.
func Example_cancel() {
	host, err := virt.NewBuilder(virt.WithTimeout(time.Minute)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm)
	check(err)
	guest, err := host.Instantiate(ctx, module, virt.WithArgs("loop"))
	check(err)
	guest.Stop(errors.New("no longer needed"))
	fmt.Println(guest.Result())
	// Output: canceled: no longer needed
}
