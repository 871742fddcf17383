// Server is an HTTP server that answers each request by a WebAssembly guest of its own. The guest
// is started once; each request gets a copy-on-write fork of it, with a deadline and limits, and
// leaves nothing behind. Without -listen it drives itself for some seconds and prints a table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wasivirt/wasivirt/internal/goguest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	limits := DefaultLimits
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "", "`ADDR` to serve on, as in 127.0.0.1:8080; without it a short load is measured")
	mode := flags.String("mode", "pool", "where guests come from: "+strings.Join(modes, ", "))
	file := flags.String("guest", "", "`FILE` of the guest (default: the example's, built with the go command)")
	each := flags.Duration("load", 2*time.Second, "how long each mode is measured")
	flags.DurationVar(&limits.Deadline, "deadline", limits.Deadline, "time of a request")
	flags.Uint64Var(&limits.Fuel, "fuel", limits.Fuel, "instructions of a request")
	flags.Uint64Var(&limits.Memory, "memory", limits.Memory, "bytes of memory of a guest")
	flags.Uint64Var(&limits.Disk, "disk", limits.Disk, "bytes that a request may write to files")
	flags.Uint64Var(&limits.Output, "output", limits.Output, "bytes that a request may print")
	flags.IntVar(&limits.Alive, "alive", limits.Alive, "guests alive at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !slices.Contains(modes, *mode) {
		return fmt.Errorf("-mode %q: want one of %s", *mode, strings.Join(modes, ", "))
	}
	wasm, err := guest(ctx, *file)
	if err != nil {
		return err
	}
	if *listen == "" {
		return compare(ctx, stdout, wasm, limits, *each)
	}
	return serve(ctx, *listen, wasm, limits, *mode, slog.New(slog.NewJSONHandler(stderr, nil)))
}

func guest(ctx context.Context, file string) ([]byte, error) {
	if file != "" {
		return os.ReadFile(file)
	}
	return goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/server/guest", "-buildmode=c-shared")
}

// grace is how long requests under way may take when the server is told to stop.
const grace = 10 * time.Second

// serve serves until ctx ends, and then until the requests under way have been answered.
func serve(ctx context.Context, addr string, wasm []byte, limits Limits, mode string, log *slog.Logger) (err error) {
	s, err := NewServer(ctx, wasm, limits, mode, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	front := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- front.Serve(listener) }()
	log.Info("serving", "address", listener.Addr().String(), "mode", mode)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return front.Shutdown(last)
}
