package main

import (
	"context"
	"fmt"
	"io"

	"github.com/wasivirt/wasivirt/internal/gooverlay"
)

// goOverlay is the command go-overlay: it writes an overlay for "go build", with which seeds order
// the goroutines of Go guests.
func goOverlay(ctx context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	flags := newFlags("go-overlay")
	out := flags.String("o", "", "`FILE` to write; changed sources of Go are written beside it")
	command := flags.String("go", "go", "the go `COMMAND` whose sources are used")
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if flags.NArg() != 0 || *out == "" {
		return exitHost, fmt.Errorf("want: %s", forms["go-overlay"].form)
	}
	g, err := gooverlay.Installed(ctx, *command)
	if err != nil {
		return exitHost, err
	}
	if err := gooverlay.Write(g, *out); err != nil {
		return exitHost, err
	}
	_, err = fmt.Fprintf(stdout, `%s is written, for %s. Build guests with it, then run seeds:
  GOOS=wasip1 GOARCH=wasm go build -overlay %[3]s -o guest.wasm .
  wasivirt explore -seeds 1..1000 guest.wasm
  WASIVIRT_SEED=7 GOOS=wasip1 GOARCH=wasm go test -overlay %[3]s ./...   # with exec-wrapper on the PATH
`, *out, g.Version, shellWord(*out))
	return 0, err
}
