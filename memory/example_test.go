package memory_test

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A function for guests that takes a string, and stores a number where the guest says. A pointer
// that leads out of the memory is an errno for the guest, and never a panic.
func ExampleView() {
	countWords := func(v *memory.View, text, length, result uint32) wasip1.Errno {
		s, errno := v.String(text, length)
		if errno != wasip1.ESUCCESS {
			return errno
		}
		return v.PutUint32(result, uint32(len(strings.Fields(s))))
	}

	// In a virt.HostFunction, HostCall.View returns the guest's memory.
	v := memory.NewView(make([]byte, 64))
	text, _ := v.Write(16, 11)
	copy(text, "three words")

	fmt.Println(countWords(v, 16, 11, 32).Name())
	n, _ := v.Uint32(32)
	fmt.Println(n)
	fmt.Println(countWords(v, 60, 11, 32).Name()) // the text ends behind the memory
	// Output:
	// ESUCCESS
	// 2
	// EFAULT
}
