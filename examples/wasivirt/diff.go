package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/wasivirt/wasivirt/virt/replay"
)

// diff is the command of that name: it tells where two recordings part. Its status is 0 where they
// do not, else 1.
func diff(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (code int, err error) {
	flags := newFlags("diff")
	lines := number(5)
	flags.Var(&lines, "context", "`N` events to show before and after the one that is different")
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if flags.NArg() != 2 {
		return exitHost, fmt.Errorf("want: %s, two files of run -record", forms["diff"].form)
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
	parting, err := replay.Compare(tapes[0], tapes[1], int(lines))
	if err != nil {
		return exitHost, err
	}
	if parting == nil {
		return 0, nil
	}
	_, err = fmt.Fprintf(stdout, "a is %s, b is %s: %v", flags.Arg(0), flags.Arg(1), parting)
	return 1, err
}
