package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/wasivirt/wasivirt/virt"
)

// replay is the command of that name: it runs a recording again.
func replay(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) (code int, err error) {
	var s settings
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&s.interpreter, "interpreter", false, "use wazero's interpreter instead of its compiler")
	if help, err := parse(flags, args, stdout); help || err != nil {
		return exitHost, err
	}
	if flags.NArg() != 2 {
		return exitHost, errors.New("want: wasivirt replay [-interpreter] FILE guest.wasm")
	}
	wasm, err := os.ReadFile(flags.Arg(1))
	if err != nil {
		return exitHost, err
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		return exitHost, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := &world{settings: &s}
	defer func() { err = errors.Join(err, w.close()) }()
	result, err := virt.Replay(ctx, wasm, bufio.NewReaderSize(f, 1<<20), w.engine(), virt.WithStdout(stdout), virt.WithStderr(stderr))
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	return status(result, stderr), nil
}

// recording opens the file for -record. A guest with threads is recorded one thread at a time.
func (w *world) recording(wasm []byte) (virt.Option, error) {
	if w.record == "" {
		return virt.Options(), nil
	}
	f, err := os.Create(w.record)
	if err != nil {
		return virt.Option{}, fmt.Errorf("-record %s: %w", w.record, err)
	}
	w.closers = append(w.closers, f.Close)
	if audit, err := virt.Inspect(wasm); err == nil && audit.Threads && !w.turns.set {
		w.turns = optional{set: true, value: w.seed.value}
	}
	return virt.WithRecording(f), nil
}
