package virttest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

func bare(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join("..", "testdata", "bare", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// failed is what a test that fails panics with in a spy.
type failed struct{ text string }

// spy is a test whose failure is looked at.
type spy struct{ testing.TB }

func (s spy) Fatalf(format string, args ...any) { panic(failed{fmt.Sprintf(format, args...)}) }
func (s spy) Fatal(args ...any)                 { panic(failed{fmt.Sprint(args...)}) }

// failure returns the text with which f fails its test, or "".
func failure(t *testing.T, f func(t testing.TB)) (text string) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failed:
			text = v.text
		default:
			panic(v)
		}
	}()
	f(spy{t})
	return ""
}

func TestExplore(t *testing.T) {
	config := explore.Config{Wasm: bare(t, "race_counter"), First: 1, Last: 100}
	text := failure(t, func(t testing.TB) { virttest.Explore(t, config) })
	_, seed, ok := strings.Cut(text, virttest.SeedVariable+"=")
	seed, command, _ := strings.Cut(seed, " ")
	if !ok || !strings.HasPrefix(command, "go test -count=1 -run '^TestExplore$' .") {
		t.Fatalf("failed with %q, want the command", text)
	}
	t.Setenv(virttest.SeedVariable, seed)
	config.First, config.Last = 0, 0
	if again := failure(t, func(t testing.TB) { virttest.Explore(t, config) }); !strings.Contains(again, "seed "+seed+" ends with exit 1") {
		t.Errorf("the seed alone fails with %q", again)
	}
	t.Setenv(virttest.SeedVariable, "")
	config = explore.Config{Wasm: bare(t, "race_counter_fixed"), First: 1, Last: 100}
	if text := failure(t, func(t testing.TB) { virttest.Explore(t, config) }); text != "" {
		t.Errorf("the corrected guest fails with %q", text)
	}
}

// A systematic exploration needs no seeds.
func TestExploreSystematic(t *testing.T) {
	if failed := failure(t, func(t testing.TB) {
		virttest.Explore(t, explore.Config{Wasm: bare(t, "depth_four"), Systematic: true})
	}); !strings.Contains(failed, "18 of 126") {
		t.Errorf("%s", failed)
	}
	virttest.Explore(t, explore.Config{Wasm: bare(t, "depth_four_fixed"), Systematic: true})
}

// Where seeds print different texts, the command runs two of them, which differ again.
func TestExploreOfOutputs(t *testing.T) {
	config := explore.Config{Wasm: bare(t, "relay"), First: 1, Last: 20, ShrinkRuns: -1, World: func(uint64) ([]virt.Option, error) {
		return []virt.Option{virt.WithStdin(strings.NewReader("0123456789"))}, nil
	}}
	text := failure(t, func(t testing.TB) { virttest.Explore(t, config) })
	_, seeds, ok := strings.Cut(text, virttest.SeedVariable+"=")
	seeds, _, _ = strings.Cut(seeds, " ")
	if !ok || !strings.Contains(text, "another output") || strings.Count(seeds, ",") != 1 {
		t.Fatalf("failed with %q, want two seeds", text)
	}
	t.Setenv(virttest.SeedVariable, seeds)
	if again := failure(t, func(t testing.TB) { virttest.Explore(t, config) }); !strings.Contains(again, "another output") {
		t.Errorf("%s fails with %q", seeds, again)
	}
	t.Setenv(virttest.SeedVariable, "x")
	if text := failure(t, func(t testing.TB) { virttest.Explore(t, config) }); !strings.Contains(text, "want numbers") {
		t.Errorf("failed with %q", text)
	}
}

// The printed command, given to a shell, fails as the test did, also of a test whose name has signs
// of a pattern in it.
func TestCommandRepeats(t *testing.T) {
	if os.Getenv(virttest.SeedVariable) == "" {
		if testing.Short() {
			t.Skip("builds the test anew")
		}
		for _, name := range []string{"a+b", "it's (one)"} {
			command := virttest.Command(t.Name()+"/"+strings.ReplaceAll(name, " ", "_"), 3, 5)
			out, err := exec.Command("sh", "-c", command).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "seeds 3 5") {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
		}
		return
	}
	for _, name := range []string{"a+b", "it's (one)"} {
		t.Run(name, func(t *testing.T) {
			var seeds []string
			virttest.Seeds(t, 10, func(seed uint64, _ virt.Option) (*virt.Result, error) {
				seeds = append(seeds, fmt.Sprint(seed))
				return nil, nil
			})
			t.Fatalf("seeds %s", strings.Join(seeds, " "))
		})
	}
}

func TestSeeds(t *testing.T) {
	run := func(name string) string {
		wasm := bare(t, name)
		return failure(t, func(tb testing.TB) {
			virttest.Seeds(tb, 50, func(seed uint64, deterministic virt.Option) (*virt.Result, error) {
				host, err := virt.NewBuilder(deterministic, virt.WithMaxThreads(8)).Build(t.Context())
				if err != nil {
					return nil, err
				}
				defer host.Close(t.Context())
				return host.Run(t.Context(), wasm)
			})
		})
	}
	if text := run("deadlock_mutexes"); !strings.Contains(text, "deadlock") || !strings.Contains(text, "-run '^TestSeeds$' .") {
		t.Errorf("failed with %q", text)
	}
	if text := run("deadlock_mutexes_fixed"); text != "" {
		t.Errorf("the corrected guest fails with %q", text)
	}
	said := failure(t, func(tb testing.TB) {
		virttest.Seeds(tb, 1, func(uint64, virt.Option) (*virt.Result, error) {
			return &virt.Result{Outcome: virt.Exited, ExitCode: 3, Stderr: "bad luck\n"}, nil
		})
	})
	if !strings.Contains(said, "exit 3\nstandard error:\nbad luck\n") {
		t.Errorf("failed with %q", said)
	}
}
