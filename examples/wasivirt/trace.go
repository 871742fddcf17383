package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// control turns the flags that are about calls into options: -trace, -trace-format, -fault.
func (w *world) control(stderr io.Writer) ([]virt.Option, error) {
	var opts []virt.Option
	for _, rule := range w.faults {
		fault, err := virt.ParseFault(rule)
		if err != nil {
			return nil, fmt.Errorf("-fault: %w", err)
		}
		opts = append(opts, virt.WithFaults(fault))
	}
	format, ok := traceFormats[w.traceFormat]
	switch {
	case !ok:
		return nil, fmt.Errorf("-trace-format %q: want text, json or perfetto", w.traceFormat)
	case w.trace == "":
		return opts, nil
	}
	// A fault selects calls in the same way, and its error names no option of the library.
	if _, err := virt.ParseFault(w.traceCalls + ":EIO"); err != nil {
		return nil, fmt.Errorf("-trace-calls: %w", errors.Unwrap(err))
	}
	tracer, err := w.tracer(format, stderr)
	if err != nil {
		return nil, err
	}
	return append(opts, virt.WithTrace(tracer, trace.WithCalls(w.traceCalls))), nil
}

// traceFormat makes a tracer, and what finishes it.
type traceFormat func(io.Writer) (trace.Tracer, func() error)

var traceFormats = map[string]traceFormat{
	"text":     func(out io.Writer) (trace.Tracer, func() error) { t := trace.Text(out); return t, t.Err },
	"json":     func(out io.Writer) (trace.Tracer, func() error) { t := trace.JSON(out); return t, t.Err },
	"perfetto": func(out io.Writer) (trace.Tracer, func() error) { t := trace.Perfetto(out); return t, t.Close },
}

// tracer makes what -trace asks for. It is finished when the world is closed.
func (w *world) tracer(format traceFormat, stderr io.Writer) (trace.Tracer, error) {
	if w.trace == "-" {
		// As it happens, between what the guest says itself.
		tracer, finish := format(stderr)
		w.closers = append(w.closers, finish)
		return tracer, nil
	}
	f, err := os.Create(w.trace)
	if err != nil {
		return nil, fmt.Errorf("-trace: %w", err)
	}
	buffer := bufio.NewWriterSize(f, 1<<16)
	tracer, finish := format(buffer)
	w.closers = append(w.closers, func() error {
		if err := errors.Join(finish(), buffer.Flush(), f.Close()); err != nil {
			return fmt.Errorf("-trace: %w", err)
		}
		return nil
	})
	return tracer, nil
}
