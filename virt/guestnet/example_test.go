package guestnet_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
)

// The guest asks a server that it finds by name:
//
//	c, err := guestnet.Dial("udp", "server:53")
//	_, err = c.Write([]byte("0"))
//	n, err := c.Read(answer)
//	fmt.Printf("%s", answer[:n])
//
// The host grants it a network, here one in memory, on which host code is the server.
func Example() {
	ctx := context.Background()
	wasm, err := goguest.Build(ctx, "../testdata/go/datagrams")
	if err != nil {
		log.Fatal(err)
	}
	network := netmem.New(nil)
	server, err := network.ListenDatagrams("server:53")
	if err != nil {
		log.Fatal(err)
	}
	conn := server.Net()
	defer conn.Close()
	go func() {
		question := make([]byte, 512)
		n, from, err := conn.ReadFrom(question)
		if err == nil {
			_, err = conn.WriteTo(append([]byte("hello "), question[:n]...), from)
		}
		if err != nil {
			log.Print(err)
		}
	}()

	var out bytes.Buffer
	result, err := virt.Run(ctx, wasm, virt.WithInterpreter(), virt.WithNetwork(network.At("client")),
		virt.WithArgs("ask", "server:53", "1"), virt.WithStdout(&out))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: %s\n", result, out.Bytes()[:len("hello 0")])
	// Output: exit 0: hello 0
}
