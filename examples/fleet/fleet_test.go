package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/examples/fleet/fleet"
)

// TestMain runs the command itself where a test starts it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("FLEET_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a fleet command in a process of its own.
type process struct {
	*exec.Cmd
	out  *safeBuffer
	done chan struct{}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, args...), out: &safeBuffer{}, done: make(chan struct{})}
	p.Env = append(os.Environ(), "FLEET_TEST_COMMAND=1")
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.Wait(); close(p.done) }()
	t.Cleanup(p.kill)
	return p
}

// kill is SIGKILL.
func (p *process) kill() {
	p.Process.Kill()
	<-p.done
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func client(t *testing.T, c fleet.Config) *fleet.Client {
	t.Helper()
	for {
		client, err := fleet.Connect(t.Context(), c)
		if err == nil {
			t.Cleanup(client.Close)
			return client
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// jobs returns n runs of the guest, each with another seed.
func jobs(t *testing.T, c *fleet.Client, n int) []fleet.Job {
	t.Helper()
	module, err := c.Put(t.Context(), guest)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]fleet.Job, n)
	for i := range all {
		all[i] = fleet.Job{Module: module, Args: []string{"print"}, Seed: uint64(i), Limits: fleet.Limits{Threads: 8}}
	}
	return all
}

// size is how many jobs the tests with processes run: more where WASIVIRT_FULL is set.
func size(few, many int) int {
	if os.Getenv("WASIVIRT_FULL") != "" {
		return many
	}
	return few
}

// check waits for all jobs and compares each result with a run in this process.
func check(t *testing.T, c *fleet.Client, all []fleet.Job, ids []string) (retries uint64) {
	t.Helper()
	e := fleet.NewExecutor(c)
	defer e.Close(context.Background())
	for i, id := range ids {
		f, err := c.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		retries += f.Tries - 1
		want, err := e.Run(t.Context(), all[i])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(*want, f.Result); d != "" {
			t.Fatalf("job %d (-alone +fleet):\n%s", i, d)
		}
	}
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if int(s.Results) != len(all) || s.Doubled != 0 || len(s.Aside) != 0 || len(s.Differences) != 0 {
		t.Errorf("at the end: %+v", s)
	}
	return retries
}

func TestWorkersMayBeKilledAndTheServerRestarted(t *testing.T) {
	n := size(400, 10_000)
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	serve := func(dir string) *process {
		return start(t, "serve", "-addr", addr, "-dir", dir, "-http", "off", "-ack-wait", "1s")
	}
	dir := t.TempDir()
	server := serve(dir)
	c := client(t, fleet.Config{URL: "nats://" + addr, AckWait: time.Second})
	all := jobs(t, c, n)

	ctx, end := context.WithCancel(t.Context())
	var chaos sync.WaitGroup
	for w := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(w)))
		chaos.Go(func() {
			for ctx.Err() == nil {
				p := start(t, "worker", "-nats", "nats://"+addr, "-slots", "1", "-tries", "1000", "-quiet")
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(500+random.IntN(3000)) * time.Millisecond):
				}
				p.kill()
			}
		})
	}
	submitted := make(chan []string, 1)
	go func() {
		ids, err := c.SubmitAll(ctx, all)
		if err != nil {
			t.Error(err)
		}
		submitted <- ids
	}()
	span := time.Duration(size(6, 60)) * time.Second
	for range 2 {
		time.Sleep(span / 3) // the chaos lasts for span, with two restarts in it
		server.kill()
		server = serve(dir)
	}
	time.Sleep(span / 3)
	ids := <-submitted
	end()
	chaos.Wait()
	start(t, "worker", "-nats", "nats://"+addr, "-slots", "2", "-tries", "1000", "-quiet")
	t.Logf("%d jobs, %d handed out again", n, check(t, c, all, ids))
}

