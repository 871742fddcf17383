package simulate_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt/simulate"
)

var server = sync.OnceValues(func() ([]byte, error) { return goguest.Build(context.Background(), "./testdata/server") })

// servers returns a runner of two servers, a and b, and a client.
func servers(t *testing.T, s simulate.Simulation, client func(a *simulate.Actor) error) *simulate.Runner {
	t.Helper()
	wasm, err := server()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		s.Nodes = append(s.Nodes, simulate.Node{Name: name, Wasm: wasm, Ports: []string{"7"}})
	}
	s.Host = append(s.Host, testcache.Option())
	s.Clients = append(s.Clients, simulate.Client{Name: "client", Run: client})
	r, err := simulate.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

// ask sends a line to a node and returns the answer, or what went wrong.
func ask(a *simulate.Actor, node, line string) string {
	c, err := a.Dial(node+":7", 2*time.Second)
	if err != nil {
		return "no connection"
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "not sent"
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "no answer"
	}
	return strings.TrimSpace(answer)
}

// Each fault does what it says: what a client sees when it asks at certain times.
func TestFaults(t *testing.T) {
	type step struct {
		at         time.Duration
		node, line string
	}
	second := time.Second
	var steps []step
	var got []string
	var took time.Duration
	r := servers(t, simulate.Simulation{}, func(a *simulate.Actor) error {
		for _, s := range steps {
			if err := a.Sleep(s.at - a.Now()); err != nil {
				return err
			}
			before := a.Now()
			answer := ask(a, s.node, s.line)
			if strings.HasPrefix(answer, "read ") {
				answer = "reset" // Go has other words for it
			}
			got = append(got, answer)
			took = a.Now() - before
		}
		return nil
	})
	for name, test := range map[string]struct {
		plan  string
		steps []step
		want  []string
		took  time.Duration // the last step, at least
	}{
		"nothing": {"", []step{{second, "a", "time"}, {2 * second, "a", "ask b time"}},
			[]string{"2000-01-01T00:00:01Z", "2000-01-01T00:00:02Z"}, 0},
		"crash": {"a node:at=1500ms:crash:for=1s",
			[]step{{second, "a", "save 1"}, {2 * second, "a", "load"}, {2*second + 1, "b", "load"}, {3 * second, "a", "load"}},
			[]string{"<nil>", "no connection", "nothing", "1"}, 0},
		"power loss, not synced": {"a node:at=1500ms:powerloss:for=1s", []step{{second, "a", "save 1"}, {3 * second, "a", "load"}},
			[]string{"<nil>", "nothing"}, 0},
		"power loss, synced": {"a node:at=1500ms:powerloss:for=1s", []step{{second, "a", "sync 1"}, {3 * second, "a", "load"}},
			[]string{"<nil>", "1"}, 0},
		"power loss while down": {"a node:at=1500ms:crash:for=1s\na node:at=1600ms:powerloss:for=1s",
			[]step{{second, "a", "sync 1"}, {3 * second, "a", "load"}}, []string{"<nil>", "1"}, 0},
		"pause": {"a node:at=900ms:pause:for=1s", []step{{second, "a", "time"}}, []string{"2000-01-01T00:00:01Z"}, 900 * time.Millisecond},
		"crash while paused": {"a node:at=900ms:pause:for=5s\na node:at=1s:crash:for=100ms",
			[]step{{1500 * time.Millisecond, "a", "time"}}, []string{"2000-01-01T00:00:01Z"}, 0},
		"jump": {"a node:at=1500ms:jump=-1h", []step{{2 * second, "a", "time"}, {2*second + 1, "b", "time"}},
			[]string{"1999-12-31T23:00:02Z", "2000-01-01T00:00:02Z"}, 0},
		"cut": {"a-b link:at=900ms:cut:for=1s", []step{{second, "a", "ask b time"}}, []string{"2000-01-01T00:00:01Z"}, 900 * time.Millisecond},
		"cut, one way": {"b>a link:at=900ms:cut:for=1s", []step{{second, "b", "time"}, {second + 1, "a", "ask b time"}},
			[]string{"2000-01-01T00:00:01Z", "2000-01-01T00:00:01Z"}, 800 * time.Millisecond},
		"slow": {"a-b link:at=900ms:delay=300ms:for=5s", []step{{second, "a", "ask b time"}}, []string{"2000-01-01T00:00:01Z"}, 1200 * time.Millisecond},
		"two cuts": {"a-b link:at=900ms:cut:for=1s\na-b link:at=1s:cut:for=100ms",
			[]step{{second, "a", "ask b time"}}, []string{"2000-01-01T00:00:01Z"}, 900 * time.Millisecond},
		"reset": {"a-b link:at=900ms:delay=300ms:for=5s\na-b link:at=1200ms:reset",
			[]step{{second, "a", "ask b time"}}, []string{"reset"}, 0},
		"disk": {"a sync:*:EIO at=900ms:for=1s", []step{{second, "a", "sync 1"}, {3 * second, "a", "sync 2"}},
			[]string{"sync /data/file: I/O error", "<nil>"}, 0},
		"slow disk": {"a sync:*:delay=300ms", []step{{second, "a", "sync 1"}}, []string{"<nil>"}, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			steps, got, took = test.steps, nil, 0
			plan, err := simulate.ParsePlan(test.plan)
			if err != nil {
				t.Fatal(err)
			}
			result, err := r.RunPlan(t.Context(), 1, plan)
			if err != nil {
				t.Fatal(err)
			}
			if result.Failure != nil {
				t.Errorf("the run fails: %v", result.Failure)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if took < test.took || took > test.took+500*time.Millisecond {
				t.Errorf("the last answer took %v, want %v and a little", took, test.took)
			}
			if t.Failed() {
				for _, e := range result.Events {
					t.Log(e)
				}
			}
		})
	}
}

