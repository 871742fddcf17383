package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wasivirt/wasivirt/virt"
)

// repl reads scripts from in and runs them, each with what the earlier ones have defined, until in
// ends. A line that ends with ":" begins a block, which an empty line ends.
func repl(ctx context.Context, e *Engine, in io.Reader, out io.Writer) (err error) {
	var s *Session
	defer func() {
		if s != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	lines := bufio.NewScanner(in)
	var block strings.Builder
	for prompt(out, &block); lines.Scan(); prompt(out, &block) {
		line := lines.Text()
		begun := block.Len() > 0
		block.WriteString(line + "\n")
		if strings.HasSuffix(strings.TrimSpace(line), ":") || begun && strings.TrimSpace(line) != "" {
			continue
		}
		if s == nil {
			if s, err = e.Session(ctx, virt.WithStdout(out), virt.WithStderr(out)); err != nil {
				return err
			}
		}
		end, err := s.Eval(ctx, block.String())
		block.Reset()
		if err != nil {
			return err
		}
		if s.Ended() {
			fmt.Fprintf(out, "%s: the session begins anew\n", end)
			if err := s.Close(ctx); err != nil {
				return err
			}
			s = nil
		}
	}
	fmt.Fprintln(out)
	return lines.Err()
}

func prompt(out io.Writer, block *strings.Builder) {
	if block.Len() > 0 {
		io.WriteString(out, "... ")
		return
	}
	io.WriteString(out, ">>> ")
}
