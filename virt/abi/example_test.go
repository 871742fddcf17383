package abi_test

import (
	"fmt"

	"github.com/wasivirt/wasivirt/virt/abi"
)

// The functions that change the names in a directory: they take paths, and their last parameter is
// no result.
func ExampleFunctions() {
	for _, f := range abi.Functions() {
		var paths []string
		for _, p := range f.Params {
			if p.Kind == abi.KindPath {
				paths = append(paths, p.Name)
			}
		}
		if last := len(f.Params) - 1; last >= 0 && f.Params[last].Kind == abi.KindPath {
			fmt.Println(f.Name, paths)
		}
	}
	// Output:
	// path_create_directory [path]
	// path_link [old_path new_path]
	// path_remove_directory [path]
	// path_rename [old_path new_path]
	// path_symlink [old_path new_path]
	// path_unlink_file [path]
}

// The part of a Host that answers an import of a module.
func ExampleSubsystemOf() {
	fmt.Println(abi.SubsystemOf(abi.ModuleName, "clock_time_get"))
	fmt.Println(abi.SubsystemOf(abi.ThreadsModule, "thread-spawn"))
	fmt.Printf("%q\n", abi.SubsystemOf("env", "lookup"))
	// Output:
	// clock
	// sched
	// ""
}
