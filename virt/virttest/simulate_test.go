package virttest_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt/simulate"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

// A simulation that fails tells the story of its lowest seed, and the command that repeats it.
func TestSimulate(t *testing.T) {
	fails := func(a *simulate.Actor) error {
		if err := a.Sleep(time.Duration(a.Rand.IntN(1000)) * time.Millisecond); err != nil {
			return err
		}
		if a.Now() < 100*time.Millisecond {
			return errors.New("too early")
		}
		return nil
	}
	s := simulate.Simulation{Clients: []simulate.Client{{Name: "alice", Run: fails}}}
	text := failure(t, func(t testing.TB) { virttest.Simulate(t, s, 100) })
	_, seed, ok := strings.Cut(text, virttest.SeedVariable+"=")
	seed, command, _ := strings.Cut(seed, " ")
	if !ok || !strings.HasPrefix(text, "seed "+seed+" fails: client alice: too early") || !strings.HasPrefix(command, "go test -count=1 -run '^TestSimulate$' .") {
		t.Fatalf("failed with %q", text)
	}
	t.Setenv(virttest.SeedVariable, seed)
	if again := failure(t, func(t testing.TB) { virttest.Simulate(t, s, 1) }); again != text {
		t.Errorf("the seed alone fails with %q, want %q", again, text)
	}
	s.Clients[0].Run = func(a *simulate.Actor) error { return a.Sleep(time.Hour) } // longer than the run
	if text := failure(t, func(t testing.TB) { virttest.Simulate(t, s, 1) }); text != "" {
		t.Errorf("a simulation without a fault fails with %q", text)
	}
}

// A seed is run with the faults that the environment names. The story's command names them too.
func TestSimulatePlan(t *testing.T) {
	wasm, err := os.ReadFile("../simulate/testdata/worlds/boots.wasm")
	if err != nil {
		t.Fatal(err)
	}
	up := func(a *simulate.Actor) error {
		if err := a.Sleep(500 * time.Millisecond); err != nil {
			return err
		}
		if !a.World().Running("a") {
			return errors.New("a is down")
		}
		return nil
	}
	s := simulate.Simulation{
		Nodes:   []simulate.Node{{Name: "a", Wasm: wasm, Ports: []string{"7"}}},
		Clients: []simulate.Client{{Name: "alice", Run: up}},
		Guided:  true,
	}
	const needed = "a node:at=400ms:crash:for=200ms"
	t.Setenv(virttest.SeedVariable, "1")
	for plan, want := range map[string]string{
		"": "", needed: "WASIVIRT_PLAN='" + needed + "' WASIVIRT_SEED=1 go test ", "a node:at=100ms:crash:for=100ms\n" + needed: "It takes 1 of 2 faults",
		"a node:at=100ms": "no effect", "b node:crash": "no node",
	} {
		t.Setenv(virttest.PlanVariable, plan)
		if text := failure(t, func(t testing.TB) { virttest.Simulate(t, s, 1) }); !strings.Contains(text, want) || (text == "") != (want == "") {
			t.Errorf("plan %q fails with %q, want %q", plan, text, want)
		}
	}
}
