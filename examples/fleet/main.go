// Command fleet runs WebAssembly jobs on many machines. Package fleet, in the folder beside it, is
// the library.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/wasivirt/wasivirt/examples/fleet/fleet"
)

// command is one of the commands.
type command struct {
	name, usage, about string
	run                func(ctx context.Context, a *app) error
}

var commands = []command{
	{"serve", "[-dir DIR] [-addr HOST:PORT] [-http ADDR] [-config FILE]", "start a server, or a front for an existing one (-nats)", serve},
	{"worker", "[-slots N] [-memory BYTES] [-verify SHARE]", "take jobs and run them until SIGTERM", work},
	{"submit", "[job flags] guest.wasm [arguments]", "run a module and print its output", submit},
	{"explore", "-seeds A..B [job flags] guest.wasm [arguments]", "run a module with many seeds and print the outcomes", exploreSeeds},
	{"status", "[-watch]", "print the state of the fleet", status},
	{"get", "ID | HASH", "print the result of a job, or an object", get},
	{"retry", "ID", "queue a job again that was set aside", retry},
	{"demo", "", "a server and two workers, one of which is killed in the middle", demo},
}

// app is what a command gets: its flags, its arguments and where it writes.
type app struct {
	flags          *flag.FlagSet
	args           []string
	stdout, stderr io.Writer
	connection
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		code = 125
		var exit exitCode
		if errors.As(err, &exit) {
			code = int(exit)
		} else {
			fmt.Fprintln(os.Stderr, "fleet:", err)
		}
	}
	stop()
	os.Exit(code)
}

// exitCode ends the command with the guest's exit code.
type exitCode uint32

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", uint32(e)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(stdout)
		return nil
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		a := &app{flags: flag.NewFlagSet(c.name, flag.ContinueOnError), args: args[1:], stdout: stdout, stderr: stderr}
		a.flags.SetOutput(stdout)
		a.flags.Usage = func() {
			fmt.Fprintf(stdout, "usage: fleet %s %s\n%s\n\n", c.name, c.usage, c.about)
			a.flags.PrintDefaults()
		}
		a.connection.flags(a.flags)
		err := c.run(ctx, a)
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	return fmt.Errorf("%q is no command: want one of those that fleet help lists", args[0])
}

func help(w io.Writer) {
	fmt.Fprint(w, "fleet runs WebAssembly jobs on many machines\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  fleet %s %s\n      %s\n", c.name, c.usage, c.about)
	}
	fmt.Fprintln(w, "\nfleet COMMAND -h lists the flags of a command. -nats, or NATS_URL, says where the fleet is.")
}

// parse reads the flags. What follows them is in a.flags.Args.
func (a *app) parse() error {
	err := a.flags.Parse(a.args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w: see fleet %s -h", err, a.flags.Name())
	}
	return err
}

// connection is the flags that say how to reach the fleet.
type connection struct {
	url, creds, user, token, cert, key, ca string
	replicas                               int
	config                                 fleet.Config
}

func (c *connection) flags(f *flag.FlagSet) {
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	f.StringVar(&c.url, "nats", url, "`URL` of the NATS server, or several, separated by commas (NATS_URL)")
	f.StringVar(&c.creds, "creds", "", "credentials `FILE` of NATS")
	f.StringVar(&c.user, "user", "", "`NAME:PASSWORD`")
	f.StringVar(&c.token, "token", "", "`TOKEN`")
	f.StringVar(&c.cert, "tls-cert", "", "client certificate `FILE`")
	f.StringVar(&c.key, "tls-key", "", "key `FILE` of the client certificate")
	f.StringVar(&c.ca, "tls-ca", "", "`FILE` of the authorities that may sign the server's certificate")
	f.IntVar(&c.replicas, "replicas", 1, "servers of a cluster that keep each message, when the fleet is first made")
	f.DurationVar(&c.config.AckWait, "ack-wait", 0, "time without a sign of life after which a job goes to another worker (default 30s), likewise")
	f.Int64Var(&c.config.MaxQueued, "max-queued", 0, "jobs that the queue holds (default 1000000), likewise")
}

func (c *connection) connect(ctx context.Context) (*fleet.Client, error) {
	config := c.config
	config.URL, config.Replicas = c.url, c.replicas
	if c.creds != "" {
		config.NATS = append(config.NATS, nats.UserCredentials(c.creds))
	}
	if c.user != "" {
		name, password, ok := strings.Cut(c.user, ":")
		if !ok {
			return nil, errors.New("-user: want NAME:PASSWORD")
		}
		config.NATS = append(config.NATS, nats.UserInfo(name, password))
	}
	if c.token != "" {
		config.NATS = append(config.NATS, nats.Token(c.token))
	}
	if c.cert != "" || c.key != "" {
		config.NATS = append(config.NATS, nats.ClientCert(c.cert, c.key))
	}
	if c.ca != "" {
		config.NATS = append(config.NATS, nats.RootCAs(c.ca))
	}
	return fleet.Connect(ctx, config)
}
