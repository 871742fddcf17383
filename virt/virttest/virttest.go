// Package virttest runs guests in Go tests in such a way that what goes wrong goes wrong again: where a seed fails, the
// test fails with the seed and with the one command that repeats it.
//
//	func TestQueue(t *testing.T) {
//		virttest.Explore(t, explore.Config{Wasm: queueWasm, Last: 1000})
//	}
//
// The command sets the environment variable [SeedVariable], with which a test runs that one seed only.
package virttest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// SeedVariable names the environment variable with the one seed that tests are to run.
const SeedVariable = "WASIVIRT_SEED"

// Explore runs a guest over the seeds of c, and fails t unless all exit with 0 and with the same output. The failure
// tells of each other outcome the lowest seed, the shortest schedule found, and the command that runs it again.
func Explore(t testing.TB, c explore.Config) {
	t.Helper()
	if seed, ok := only(t); ok {
		c.First, c.Last = seed, seed
	}
	report, err := explore.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if report.Clean() {
		return
	}
	var text strings.Builder
	if err := report.Write(&text, func(seed uint64) string { return Command(t.Name(), seed) }); err != nil {
		t.Fatal(err)
	}
	for _, o := range report.Outcomes {
		if !o.Result.Success() {
			t.Fatalf("seed %d ends with %s; run it again: %s\n%s", o.Seed, o.What, Command(t.Name(), o.Seed), text.String())
		}
	}
	last := report.Outcomes[len(report.Outcomes)-1]
	t.Fatalf("seed %d has another output than most; run it again: %s\n%s", last.Seed, Command(t.Name(), last.Seed), text.String())
}

// Seeds calls f with n seeds, from 1 on, or only with the one that the environment names, until one fails: f returns an
// error, or uses the options that it is given for a run and returns its Result, which has to be a success.
//
// It is for tests that do more than run one guest: start several, give them files, look at what they left.
func Seeds(t testing.TB, n uint64, f func(seed uint64, deterministic virt.Option) (*virt.Result, error)) {
	t.Helper()
	first, last := uint64(1), n
	if seed, ok := only(t); ok {
		first, last = seed, seed
	}
	for seed := first; seed <= last; seed++ {
		opts := virt.Options(virt.Deterministic(seed, virt.Strategy(explore.DefaultStrategy())), virt.WithAccessSwitches())
		result, err := f(seed, opts)
		if err == nil && result != nil && !result.Success() {
			err = errors.New(result.String())
		}
		if err != nil {
			t.Fatalf("seed %d: %v\nrun it again: %s", seed, err, Command(t.Name(), seed))
		}
		if seed == last {
			break // last may be the largest number there is
		}
	}
}

// Command is the command that runs one test again with one seed, in the directory of its package.
func Command(test string, seed uint64) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	return fmt.Sprintf("%s=%d go test -count=1 -run '%s' .", SeedVariable, seed, strings.Join(parts, "/"))
}

// only returns the seed that the environment names.
func only(t testing.TB) (uint64, bool) {
	t.Helper()
	text := os.Getenv(SeedVariable)
	if text == "" {
		return 0, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s: want a number", SeedVariable, text)
	}
	return seed, true
}
