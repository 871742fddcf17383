package cookbook

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/virt"
)

// Run a command once.
func Example_run() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("echo", "hello"), virt.WithStdout(os.Stdout))
	check(err) // the Host failed: a bad module, a mistake in an option
	fmt.Println(result)
	// Output:
	// hello
	// exit 0
}

// Give a guest an environment and standard input.
func Example_world() {
	_, err := virt.Run(ctx, wasm, virt.WithArgs("env", "stdin"), virt.WithEnv("LANG", "C"),
		virt.WithStdin(strings.NewReader("some input")), virt.WithStdout(os.Stdout))
	check(err)
	// Output:
	// LANG=C
	// some input
}

// Keep output and errors apart.
func Example_output() {
	var stdout, stderr bytes.Buffer
	_, err := virt.Run(ctx, wasm, virt.WithArgs("echo", "data", "complain", "oops"), virt.WithStdout(&stdout), virt.WithStderr(&stderr))
	check(err)
	fmt.Printf("%q %q\n", stdout.String(), stderr.String())
	// Output:
	// "data\n" "oops"
}

// Tell how a guest ended.
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

// Compile once and run often.
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

// Call the exports of a reactor.
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

// Find out why a call ended its guest.
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

// Run a module that nobody vouches for.
func Example_untrusted() {
	result, err := virt.Run(ctx, wasm, virt.Untrusted(), virt.WithArgs("spam", "1000000"))
	check(err)
	fmt.Println(result)
	// Output: out of output bytes
}

// Bound the time of a guest.
func Example_timeout() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("loop"), virt.WithTimeout(20*time.Millisecond))
	check(err)
	fmt.Println(result)
	// Output: out of wall time
}

// Bound what a guest computes, the same on every machine.
func Example_fuel() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("loop"), virt.WithFuel(1_000_000))
	check(err)
	fmt.Println(result)
	// Output: out of fuel
}

// Bound disk, memory and output, for one guest.
func Example_limits() {
	result, err := virt.Run(ctx, wasm, virt.WithArgs("spam", "100"), virt.WithLimits(func(l *virt.Limits) {
		l.Memory, l.DiskBytes, l.OutputBytes = 16<<20, 1<<20, 5000
		l.Threads, l.WallTime = 4, time.Second
	}))
	check(err)
	fmt.Println(result)
	// Output: out of output bytes
}

// Bound all guests of a Host together, and how many there are.
func Example_sharedLimits() {
	host, err := virt.NewBuilder(virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 1 << 30 }), virt.WithMaxGuests(100)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	result, err := host.Run(ctx, wasm) // waits while 100 others exist
	check(err)
	fmt.Println(result)
	// Output: exit 0
}

// End a guest from outside.
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
