package memorytest_test

import (
	"fmt"

	"github.com/wasivirt/wasivirt/memory/memorytest"
)

// A slice of guest memory is good until the memory grows. Here the memory moves when it grows, so
// that code which keeps a slice reads 0xdb and fails its test.
func Example() {
	m := memorytest.New(1, 2)
	m.WriteString(0, "text")
	kept, _ := m.Read(0, 4)
	m.Grow(1)
	again, _ := m.Read(0, 4)
	fmt.Printf("%x %s\n", kept, again)
	// Output: dbdbdbdb text
}
