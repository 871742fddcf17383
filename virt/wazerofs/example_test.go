package wazerofs_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt/wazerofs"
)

// A module that uses wazero's own WASI has its files in memory.
func Example() {
	ctx := context.Background()
	wasm, err := goguest.Build(ctx, "./testdata/notes")
	if err != nil {
		log.Fatal(err)
	}
	files := memfs.New()
	config := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(wazerofs.New(files), "/")

	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	if _, err := runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithFSConfig(config).WithSysNanotime()); err != nil {
		log.Fatal(err)
	}
	note, err := fs.ReadFile(view.FS(files), "notes/today")
	fmt.Printf("%s%v\n", note, err)
	// Output:
	// written by a guest
	// <nil>
}
