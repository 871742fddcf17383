// A guest that speaks HTTP over what it finds open: `web serve FD` on a listener, `web get FD
// TIMEOUT URL...` on a connection.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	fd, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	f := os.NewFile(uintptr(fd), "preopened")
	if os.Args[1] == "serve" {
		fail(serve(f))
	}
	timeout, err := time.ParseDuration(os.Args[3])
	if err != nil {
		fail(err)
	}
	if err := get(f, timeout, os.Args[4:]); err != nil {
		fail(err)
	}
}

func serve(f *os.File) error {
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.URL.Query().Get("name"))
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Hour)
		fmt.Fprint(w, "slow")
	})
	return http.Serve(l, nil)
}

// get prints for each URL how long it took and what came.
func get(f *os.File, timeout time.Duration, urls []string) error {
	c, err := net.FileConn(f)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: timeout, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	for _, url := range urls {
		start := time.Now()
		text, err := fetch(&client, url)
		took := time.Since(start)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			fmt.Println(took, "timeout")
		} else if err != nil {
			return err
		} else {
			fmt.Println(took, text)
		}
	}
	return nil
}

func fetch(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
