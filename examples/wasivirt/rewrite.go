package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/wasivirt/wasivirt/virt"
)

// rewrite is the command of that name: it writes the module as it is really run.
func rewrite(ctx context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (code int, err error) {
	var s settings
	flags := s.flags()
	flags.Init("rewrite", flag.ContinueOnError)
	out := flags.String("o", "", "`FILE` to write")
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if flags.NArg() != 1 || *out == "" {
		return exitHost, fmt.Errorf("want: %s", forms["rewrite"].form)
	}
	wasm, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return exitHost, err
	}
	w := &world{settings: &s}
	defer func() { err = errors.Join(err, w.close()) }()
	opts, err := w.options()
	if err != nil {
		return exitHost, err
	}
	host, err := virt.NewBuilder(opts...).Build(ctx)
	if err != nil {
		return exitHost, err
	}
	defer func() { err = errors.Join(err, host.Close(context.WithoutCancel(ctx))) }()
	rewritten, err := host.Rewrite(wasm)
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	return 0, os.WriteFile(*out, rewritten, 0o644)
}
