// Command wasivirt runs WebAssembly programs in a virtual world.
//
// It is a thin skin over the library: a flag is an option of [github.com/wasivirt/wasivirt/virt].
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Exit statuses besides the guest's own. A signal n that the guest raised, or that ended the command, is 128+n.
const (
	exitDeadlock  = 123
	exitTimeout   = 124
	exitHost      = 125
	exitTrap      = 134
	exitExhausted = 137
)

const usage = `wasivirt runs WebAssembly programs in a virtual world.

  wasivirt run [flags] guest.wasm [guest arguments]   run a program
  wasivirt inspect guest.wasm                         say what a program needs
  wasivirt explore [run flags] -seeds 1..1000 guest.wasm [guest arguments]
                                                      run a program with many orders of its threads
  wasivirt replay FILE guest.wasm                     run a recording again, without its world
  wasivirt diff A B                                   say where two recordings part
  wasivirt rewrite -o OUT [run flags] guest.wasm      write the module as it is really run

Each tells its flags with -h.
`

// errHelped ends a command that only had to print its help.
var errHelped = errors.New("help was asked for")

func main() {
	ctx, stop := untilSignal(context.Background())
	status, err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "wasivirt: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	os.Exit(status)
}

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return exitHost, errors.New("a command is missing: see wasivirt help")
	}
	commands := map[string]func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error){
		"run":     runGuest,
		"inspect": inspect,
		"explore": exploreGuest,
		"replay":  replay,
		"diff":    diff,
		"rewrite": rewrite,
	}
	command, ok := commands[args[0]]
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		_, err := io.WriteString(stdout, usage)
		return 0, err
	}
	if !ok {
		return exitHost, fmt.Errorf("%q is no command: see wasivirt help", args[0])
	}
	status, err := command(ctx, args[1:], stdin, stdout, stderr)
	signal, ended := errors.AsType[signaled](err)
	switch {
	case errors.Is(err, errHelped):
		return 0, nil
	case ended:
		return signal.status(), err
	case err != nil:
		return exitHost, err
	}
	return status, nil
}
