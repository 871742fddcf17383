package compile_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/compile"
)

// A program calls Process first in main. So do these tests.
func TestMain(m *testing.M) {
	compile.Process()
	os.Exit(m.Run())
}

// A module of somebody else's is compiled in a process that is killed after ten seconds, or at
// 512 MiB. main has called compile.Process.
func ExampleWithProcess() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../testdata/warm.wasm")
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	limits := compile.ProcessLimits{Time: 10 * time.Second, Memory: 512 << 20}
	host, err := virt.NewBuilder(virt.WithCompilationCache(dir, 0), compile.WithProcess(limits)).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	if _, err := host.Compile(ctx, wasm); err != nil {
		log.Fatal(err) // an *inspect.Error if the module is refused or exceeds a limit
	}
	_, modules, err := compile.CacheSize(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("modules in the cache:", modules)
	// Output: modules in the cache: 1
}
