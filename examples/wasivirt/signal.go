package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// signaled is the cause of an end by a signal to the command.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return "ended by a signal: " + s.String() }

// status is the exit status that a shell would tell of a program that the signal ended.
func (s signaled) status() int { return 128 + int(s.Signal) }

// signalOf is the signal that ended a guest, by its cause. That of a guest that is replayed is
// text.
func signalOf(cause error) signaled {
	if s, ok := errors.AsType[signaled](cause); ok {
		return s
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGPIPE} {
		if cause != nil && strings.Contains(cause.Error(), signaled{s}.Error()) {
			return signaled{s}
		}
	}
	return signaled{syscall.SIGINT}
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends, so that what was begun (a
// trace, a recording) is finished. A second one ends the command at once.
func untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// Without it a write to a pipe that nobody reads would end the process at once, with nothing
	// finished.
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s, ok := s.(syscall.Signal); ok {
				cancel(signaled{s})
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// brokenPipe ends the guest where nobody reads what it writes to its standard output or error any
// more, as SIGPIPE ends a program of the machine: one that does not look at what its writes answer
// would go on for ever.
func brokenPipe(end context.CancelCauseFunc) virt.Option {
	return virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
		errno := c.Next()
		if errno == wasip1.EPIPE {
			if path := c.FdPath("fd"); path == "<stdout>" || path == "<stderr>" {
				end(signaled{syscall.SIGPIPE})
				for c.Sleep(time.Hour) == nil { // until the guest ends, so that it does nothing more
				}
			}
		}
		return errno
	})
}
