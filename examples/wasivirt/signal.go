package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// signaled is the cause of an end by a signal to the command.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return "ended by a signal: " + s.String() }

// status is the exit status that a shell would tell of a program that the signal ended.
func (s signaled) status() int { return 128 + int(s.Signal) }

// untilSignal returns a context that the first SIGINT or SIGTERM ends, so that what was begun (a trace, a recording) is
// finished. A second one ends the command at once.
func untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
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

// brokenPipe ends the guest where nobody reads what it writes to its standard output or error any more, as SIGPIPE ends a
// program of the machine: one that does not look at what its writes answer would go on for ever.
func brokenPipe(end context.CancelCauseFunc) virt.Option {
	return virt.WithMiddleware("fd_write", func(c *virt.Call) wasip1.Errno {
		errno := c.Next()
		if errno == wasip1.EPIPE {
			if path := c.FdPath("fd"); path == "<stdout>" || path == "<stderr>" {
				end(signaled{syscall.SIGPIPE})
			}
		}
		return errno
	})
}
