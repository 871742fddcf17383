package stdio_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A guest reads what a person types; here the person is the other end of an io.Pipe.
func ExampleReader() {
	guest, person := io.Pipe()
	stdin := stdio.Reader(guest, stdio.WithOwnership())
	defer stdin.Close()

	p := make([]byte, 100)
	_, err := stdin.Read(p)
	fmt.Println(err == wasip1.EAGAIN) // nothing typed yet

	_, _ = io.WriteString(person, "2 + 2\n")
	for stdin.Poll(poll.Readable).Ready == 0 { // a guest would wait with poll.Block
	}
	n, err := stdin.Read(p)
	fmt.Printf("%q %v\n", p[:n], err)
	// Output:
	// true
	// "2 + 2\n" <nil>
}

// What a guest prints, line by line with its name before it.
func ExamplePrefix() {
	stdout := stdio.Writer(stdio.Prefix(os.Stdout, "guest 1| "), stdio.WithDirect())
	_, _ = stdout.Write([]byte("hello\nwor"))
	_, _ = stdout.Write([]byte("ld"))
	_ = stdout.Close()
	// Output:
	// guest 1| hello
	// guest 1| world
}

// The first 16 bytes that a guest prints are kept; it is told that the rest did not fit.
func ExampleBuffer() {
	out := &stdio.Buffer{Cap: 16}
	n, err := out.Write([]byte(strings.Repeat("na ", 10)))
	fmt.Println(n, err)
	_, err = out.Write([]byte("batman"))
	fmt.Println(err)
	fmt.Println(out)
	// Output:
	// 16 <nil>
	// ENOSPC: no space left on device
	// na na na na na n
}
