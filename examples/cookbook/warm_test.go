package cookbook

import (
	"fmt"
	"os"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/pool"
	"github.com/wasivirt/wasivirt/virt/ps"
)

// Fork a guest that has started. For programs whose start is slow: a fork has the memory of the
// snapshot, and copies what it changes.
func Example_fork() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	snapshot, err := guest.Snapshot(ctx)
	check(err)
	defer snapshot.Close()
	for range 2 {
		fork, err := snapshot.Start(ctx)
		check(err)
		results, err := fork.Call(ctx, "bump")
		check(err)
		fmt.Println(results[0]) // no fork sees what another did
		check(fork.Close(ctx))
	}
	// Output:
	// 107
	// 107
}

// Keep guests ready for requests. For a server that answers from forks: the pool makes them ahead,
// and bounds them.
func Example_pool() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	snapshot, err := guest.Snapshot(ctx)
	check(err)
	defer snapshot.Close()
	guests, err := pool.New(snapshot, pool.Config{Ready: 4, Max: 16})
	check(err)
	defer guests.Close(ctx)
	check(guests.Do(ctx, func(guest *virt.Guest) error {
		results, err := guest.Call(ctx, "bump")
		fmt.Println(results[0])
		return err
	}))
	// Output: 107
}

// Use one guest again as if it were new. For one caller at a time.
func Example_reset() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	guest, err := host.Instantiate(ctx, module)
	check(err)
	for range 2 {
		results, err := guest.Call(ctx, "bump")
		check(err)
		fmt.Println(results[0])
		check(guest.Reset(ctx))
	}
	// Output:
	// 107
	// 107
}

// Keep compiled code between runs of the program. For commands and tests that compile the same
// module each time they start.
func Example_compilationCache() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	host, err := virt.NewBuilder(virt.WithCompilationCache(dir, 512<<20)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	_, err = host.Run(ctx, wasm)
	check(err)
	entries, err := os.ReadDir(dir)
	check(err)
	fmt.Println(len(entries) > 0)
	// Output: true
}

// See which guests there are, and what they do. For a status page, or a guest that hangs. Package
// ps shows the same as text.
func Example_ps() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, library)
	check(err)
	_, err = host.Instantiate(ctx, module, virt.WithName("worker"))
	check(err)
	for _, g := range ps.Of(host) {
		fmt.Println(g.Name, len(g.Descriptors), "descriptors")
	}
	// Output: worker 4 descriptors
}
