package iofs_test

import (
	"fmt"
	"io"
	"testing/fstest"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
)

// Any io/fs.FS becomes a file system for guests.
func ExampleNew() {
	files := iofs.New(fstest.MapFS{"hello.txt": {Data: []byte("Hello, guest")}})

	root := files.Root().(vfs.Directory)
	node, _ := root.Lookup("hello.txt")
	file, _ := node.(vfs.RegularFile).Open(vfs.OpenRead)
	defer file.Close()
	content, _ := io.ReadAll(io.NewSectionReader(file, 0, 100))
	fmt.Printf("%s\n", content)

	_, err := root.Create("new.txt", 0o666)
	fmt.Println(err)
	// Output:
	// Hello, guest
	// EROFS: read-only file system
}
