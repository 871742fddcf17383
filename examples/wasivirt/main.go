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

	"github.com/wasivirt/wasivirt/internal/safetext"
)

// Exit statuses besides the guest's own. A signal n that the guest raised, or that ended the
// command, is 128+n.
const (
	exitDeadlock  = 123
	exitTimeout   = 124
	exitHost      = 125
	exitTrap      = 134
	exitExhausted = 137
)

// errHelped ends a command that only had to print its help.
var errHelped = errors.New("help was asked for")

func main() {
	ctx, stop := untilSignal(context.Background())
	status, err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "wasivirt: %s\n", oneLine(err))
	}
	os.Exit(status)
}

// oneLine is an error as the command prints it: what guests and files name cannot do anything to a
// terminal.
func oneLine(err error) string {
	return safetext.Line(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// command is one of the commands.
type command = func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)

func commands() map[string]command {
	return map[string]command{
		"run":          runGuest,
		"inspect":      inspectModule,
		"explore":      exploreGuest,
		"snapshot":     snapshotGuest,
		"replay":       replayFile,
		"diff":         diff,
		"rewrite":      rewrite,
		"exec-wrapper": execWrapper,
		"go-overlay":   goOverlay,
		"cache":        cacheCommand,
		"completion":   completion,
		"version":      version,
		"help":         help,
	}
}

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return exitHost, errors.New("a command is missing: see wasivirt help")
	}
	command, ok := commands()[args[0]]
	switch name := args[0]; {
	case ok:
	case slices.Contains([]string{"-h", "-help", "--help"}, name):
		command, args = help, args[:1]
	case slices.Contains([]string{"-v", "-version", "--version"}, name):
		command, args = version, args[:1]
	case strings.HasSuffix(name, ".wasm"):
		return exitHost, fmt.Errorf("%q is no command: to run it write wasivirt run %s", name, shellWord(name))
	case strings.HasPrefix(name, "-"):
		return exitHost, fmt.Errorf("%q is no command: flags come after one, as in wasivirt run %s: see wasivirt help", name, shellWord(name))
	default:
		return exitHost, fmt.Errorf("%q is no command%s: see wasivirt help", name, orRather(name, "", names()))
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
