package virttest_test

import (
	"errors"
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
