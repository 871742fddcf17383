package cookbook

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// Let sleeps take no time. For tests of programs that wait: the clock jumps when all threads wait.
func Example_virtualTime() {
	_, err := virt.Run(ctx, wasm, virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())), virt.WithArgs("sleep", "3600000"))
	check(err)
	fmt.Println("an hour has passed")
	// Output: an hour has passed
}

// Choose what time it is. For tests of dates, and for output that must not change from day to day.
func Example_date() {
	christmas := time.Date(2030, 12, 24, 18, 0, 0, 0, time.UTC)
	_, err := virt.Run(ctx, wasm, virt.WithClock(clock.NewVirtual(clock.WithStart(christmas))), virt.WithArgs("time"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: 1924365600
}

// Move time by hand. For tests that look at a guest between two timers.
func Example_advance() {
	c := clock.NewVirtual()
	host, err := virt.NewBuilder(virt.WithClock(c), virt.WithStdout(os.Stdout)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := host.Run(ctx, wasm, virt.WithArgs("sleep", "60000", "echo", "a minute later"))
		done <- err
	}()
	c.BlockUntil(1) // until the guest sleeps
	c.Advance(time.Minute)
	check(<-done)
	// Output: a minute later
}

// Draw the same random numbers in every run. For output that depends on randomness alone. Threads
// still run in any order.
func Example_seed() {
	for range 2 {
		_, err := virt.Run(ctx, wasm, virt.WithSeed(1), virt.WithArgs("random"), virt.WithStdout(os.Stdout))
		check(err)
	}
	// Output:
	// 9127777441277756459
	// 9127777441277756459
}

// Repeat a run bit for bit, threads included. For tests and bug reports: clock, randomness and the
// order of threads follow from the seed.
func Example_deterministic() {
	var hashes [2][32]byte
	for i := range hashes {
		result, err := virt.Run(ctx, racer, virt.Deterministic(7), virt.WithMaxThreads(8), virt.WithHash())
		check(err)
		hashes[i] = result.Hash
	}
	fmt.Println(hashes[0] == hashes[1])
	// Output: true
}

// Find a race, and the seed that shows it. For programs with wasm threads. The report says how each
// outcome comes about.
func Example_explore() {
	report, err := explore.Run(ctx, explore.Config{Wasm: racer, First: 1, Last: 200, Workers: 1})
	check(err)
	for _, o := range report.Outcomes {
		fmt.Println(o.What)
	}
	// Unordered output:
	// exit 0
	// exit 1
}

// Record a run, and run it again without its world. For a failure that happened elsewhere: the
// recording is all that is needed.
func Example_replay() {
	var tape bytes.Buffer
	_, err := virt.Run(ctx, wasm, virt.WithRecording(&tape), virt.WithEnv("TOKEN", "from the world"), virt.WithArgs("env"))
	check(err)
	result, err := replay.Run(ctx, wasm, &tape, virt.WithStdout(os.Stdout))
	check(err)
	fmt.Println(result)
	// Output:
	// TOKEN=from the world
	// exit 0
}

// Find where two runs part. For runs that should be the same and are not.
func Example_compareRuns() {
	var a, b bytes.Buffer
	for tape, text := range map[*bytes.Buffer]string{&a: "one", &b: "two"} {
		_, err := virt.Run(ctx, wasm, virt.WithRecording(tape), virt.WithEnv("WORLD", text), virt.WithArgs("env"))
		check(err)
	}
	d, err := replay.Compare(&a, &b, 1)
	check(err)
	fmt.Println(d != nil)
	// Output: true
}
