package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wasivirt/wasivirt/virt/explore"
)

// serve starts a server for a test. The returned function restarts it on the same port with the
// same data.
func serve(t *testing.T, c ServerConfig) (url string, restart func()) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Port = -1
	s, err := StartServer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	url = s.URL()
	fmt.Sscanf(url[strings.LastIndex(url, ":")+1:], "%d", &c.Port)
	return url, func() {
		t.Helper()
		s.Close()
		if s, err = StartServer(c); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, url string, opts ...nats.Option) *Client {
	t.Helper()
	c, err := Connect(t.Context(), Config{URL: url, AckWait: time.Second, NATS: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// work runs a worker until the test or the returned function ends it.
func work(t *testing.T, w *Worker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := w.Run(ctx, ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

func module(t *testing.T, c *Client) string {
	t.Helper()
	wasm, err := os.ReadFile("../guest/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := c.Put(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// printing is a job of the guest that prints what it draws.
func printing(module string, seed uint64) Job {
	return Job{Module: module, Args: []string{"print"}, Seed: seed, Limits: Limits{Threads: 8}}
}

func TestResultDependsOnTheJobAlone(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	m := module(t, c)
	e := NewExecutor(c)
	defer e.Close(t.Context())
	work(t, &Worker{Client: c, Slots: 2})
	for seed := range uint64(20) {
		here, err := e.Run(t.Context(), printing(m, seed))
		if err != nil {
			t.Fatal(err)
		}
		there, err := c.Run(t.Context(), printing(m, seed))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(*here, there.Result); d != "" {
			t.Errorf("seed %d (-here +by a worker):\n%s", seed, d)
		}
		if len(here.Stdout) != 17 {
			t.Errorf("seed %d prints %q", seed, here.Stdout)
		}
	}
}

func TestSameJobRunsOnce(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	j := printing(module(t, c), 1)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := c.Submit(t.Context(), j); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var runs atomic.Int64
	w := &Worker{Client: c, Slots: 4}
	e := NewExecutor(c)
	defer e.Close(t.Context())
	w.run = func(ctx context.Context, j Job, record bool) (*Result, []byte, error) {
		runs.Add(1)
		return e.run(ctx, j, record)
	}
	work(t, w)
	for range 3 {
		if _, err := c.Run(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the job ran %d times", n)
	}
}

func TestEachCrashPointLosesAndDoublesNothing(t *testing.T) {
	for _, point := range []string{"received", "ran", "stored", "acknowledged"} {
		t.Run(point, func(t *testing.T) {
			url, _ := serve(t, ServerConfig{})
			c := connect(t, url)
			m := module(t, c)
			// A worker that dies at the point: its goroutine ends there, and nothing is told to the
			// server.
			dead := make(chan struct{})
			doomed := connect(t, url)
			w := &Worker{Client: doomed, Slots: 1}
			w.at = func(p string) {
				if p == point {
					doomed.nc.Close()
					close(dead)
					select {}
				}
			}
			go w.Run(context.Background(), nil)
			var ids []string
			for seed := range uint64(5) {
				id, err := c.Submit(t.Context(), printing(m, seed))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			<-dead
			work(t, &Worker{Client: c, Slots: 2})
			for _, id := range ids {
				if _, err := c.Wait(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			s := settled(t, c)
			if s.Results != 5 || s.Doubled != 0 || len(s.Aside) != 0 || len(s.Differences) != 0 {
				t.Errorf("after the crash: %+v", s)
			}
		})
	}
}

// settled waits until the queue is empty.
func settled(t *testing.T, c *Client) *Status {
	t.Helper()
	for {
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Waiting+s.Running == 0 {
			return s
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the queue does not become empty")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestServerMayRestart(t *testing.T) {
	url, restart := serve(t, ServerConfig{})
	c := connect(t, url)
	m := module(t, c)
	work(t, &Worker{Client: connect(t, url), Slots: 2})
	var ids []string
	for seed := range uint64(60) {
		id, err := c.Submit(t.Context(), printing(m, seed))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if seed == 20 || seed == 40 {
			restart()
		}
	}
	for _, id := range ids {
		if _, err := c.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if s := settled(t, c); s.Results != 60 || s.Doubled != 0 {
		t.Errorf("after two restarts: %+v", s)
	}
}

func TestJobThatCannotRunIsSetAside(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	bad, err := c.Put(t.Context(), []byte("no module"))
	if err != nil {
		t.Fatal(err)
	}
	work(t, &Worker{Client: c, MaxTries: 2})
	j := Job{Module: bad}
	_, err = c.Run(t.Context(), j)
	var aside *AsideError
	if !errors.As(err, &aside) || aside.Tries != 2 || aside.Reason == "" {
		t.Fatalf("the end of a job whose module is none: %v", err)
	}
	if err := c.Retry(t.Context(), j.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Wait(t.Context(), j.ID()); !errors.As(err, &aside) {
		t.Fatalf("the end of its second chance: %v", err)
	}
}

func TestWorkerThatDiesEachTimeDoesNotStopTheFleet(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	j := printing(module(t, c), 1)
	id, err := c.Submit(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := c.stream.Consumer(t.Context(), durable)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // three workers take it and are never heard of again
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		<-batch.Messages()
	}
	work(t, &Worker{Client: c, MaxTries: 3})
	_, err = c.Wait(t.Context(), id)
	var aside *AsideError
	if !errors.As(err, &aside) || aside.Tries != 3 {
		t.Errorf("the end of a job that kills its workers: %v", err)
	}
}

func TestDifferentResultsAreFound(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	m := module(t, c)
	e := NewExecutor(c)
	defer e.Close(t.Context())
	broken := &Worker{Client: c, Name: "broken", Slots: 1, Verify: 1}
	broken.run = func(ctx context.Context, j Job, record bool) (*Result, []byte, error) {
		r, recording, err := e.run(ctx, j, record)
		if err == nil && j.Seed == 3 {
			r.Exit = 77
		}
		return r, recording, err
	}
	work(t, broken)
	work(t, &Worker{Client: c, Name: "sound", Slots: 1, Verify: 1})
	var ids []string
	for seed := range uint64(6) {
		id, err := c.Submit(t.Context(), printing(m, seed))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	s := settled(t, c)
	if s.Results != 6 || len(s.Differences) != 1 || s.Differences[0].ID != ids[3] {
		t.Fatalf("with a worker that is wrong about seed 3: %+v", s)
	}
	d := s.Differences[0]
	if d.First.Worker == d.Second.Worker || d.First.Result.Exit == d.Second.Result.Exit {
		t.Errorf("the difference: %+v", d)
	}
	for _, side := range []Side{d.First, d.Second} {
		if b, err := c.Get(t.Context(), side.Recording); err != nil || len(b) == 0 {
			t.Errorf("the recording of %s: %d bytes, %v", side.Worker, len(b), err)
		}
	}
}

// TestPassingOnIsNoTry: a worker whose own run is to be checked passes the job on until another has
// time for it, however often that is.
func TestPassingOnIsNoTry(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	m := module(t, c)
	e := NewExecutor(c)
	defer e.Close(t.Context())
	began, release := make(chan struct{}, 1), make(chan struct{})
	busy := &Worker{Client: c, Name: "busy", Slots: 1}
	busy.run = func(ctx context.Context, j Job, record bool) (*Result, []byte, error) {
		began <- struct{}{}
		<-release
		return e.run(ctx, j, record)
	}
	work(t, busy)
	submit := func(seed uint64) {
		if _, err := c.Submit(t.Context(), printing(m, seed)); err != nil {
			t.Fatal(err)
		}
	}
	submit(1)
	<-began
	work(t, &Worker{Client: c, Name: "first", Slots: 1, Verify: 1, MaxTries: 1})
	submit(2)
	const messages = 2 + 4 // the jobs, and what was passed on
	for {
		info, err := c.stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.LastSeq >= messages {
			break
		}
	}
	close(release)
	if s := settled(t, c); s.Results != 2 || len(s.Aside) != 0 || len(s.Differences) != 0 {
		t.Errorf("after it was passed on: %+v", s)
	}
}

func TestSubmitWaitsWhileTheQueueIsFull(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c, err := Connect(t.Context(), Config{URL: url, AckWait: time.Second, MaxQueued: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := module(t, c)
	for seed := range uint64(10) {
		if _, err := c.Submit(t.Context(), printing(m, seed)); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Submit(short, printing(m, 10)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an eleventh job in a queue for ten: %v", err)
	}
	work(t, &Worker{Client: c, Slots: 2})
	if _, err := c.Run(t.Context(), printing(m, 10)); err != nil {
		t.Error(err)
	}
}

func TestFullDiskIsWaitedFor(t *testing.T) {
	url, _ := serve(t, ServerConfig{MaxDisk: 4 << 20})
	c := connect(t, url)
	m := module(t, c)
	if _, err := c.Put(t.Context(), bytes.Repeat([]byte("x"), 3<<20)); err != nil {
		t.Fatal(err)
	}
	big := []byte(strings.Repeat("y", 2<<20))
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Put(short, big); err == nil {
		t.Fatal("an object that is larger than the disk was stored")
	}
	if _, err := c.Get(t.Context(), hashOf(big)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an object that was written by half: %v", err)
	}
	if err := c.drop(t.Context(), hashOf(bytes.Repeat([]byte("x"), 3<<20))); err != nil {
		t.Fatal(err)
	}
	work(t, &Worker{Client: c})
	if _, err := c.Run(t.Context(), printing(m, 1)); err != nil {
		t.Error(err)
	}
}

func TestTenantSeesItsOwnOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nats.conf")
	err := os.WriteFile(file, []byte(`
		accounts {
			red: { jetstream: enabled, users: [{user: red, password: apple}] }
			blue: { jetstream: enabled, users: [{user: blue, password: sky}] }
		}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, ServerConfig{File: file})
	red, blue := connect(t, url, nats.UserInfo("red", "apple")), connect(t, url, nats.UserInfo("blue", "sky"))
	m := module(t, red)
	id, err := red.Submit(t.Context(), printing(m, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blue.Get(t.Context(), m); !errors.Is(err, ErrNotFound) {
		t.Errorf("a module of another tenant: %v", err)
	}
	work(t, &Worker{Client: blue})
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := blue.Wait(short, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a job of another tenant: %v", err)
	}
	if s := must(blue.Status(t.Context())); s.Waiting+s.Running+s.Results != 0 {
		t.Errorf("a tenant without jobs sees %+v", s)
	}
	if _, err := Connect(t.Context(), Config{URL: url}); err == nil {
		t.Error("somebody without a name came in")
	}
	work(t, &Worker{Client: red})
	if _, err := red.Wait(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestExplorationOfManyIsThatOfOne(t *testing.T) {
	wasm, err := os.ReadFile("../guest/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	here, err := explore.Run(t.Context(), explore.Config{Wasm: wasm, First: 1, Last: 600})
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := here.Write(&want, nil); err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2, 4} {
		url, _ := serve(t, ServerConfig{})
		c := connect(t, url)
		for range workers {
			work(t, &Worker{Client: connect(t, url), Slots: 1})
		}
		found, err := c.Explore(t.Context(), Campaign{Job: Job{Module: module(t, c), Seeds: &Range{1, 600}}, Chunk: 70})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := found.Report.Write(&got, nil); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.String(), got.String()); d != "" {
			t.Errorf("%d workers (-here +fleet):\n%s", workers, d)
		}
	}
}

func TestDrainingWorkerFinishesWhatItBegan(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	id, err := c.Submit(t.Context(), printing(module(t, c), 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, drain := context.WithCancel(t.Context())
	w := &Worker{Client: c, Slots: 1}
	w.at = func(point string) {
		if point == "received" {
			drain()
		}
	}
	if err := w.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Result(t.Context(), id); err != nil || f.Tries != 1 {
		t.Errorf("after the drain: %+v, %v", f, err)
	}
}
