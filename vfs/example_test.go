package vfs_test

import (
	"fmt"
	"log"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Host code prepares a world of two mounts and looks at it as a guest would.
func ExampleNamespace() {
	ns := vfs.NewNamespace()
	for _, path := range []string{"/src", "/tmp"} {
		if err := ns.Mount(path, memfs.New()); err != nil {
			log.Fatal(err)
		}
	}
	root := ns.Root()
	if err := root.WriteFile("/src/hello.txt", []byte("hello"), 0o644); err != nil {
		log.Fatal(err)
	}
	entries, err := root.ReadDir("/")
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name, e.Type)
	}
	b, err := root.ReadFile("/tmp/../src/hello.txt")
	fmt.Println(string(b), err)
	// Output:
	// src DIRECTORY
	// tmp DIRECTORY
	// hello <nil>
}

// A thread of a guest opens a file: its memory has the path at 0 and room for the descriptor behind
// it.
func ExampleCaller() {
	ns := vfs.NewNamespace()
	if err := ns.Mount("/", memfs.New()); err != nil {
		log.Fatal(err)
	}
	table := vfs.NewTable(0)
	defer table.Close()
	if err := (&vfs.Preopens{Namespace: ns}).Install(table); err != nil {
		log.Fatal(err)
	}
	c := &vfs.Caller{View: memory.NewView([]byte("file....")), Table: table}
	errno := vfs.PathOpen(c, 3, 0, 0, 4, uint32(wasip1.OCreat), uint64(wasip1.RightFdWrite), 0, 0, 4)
	fd, _ := c.View.Uint32(4)
	fmt.Println(errno, fd, table.Get(fd).Path())
	// There are no standard streams, so that 0 is the lowest free number.
	// Output: ESUCCESS: success 0 /file
}
