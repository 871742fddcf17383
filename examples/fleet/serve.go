package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/wasivirt/wasivirt/examples/fleet/fleet"
)

// serve starts a server with its front, or a front alone.
func serve(ctx context.Context, a *app) error {
	var c fleet.ServerConfig
	addr := a.flags.String("addr", "127.0.0.1:4222", "`HOST:PORT` of the server")
	web := a.flags.String("http", "127.0.0.1:8422", "`ADDR` of the status page and of POST /run; off: none")
	external := a.flags.Bool("external", false, "start no server: serve the front for the one that -nats names")
	a.flags.StringVar(&c.Dir, "dir", defaultDir(), "`DIR` that keeps the data")
	a.flags.StringVar(&c.File, "config", "", "configuration `FILE` of NATS: accounts, users, TLS, limits")
	a.flags.StringVar(&c.Name, "name", "", "`NAME` of the server in a cluster")
	cluster := a.flags.String("cluster", "", "`NAME@HOST:PORT`: the cluster's name, and where the other servers reach this one")
	routes := a.flags.String("routes", "", "`URLS` of the other servers of the cluster, such as nats://10.0.0.2:6222")
	a.flags.Int64Var(&c.MaxDisk, "max-disk", 0, "`BYTES` of data at most")
	a.flags.BoolVar(&c.Sync, "sync", false, "write each message to the disk before it is acknowledged")
	if err := a.parse(); err != nil {
		return err
	}
	given := map[string]bool{}
	a.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !*external {
		host, port, err := hostPort(*addr)
		if err != nil {
			return fmt.Errorf("-addr: %w", err)
		}
		c.Host, c.Port = host, port
		if *cluster != "" {
			if c.Cluster, err = clusterOf(*cluster, *routes); err != nil {
				return err
			}
		}
		server, err := fleet.StartServer(c)
		if err != nil {
			return err
		}
		defer server.Close()
		if !given["nats"] {
			a.url = server.URL()
		}
		fmt.Fprintf(a.stdout, "NATS at %s, data in %s\n", server.URL(), c.Dir)
	}
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if *web == "off" {
		<-ctx.Done()
		return nil
	}
	listener, err := net.Listen("tcp", *web)
	if err != nil {
		return fmt.Errorf("-http: %w", err)
	}
	front := &http.Server{Handler: fleet.Front(client), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	fmt.Fprintf(a.stdout, "status page at http://%s/\n", listener.Addr())
	context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if front.Shutdown(end) != nil {
			front.Close()
		}
	})
	if err := front.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// work takes jobs until the first signal, and gives up those that run at the second.
func work(ctx context.Context, a *app) error {
	w := &fleet.Worker{}
	a.flags.StringVar(&w.Name, "name", "", "`NAME` of the worker (default: host, process and a random part)")
	a.flags.IntVar(&w.Slots, "slots", 0, "jobs at a time (default: one for each core)")
	a.flags.Uint64Var(&w.Memory, "memory", 0, "`BYTES` of memory, files and output that all jobs that run may take (default: 512 MiB for each slot)")
	a.flags.Uint64Var(&w.MaxTries, "tries", 0, "times that a job is handed out before it is set aside (default 5)")
	a.flags.DurationVar(&w.Timeout, "try-timeout", 0, "time that one try may take (default 10m)")
	a.flags.Float64Var(&w.Verify, "verify", 0, "`SHARE` of the jobs, from 0 to 1, that run twice to compare the results")
	quiet := a.flags.Bool("quiet", false, "log failures only")
	if err := a.parse(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *quiet {
		level = slog.LevelWarn
	}
	w.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	// The connection outlives the signal: what has begun is finished and its result stored.
	client, err := a.connect(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	defer client.Close()
	w.Client = client
	// Short runs leave much garbage while little is live: the collector would run every few
	// milliseconds. A block that is never touched takes no memory of the machine and counts as
	// live, which makes the collector wait for as much garbage more.
	block := make([]byte, 16<<20)
	defer runtime.KeepAlive(block)
	hard, stop := secondSignal(ctx)
	defer stop()
	return w.Run(ctx, hard)
}

func clusterOf(spec, routes string) (*fleet.Cluster, error) {
	name, at, ok := cutLast(spec, "@")
	host, port, err := hostPort(at)
	if !ok || err != nil {
		return nil, fmt.Errorf("-cluster %q: want NAME@HOST:PORT", spec)
	}
	return &fleet.Cluster{Name: name, Host: host, Port: port, Routes: routes}, nil
}

func hostPort(addr string) (string, int, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: want a number", port)
	}
	if n == 0 {
		n = -1 // any free one
	}
	return host, n, nil
}

func defaultDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "fleet-data"
	}
	return filepath.Join(dir, "wasivirt-fleet")
}
