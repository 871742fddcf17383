package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/examples/fleet/fleet"
)

// guest is guest/guest.c, compiled: four threads and an account, with a bug.
//
//go:embed guest/guest.wasm
var guest []byte

const (
	demoRuns  = 400
	demoSeeds = 20_000
	demoChunk = 500
	victim    = "victim"
)

// demo starts a server and two workers in processes of their own, runs a campaign, and kills a
// worker in the middle.
func demo(ctx context.Context, a *app) (err error) {
	if err := a.parse(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fleet-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(ctx)
	var processes sync.WaitGroup
	defer processes.Wait()
	defer stop()
	spawn := func(args ...string) (*exec.Cmd, io.Reader, error) { return startSelf(ctx, a, &processes, args...) }

	_, said, err := spawn("serve", "-addr", "127.0.0.1:0", "-http", "off", "-dir", filepath.Join(dir, "data"), "-ack-wait", "2s")
	if err != nil {
		return err
	}
	if a.url, err = urlOf(said); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "server at %s\n", a.url)
	worker := func(name string) (*exec.Cmd, error) {
		cmd, _, err := spawn("worker", "-nats", a.url, "-name", name, "-slots", "1", "-quiet")
		return cmd, err
	}
	killed, err := worker(victim)
	if err != nil {
		return err
	}
	if _, err := worker("survivor"); err != nil {
		return err
	}
	a.config.AckWait = 2 * time.Second
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return campaign(ctx, a, client, killed.Process.Kill)
}

// campaign submits runs and an exploration, calls kill when a quarter of the exploration is done,
// and counts.
func campaign(ctx context.Context, a *app, c *fleet.Client, kill func() error) error {
	module, err := c.Put(ctx, guest)
	if err != nil {
		return err
	}
	jobs := make([]fleet.Job, demoRuns)
	for i := range jobs {
		jobs[i] = fleet.Job{Module: module, Args: []string{"print"}, Seed: uint64(i), Limits: fleet.Limits{Threads: 8}}
	}
	ids, err := c.SubmitAll(ctx, jobs)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d runs submitted, and an exploration of %d seeds\n", len(ids), demoSeeds)
	killed := false
	found, err := c.Explore(ctx, fleet.Campaign{
		Job:   fleet.Job{Module: module, Seeds: &fleet.Range{First: 1, Last: demoSeeds}},
		Chunk: demoChunk,
		Progress: func(p fleet.Progress) {
			// When the other worker has just finished a job, this one is in the middle of one.
			if !killed && 4*p.ChunksDone >= p.Chunks && p.Last.Worker != victim {
				killed = true
				fmt.Fprintf(a.stdout, "%d of %d seeds are done: one of the two workers is killed\n", p.Runs, demoSeeds)
				if err := kill(); err != nil {
					fmt.Fprintln(a.stderr, "kill:", err)
				}
			}
		},
	})
	if err != nil {
		return err
	}
	retries, results := found.Retries, found.Jobs
	for _, id := range ids {
		f, err := c.Wait(ctx, id)
		if err != nil {
			return err
		}
		results++
		retries += f.Tries - 1
	}
	if err := found.Report.Write(a.stdout, nil); err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	total := len(ids) + found.Jobs
	fmt.Fprintf(a.stdout, "jobs %d, results %d, retries %d, lost %d, doubled %d\n", total, results, retries, total-int(s.Results), s.Doubled)
	return nil
}

// startSelf starts another process of this program. It ends with ctx.
func startSelf(ctx context.Context, a *app, processes *sync.WaitGroup, args ...string) (*exec.Cmd, io.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = a.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start fleet %s: %w", args[0], err)
	}
	processes.Go(func() {
		cmd.Wait()
	})
	return cmd, said, nil
}

// urlOf reads the server's URL from what it prints.
func urlOf(said io.Reader) (string, error) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "NATS at "); ok {
			url, _, _ := strings.Cut(rest, ",")
			return url, nil
		}
	}
	return "", errors.New("the server ended before it said where it listens")
}