// A seed has the same events whoever runs it, and beside whatever else.
func TestSeedsRepeat(t *testing.T) {
	r := servers(t, simulate.Simulation{Length: 2 * time.Second, Nemesis: simulate.Nemesis{Kinds: simulate.Kinds()}}, func(a *simulate.Actor) error {
		for {
			node := []string{"a", "b"}[a.Rand.IntN(2)]
			line := []string{"time", "save 1", "sync 2", "load", "ask b load"}[a.Rand.IntN(5)]
			a.Log("%s %s: %s", node, line, ask(a, node, line))
			if err := a.Sleep(50 * time.Millisecond); err != nil {
				return err
			}
		}
	})
	run := func(seed uint64) [32]byte {
		result, err := r.Run(t.Context(), seed)
		if err != nil {
			t.Error(err)
			return [32]byte{}
		}
		return result.Hash
	}
	const seeds = 12
	var alone, beside [seeds][32]byte
	different := map[[32]byte]bool{}
	for seed := range alone {
		alone[seed] = run(uint64(seed))
		different[alone[seed]] = true
	}
	var all sync.WaitGroup
	for seed := range beside {
		all.Go(func() { beside[seed] = run(uint64(seed)) })
	}
	all.Wait()
	if alone != beside {
		t.Errorf("seeds that run beside each other have other events than alone")
	}
	if len(different) != seeds {
		t.Errorf("%d seeds have %d histories", seeds, len(different))
	}
}

