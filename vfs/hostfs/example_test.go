package hostfs_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A directory of the machine, out of which nothing leads.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("Hello, guest"), 0o666); err != nil {
		log.Fatal(err)
	}

	fsys, err := hostfs.New(dir, hostfs.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	defer fsys.Close()
	root, err := vfs.NewRoot(fsys) // the view that a guest has
	if err != nil {
		log.Fatal(err)
	}
	content, err := root.ReadFile("hello.txt")
	fmt.Printf("%s %v\n", content, err)
	err = root.WriteFile("new.txt", nil, 0o666)
	fmt.Println(errors.Is(err, wasip1.EROFS))
	// Output:
	// Hello, guest <nil>
	// true
}
