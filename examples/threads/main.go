// Threads runs a guest with a pool of threads: with as many as it asks for, with fewer, on one
// processor, and with a bug that makes its threads wait for each other.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// guest is guest/guest.c, compiled.
//
//go:embed guest/guest.wasm
var guest []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// ways are the ways to run the guest.
var ways = []struct {
	name    string
	threads int          // granted besides the first
	limits  sched.Limits // of all guests of the Host
	args    []string
}{
	{"all that it asks for", 8, sched.Limits{}, nil},
	{"two are granted", 2, sched.Limits{}, nil},
	{"none is granted", virt.NoThreads, sched.Limits{}, nil},
	{"one runs at a time", 8, sched.Limits{Running: 1}, nil},
	{"it forgets to unlock", 2, sched.Limits{}, []string{"forget"}},
}

func run(ctx context.Context, out io.Writer) error {
	for _, way := range ways {
		fmt.Fprintf(out, "%s:\n", way.name)
		began := time.Now()
		// DetectDeadlock ends guests whose threads wait for each other. Without it such a guest
		// waits for its timeout.
		threads := sched.NewParallel(way.limits).DetectDeadlock()
		result, err := virt.Run(ctx, guest, virt.WithScheduler(threads), virt.WithMaxThreads(way.threads),
			virt.WithArgs(way.args...), virt.WithStdout(out), virt.WithTimeout(time.Minute))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %v; at most %d threads at once, in %v\n", result.Outcome, threads.Stats().Peak,
			time.Since(began).Round(time.Millisecond))
		for _, s := range result.Stacks {
			fmt.Fprintf(out, "  thread %d waits in\n%s\n", s.Thread, s.Frames)
		}
	}
	return nil
}