func TestServerOfAClusterMayBeKilled(t *testing.T) {
	n := size(100, 2000)
	var addrs, routes []string
	for range 3 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	}
	var servers []*process
	urls := "nats://" + strings.Join(addrs, ",nats://")
	for i := range 3 {
		servers = append(servers, start(t, "serve", "-addr", addrs[i], "-dir", t.TempDir(), "-http", "off", "-name", fmt.Sprintf("s%d", i),
			"-cluster", "c@"+routes[i], "-routes", "nats://"+strings.Join(routes, ",nats://"), "-replicas", "3", "-ack-wait", "2s"))
	}
	c := client(t, fleet.Config{URL: urls, Replicas: 3, AckWait: 2 * time.Second})
	all := jobs(t, c, n)
	for range 2 {
		start(t, "worker", "-nats", urls, "-replicas", "3", "-slots", "1", "-tries", "1000", "-quiet")
	}
	half, err := c.SubmitAll(t.Context(), all[:n/2])
	if err != nil {
		t.Fatal(err)
	}
	servers[0].kill()
	rest, err := c.SubmitAll(t.Context(), all[n/2:])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d jobs, %d handed out again", n, check(t, c, all, append(half, rest...)))
}

func TestCommandsSpeakToOneAnother(t *testing.T) {
	addr, web := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	start(t, "serve", "-addr", addr, "-dir", t.TempDir(), "-http", web)
	client(t, fleet.Config{URL: "nats://" + addr})
	worker := start(t, "worker", "-nats", "nats://"+addr)
	command := func(want int, args ...string) string {
		t.Helper()
		p := start(t, append([]string{args[0], "-nats", "nats://" + addr}, args[1:]...)...)
		<-p.done
		if code := p.ProcessState.ExitCode(); code != want {
			t.Errorf("fleet %s: exit %d, want %d: %s", strings.Join(args, " "), code, want, p.out)
		}
		return p.out.String()
	}
	id := strings.TrimSpace(command(0, "submit", "-threads", "8", "-seed", "1", "-no-wait", "guest/guest.wasm", "print"))
	printed := command(0, "submit", "-threads", "8", "-seed", "1", "guest/guest.wasm", "print")
	var f fleet.Finished
	if err := json.Unmarshal([]byte(command(0, "get", id)), &f); err != nil || string(f.Result.Stdout) != printed {
		t.Errorf("get: %+v, %v; submit printed %q", f, err, printed)
	}
	if s := command(1, "explore", "-seeds", "1..200", "-chunk", "50", "guest/guest.wasm"); !strings.Contains(s, "200 runs in 4 jobs") || !strings.Contains(s, "exit 1") {
		t.Errorf("explore: %s", s)
	}
	if s := command(0, "status"); !strings.Contains(s, "results 5") || !strings.Contains(s, "worker") {
		t.Errorf("status: %s", s)
	}
	for want, args := range map[string][]string{
		"which module?": {"submit"}, "want A..B": {"explore", "-seeds", "9..1", "guest/guest.wasm"}, "not found": {"get", strings.Repeat("0", 64)},
		"want one ID": {"get"}, "flag provided but not defined": {"status", "-nosuch"},
	} {
		if s := command(125, args...); !strings.Contains(s, want) {
			t.Errorf("fleet %v: %q, want %q", args, s, want)
		}
	}
	worker.Process.Signal(os.Interrupt)
	<-worker.done
	if code := worker.ProcessState.ExitCode(); code != 0 {
		t.Errorf("a worker that was told to stop: exit %d: %s", code, worker.out)
	}
}

// What workers and guests say is shown without what a terminal would carry out.
func TestStatusIsPlain(t *testing.T) {
	bad := "a\x1b]0;title\x07\r\u202e"
	first := fleet.Side{Worker: bad, Result: fleet.Result{Text: bad}}
	text := table(&fleet.Status{
		Workers:     []fleet.WorkerState{{Name: bad}},
		Aside:       []fleet.Aside{{ID: bad, Reason: bad}},
		Differences: []fleet.Difference{{ID: bad, First: first, Second: first}},
	})
	if strings.ContainsAny(text, "\x1b\x07\r\u202e") {
		t.Errorf("%q", text)
	}
}
