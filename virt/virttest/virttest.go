// Package virttest runs guests in Go tests so that every failure can be repeated. If a seed fails,
// the test fails with the seed and with the command that repeats it.
//
// Run is for tests of a command: it gives the guest files, arguments and virtual time, and compares
// what came out. Explore, Seeds and Simulate run many seeds.
//
//	func TestQueue(t *testing.T) {
//		virttest.Explore(t, explore.Config{Wasm: queueWasm, Last: 1000})
//	}
//
// fails with
//
//	seed 17 ends with exit 1; run it again: WASIVIRT_SEED=17 go test -count=1 -run '^TestQueue$' .
//
// and the shortest schedule that was found for it. The command sets the environment variable
// SeedVariable, which makes a test run only those seeds: one, or two whose output differs. See the
// example explore for a guest whose race is found in this way.
package virttest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// SeedVariable names the environment variable with the seeds that tests are to run, with commas
// between them.
const SeedVariable = "WASIVIRT_SEED"

// Explore runs a guest over the seeds of c, from 1 on unless c.First is larger, and fails t unless
// all exit with 0 and with the same output. The failure tells of each other outcome the lowest
// seed, the shortest schedule found, and the command that runs it again. The compiled guest is kept
// as [Run] keeps it.
func Explore(t testing.TB, c explore.Config) {
	t.Helper()
	if seeds := only(t); seeds != nil {
		c.Seeds = seeds
	}
	c.First = max(c.First, 1) // as Seeds has it
	c.Host = append([]virt.Option{compilationCache(c.Host)}, c.Host...)
	report, err := explore.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if report.Clean() {
		return
	}
	command := func(seed uint64, s *explore.Schedule) string {
		if s != nil {
			return "" // a test runs seeds
		}
		return Command(t.Name(), seed)
	}
	var text strings.Builder
	if err := report.Write(&text, command); err != nil {
		t.Fatal(err)
	}
	for _, o := range report.Outcomes {
		if !o.Result.Success() {
			t.Fatalf("seed %d ends with %s; run it again: %s\n%s", o.Seed, o.What, Command(t.Name(), o.Seed), text.String())
		}
	}
	first, last := report.Outcomes[0], report.Outcomes[len(report.Outcomes)-1]
	t.Fatalf("seed %d has another output than seed %d; run both again: %s\n%s", last.Seed, first.Seed, Command(t.Name(), first.Seed, last.Seed), text.String())
}

// Seeds calls f with the seeds 1 to n, or only with those that SeedVariable names, until one fails.
// f passes deterministic to a run and returns its Result. The seed fails if f returns an error, or
// a Result that is no success. Unless f says where standard error goes, the failure shows it.
//
// Use it for tests that do more than run one guest, for example start several.
func Seeds(t testing.TB, n uint64, f func(seed uint64, deterministic virt.Option) (*virt.Result, error)) {
	t.Helper()
	seeds := only(t)
	if seeds != nil {
		n = uint64(len(seeds))
	}
	for i := range n {
		seed := i + 1
		if seeds != nil {
			seed = seeds[i]
		}
		opts := virt.Options(virt.WithDeterminism(virt.Determinism{Seed: seed, Strategy: explore.DefaultStrategy()}), virt.WithAccessSwitches())
		result, err := f(seed, opts)
		if err == nil && result != nil && !result.Success() {
			err = errors.New(result.String())
			if result.Stderr != "" {
				err = fmt.Errorf("%w\nstandard error:\n%s", err, result.Stderr)
			}
		}
		if err != nil {
			t.Fatalf("seed %d: %v\nrun it again: %s", seed, err, Command(t.Name(), seed))
		}
	}
}

// Command returns the command that repeats one test with some seeds, for a POSIX shell in the
// directory of the test's package.
func Command(test string, seeds ...uint64) string {
	numbers := make([]string, len(seeds))
	for i, s := range seeds {
		numbers[i] = strconv.FormatUint(s, 10)
	}
	return fmt.Sprintf("%s=%s go test -count=1 -run %s .", SeedVariable, strings.Join(numbers, ","), pattern(test))
}

// pattern matches one test, for -run, quoted for a shell.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return quoted(strings.Join(parts, "/"))
}

// quoted quotes a text for a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// only returns the seeds that the environment names, or nil.
func only(t testing.TB) (seeds []uint64) {
	t.Helper()
	text := os.Getenv(SeedVariable)
	if text == "" {
		return nil
	}
	for number := range strings.SplitSeq(text, ",") {
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("%s=%s: want numbers with commas between them", SeedVariable, text)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}
