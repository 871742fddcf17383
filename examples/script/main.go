// Command starlark runs Starlark scripts that nobody vouches for. The engine is a Go program,
// compiled to WebAssembly and started once; each script gets a fork of it, with files, memory and
// time of its own.
//
//	starlark FILE           run a script ("-": standard input)
//	starlark -e EXPRESSION  run an expression
//	starlark -http ADDR     serve a page where scripts are typed and run
//	starlark                an interactive session
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	status, err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "script:", err)
		status = 125
	}
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (status int, err error) {
	flags := flag.NewFlagSet("script", flag.ContinueOnError)
	flags.SetOutput(stderr)
	expr := flags.String("e", "", "run this `EXPRESSION`")
	addr := flags.String("http", "", "serve the page at `ADDR`, such as 127.0.0.1:8080")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return 2, nil // flag has said why
	}
	e, err := NewEngine(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	switch {
	case *addr != "":
		return 0, serve(ctx, e, *addr, stderr)
	case *expr != "":
		return once(ctx, e, *expr, stdout, stderr)
	case flags.NArg() == 0:
		return 0, repl(ctx, e, stdin, stdout)
	case flags.Arg(0) == "-":
		script, err := io.ReadAll(stdin)
		if err != nil {
			return 0, err
		}
		return once(ctx, e, string(script), stdout, stderr)
	default:
		script, err := os.ReadFile(flags.Arg(0))
		if err != nil {
			return 0, err
		}
		return once(ctx, e, string(script), stdout, stderr)
	}
}

// once runs one script. The status is 0 if it ended well, 1 if it failed, and 137 if it was
// stopped.
func once(ctx context.Context, e *Engine, script string, stdout, stderr io.Writer) (int, error) {
	out, err := e.Run(ctx, script, nil)
	if err != nil {
		return 0, err
	}
	io.WriteString(stdout, out.Stdout)
	io.WriteString(stderr, out.Stderr)
	switch out.End {
	case "ok":
		return 0, nil
	case "failed":
		return 1, nil
	}
	fmt.Fprintln(stderr, "script:", out.End)
	return 137, nil
}

// serve serves the page until ctx ends.
func serve(ctx context.Context, e *Engine, addr string, stderr io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: front(e), ReadTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	fmt.Fprintf(stderr, "script: http://%s/\n", l.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(within)
	}
}
