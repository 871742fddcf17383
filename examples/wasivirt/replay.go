package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// replayFile is the command of that name: it runs a recording again.
func replayFile(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) (code int, err error) {
	var s settings
	flags := newFlags("replay")
	flags.BoolVar(&s.interpreter, "interpreter", false, "use wazero's interpreter instead of its compiler")
	s.throwRefFlag(flags)
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if flags.NArg() != 2 {
		return exitHost, fmt.Errorf("want: %s", forms["replay"].form)
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
	engine, err := w.engine()
	if err != nil {
		return exitHost, err
	}
	result, err := replay.Run(ctx, wasm, bufio.NewReaderSize(f, 1<<20), engine, virt.WithStdout(stdout), virt.WithStderr(stderr))
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	return status(result, stderr), nil
}

// recording opens the file for -record. A guest with threads is recorded one thread at a time, and
// that is said.
func (w *world) recording(wasm []byte, stderr io.Writer) (virt.GuestOption, error) {
	if w.record == "" {
		return virt.GuestOptions(), nil
	}
	if audit, err := inspect.Module(wasm); err == nil && audit.Shared() && !w.deterministic.set && !strings.HasPrefix(w.sched, "seeded") {
		if w.parallel {
			return virt.GuestOption{}, errors.New("-record -sched parallel: the guest has threads, and what passes between them in memory crosses no border that could be recorded: give -sched seeded[:N], which runs one at a time")
		}
		w.turns = optional{set: true, value: w.seed.value}
		fmt.Fprintf(stderr, "wasivirt: -record: the guest's threads run one at a time, as with -sched seeded:%d\n", w.turns.value)
	}
	f, err := os.Create(w.record)
	if err != nil {
		return virt.GuestOption{}, fmt.Errorf("-record %s: %w", w.record, err)
	}
	w.closers = append(w.closers, f.Close)
	return virt.WithRecording(f), nil
}
