// Httpguest runs a Go web server as a guest and asks it something, over a network in memory: no
// port of the machine is opened.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, opts ...virt.Option) error {
	wasm, err := goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/httpguest/guest")
	if err != nil {
		return err
	}
	network := netmem.New(nil)
	listener, err := network.Listen("guest:80", 16)
	if err != nil {
		return err
	}
	host, err := virt.NewBuilder(virt.WithoutFiles(), virt.WithPreopened(listener), virt.WithStderr(os.Stderr)).With(opts...).Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)

	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := host.Run(serving, wasm)
		done <- err
	}()
	err = get(network, "http://guest/gopher")
	stop()
	if end := <-done; err == nil {
		err = end
	}
	return err
}

// get prints what an ordinary HTTP client sees.
func get(network *netmem.Network, url string) error {
	client := http.Client{Transport: &http.Transport{DialContext: network.DialContext, DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
