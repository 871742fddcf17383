package hostnet_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
)

// A guest accepts on a real listener.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	listener := hostnet.NewListener(l) // goes to the guest as a descriptor
	defer listener.Close()

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	task := poll.NewTask(context.Background()) // stands for the guest here
	if _, err := poll.Block(task, listener, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
		fmt.Println(err)
	}
	s, err := listener.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = s.Write([]byte("hello from the guest"))
	_ = s.Close()
	text, err := io.ReadAll(client)
	fmt.Println(string(text), err)
	// Output: hello from the guest <nil>
}
