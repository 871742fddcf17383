// Command fetch serves HTTP, or gets pages, on sockets that it opens itself.
//
//	fetch serve ADDRESS N       answers N requests and ends
//	fetch get URL N             gets a page N times and prints what it got, and how long it took
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/wasivirt/wasivirt/virt/guestnet"
)

func main() {
	n, _ := strconv.Atoi(os.Args[3])
	run := get
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2], n); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func serve(address string, n int) error {
	l, err := guestnet.Listen("tcp", address)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	left := n
	s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.URL.Query().Get("n"))
		if left--; left == 0 {
			close(done)
		}
	})}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-done:
		return s.Shutdown(context.Background())
	}
}

func get(url string, n int) error {
	client := http.Client{Transport: &http.Transport{DialContext: guestnet.DialContext}}
	for i := range n {
		start := time.Now()
		r, err := client.Get(fmt.Sprintf("%s?n=%d", url, i))
		for n := 0; errors.Is(err, syscall.ECONNREFUSED) && n < 100; n++ { // the server is not there yet
			time.Sleep(10 * time.Millisecond)
			start = time.Now()
			r, err = client.Get(fmt.Sprintf("%s?n=%d", url, i))
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return err
		}
		fmt.Printf("%s %v\n", body, time.Since(start).Round(10*time.Millisecond))
	}
	return nil
}
