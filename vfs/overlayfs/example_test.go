package overlayfs_test

import (
	"fmt"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
)

func Example() {
	lower, _ := memfs.FromMap(map[string]string{"etc/motd": "hello", "etc/old": "", "src/main.go": "package main"})
	world := overlayfs.New(lower, memfs.New())

	// What a guest does; here the host does it.
	root, _ := vfs.NewRoot(world)
	root.WriteFile("etc/motd", []byte("changed"), 0o666)
	root.Remove("etc/old")
	root.Rename("src", "lib")

	changes, _ := world.Diff()
	for _, c := range changes {
		fmt.Println(c.Kind, c.Path)
	}
	b, _ := lower.ReadFile("etc/motd")
	fmt.Printf("below: %s\n", b)
	// Output:
	// modified etc/motd
	// removed etc/old
	// added lib
	// added lib/main.go
	// removed src
	// below: hello
}
