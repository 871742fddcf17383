package aferofs_test

import (
	"fmt"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
)

// Host code and guests (here the host's own view of the mount) use one store, each by its own
// rules.
func Example() {
	store := afero.NewMemMapFs()
	afero.WriteFile(store, "/in/greeting", []byte("hello"), 0o666)

	root, _ := vfs.NewRoot(aferofs.New(store))
	root.Symlink("in/greeting", "link")
	b, _ := root.ReadFile("link")
	fmt.Printf("%s\n", b)
	fmt.Println(root.Rename("in", "in/deeper"))

	root.WriteFile("in/answer", []byte("world"), 0o666)
	b, _ = afero.ReadFile(store, "/in/answer")
	fmt.Printf("%s\n", b)
	// Output:
	// hello
	// rename in: EINVAL: invalid argument
	// world
}
