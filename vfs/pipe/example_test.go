package pipe_test

import (
	"context"
	"fmt"
	"io"

	"github.com/wasivirt/wasivirt/vfs/pipe"
)

// Host code talks to a guest: the guest has r as its standard input, the host writes to w.
func Example() {
	stdin, w := pipe.New(0)
	host := pipe.NewHost(context.Background(), w, nil)
	go func() {
		fmt.Fprintln(host, "hello, guest")
		_ = host.Close() // the guest is at the end
	}()

	guest := pipe.NewHost(context.Background(), stdin, nil) // stands for the guest here
	text, err := io.ReadAll(guest)
	fmt.Printf("%q %v\n", text, err)
	// Output: "hello, guest\n" <nil>
}