// A run fails by its check, its invariant, a client, and a node that ends; the story tells the
// faults that matter.
func TestStory(t *testing.T) {
	stale := func(w *simulate.World) error {
		if text, err := w.Disk("a").ReadFile("file"); w.Now() > 4*time.Second && (err != nil || string(text) != "1") {
			return errors.New("lost: what was saved is not there")
		}
		return nil
	}
	client := func(a *simulate.Actor) error {
		if err := a.Sleep(time.Second); err != nil {
			return err
		}
		a.Log("saves: %s", ask(a, "a", "save 1"))
		return a.Sleep(5 * time.Second)
	}
	r := servers(t, simulate.Simulation{Check: stale}, client)
	plan, err := simulate.ParsePlan("b node:at=1s:crash:for=1s\na node:at=2s:powerloss:for=1s\na-b link:at=2s:cut:for=1s")
	if err != nil {
		t.Fatal(err)
	}
	failed, err := r.RunPlan(t.Context(), 7, plan)
	if err != nil {
		t.Fatal(err)
	}
	if failed.Failure == nil {
		t.Fatal("the run does not fail")
	}
	shrunk, err := r.Shrink(t.Context(), failed)
	if err != nil {
		t.Fatal(err)
	}
	story := shrunk.Story("go test")
	for _, want := range []string{"seed 7 fails: lost", "1 of 3 faults", "a node:at=2s:powerloss:for=1s\nWhat", "3.0", "a        starts", "Run it again: go test"} {
		if !strings.Contains(story, want) {
			t.Errorf("the story lacks %q:\n%s", want, story)
		}
	}
	invariant := servers(t, simulate.Simulation{Invariant: func(w *simulate.World) error {
		if w.Running("a") && w.Running("b") && w.Now() > time.Second {
			return errors.New("both run")
		}
		return nil
	}}, func(a *simulate.Actor) error { a.Sleep(2 * time.Second); a.Log("looks"); return a.Sleep(time.Second) })
	ends := servers(t, simulate.Simulation{}, func(a *simulate.Actor) error { ask(a, "b", "exit"); return a.Sleep(time.Second) })
	fails := servers(t, simulate.Simulation{}, func(a *simulate.Actor) error { return errors.New("no luck") })
	for want, r := range map[string]*simulate.Runner{"both run": invariant, "node ended by itself: b: exit 3": ends, "client client: no luck": fails} {
		result, err := r.Run(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if result.Failure == nil || result.Failure.Error() != want {
			t.Errorf("the run fails with %v, want %s", result.Failure, want)
		}
	}
}

// TestNodeThatPrintsWithoutEnd fails the run before the story takes more than 64 MiB.
func TestNodeThatPrintsWithoutEnd(t *testing.T) {
	const longest, most = 64 << 10, 64 << 20
	wasm, err := os.ReadFile("testdata/print.wasm")
	if err != nil {
		t.Fatal(err)
	}
	r, err := simulate.New(t.Context(), simulate.Simulation{Nodes: []simulate.Node{{Name: "a", Wasm: wasm}}, Length: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	result, err := r.Run(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Failure; err == nil || !strings.Contains(err.Error(), "printed more than 64 MiB") {
		t.Errorf("the run: %v", err)
	}
	size := 0
	for _, e := range result.Events {
		if size += len(e.What); len(e.What) > longest {
			t.Errorf("a line of %d bytes", len(e.What))
		}
	}
	if size < most/2 || size > most {
		t.Errorf("%d bytes of %d", size, most)
	}
}

func TestNewErrors(t *testing.T) {
	wasm, err := server()
	if err != nil {
		t.Fatal(err)
	}
	for want, nodes := range map[string][]simulate.Node{
		"names that differ": {{Name: "a", Wasm: wasm}, {Name: "a", Wasm: wasm}},
		"node b":            {{Name: "b", Wasm: []byte("no module")}},
	} {
		if _, err := simulate.New(t.Context(), simulate.Simulation{Nodes: nodes}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A fault that would come after the end of the run changes the order of threads only, and is told
// to.
func TestStoryTellsOfFaultsThatDidNotCome(t *testing.T) {
	shrunk := simulate.Shrunk{Before: 2, Runs: 3, Result: &simulate.Result{
		Plan:    simulate.Plan{{Kind: simulate.Crash, Node: "n1", At: time.Second, For: time.Second}, {Kind: simulate.Crash, Node: "n2", At: 3 * time.Second, For: time.Second}},
		Failure: errors.New("both are down"), Elapsed: 2 * time.Second,
	}}
	want := "  n1 node:at=1s:crash:for=1s\n  n2 node:at=3s:crash:for=1s (would come later: with it threads run in another order)\n"
	if story := shrunk.Story("go test"); !strings.Contains(story, want) {
		t.Errorf("the story does not say %q:\n%s", want, story)
	}
}
