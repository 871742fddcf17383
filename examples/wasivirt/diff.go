package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/wasivirt/wasivirt/virt/replay"
)

// diff is the command of that name: it tells where two recordings part. Its status is 0 where they
// do not, else 1.
func diff(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (code int, err error) {
	flags := flag.NewFlagSet("diff", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	lines := flags.Int("context", 5, "events to show before and after the one that is different")
	if help, err := parse(flags, args, stdout); help || err != nil {
		return exitHost, err
	}
	if flags.NArg() != 2 {
		return exitHost, errors.New("want: wasivirt diff [-context N] A B, two files of run -record")
	}
	var tapes [2]io.Reader
	for i := range tapes {
		f, err := os.Open(flags.Arg(i))
		if err != nil {
			return exitHost, err
		}
		defer f.Close() // it was only read
		tapes[i] = bufio.NewReaderSize(f, 1<<20)
	}
	parting, err := replay.Compare(tapes[0], tapes[1], *lines)
	if err != nil {
		return exitHost, err
	}
	if parting == nil {
		return 0, nil
	}
	_, err = fmt.Fprintf(stdout, "a is %s, b is %s: %v", flags.Arg(0), flags.Arg(1), parting)
	return 1, err
}
