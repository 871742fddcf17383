package virt_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
)

// worstChild is the variable that says to a process which module it is to run.
const worstChild = "WASIVIRT_WORST_CHILD"

// growers are modules that get larger, and dearer, with n.
func growers() map[string]func(n int) []byte {
	straight := func(code string) func(n int) []byte {
		return func(n int) []byte { return virt.Command(1, virt.WithLocals(4), strings.Repeat(code, n)) }
	}
	nested := func(locals int, begin, end string) func(n int) []byte {
		return func(n int) []byte {
			return virt.Command(1, virt.WithLocals(locals), strings.Repeat(begin, n)+virt.Increments(locals)+strings.Repeat(end, n)+virt.Increments(locals))
		}
	}
	spread := func(locals int, code string) func(n int) []byte {
		return func(n int) []byte {
			return virt.Command(1, virt.WithLocals(locals), virt.Increments(locals)+strings.Repeat(code, n)+virt.Increments(locals))
		}
	}
	all := map[string]func(n int) []byte{
		"nops":                  straight("\x01"),
		"additions":             straight("\x20\x00\x41\x01\x6a\x21\x00"),
		"loads":                 straight("\x20\x00\x28\x02\x00\x21\x00"),
		"stores":                straight("\x41\x00\x20\x00\x36\x02\x00"),
		"divisions":             straight("\x20\x00\x41\x03\x6e\x21\x00"),
		"calls of itself":       straight("\x10\x00"),
		"growth":                straight("\x41\x00\x40\x00\x1a"),
		"copies":                straight("\x41\x00\x41\x00\x41\x08\xfc\x0a\x00\x00"),
		"selects":               straight("\x20\x00\x20\x01\x20\x02\x1b\x21\x00"),
		"blocks":                straight("\x02\x40\x41\x00\x0d\x00\x0b"),
		"loops":                 straight("\x03\x40\x41\x00\x0d\x00\x0b"),
		"ifs":                   straight("\x41\x00\x04\x40\x01\x0b"),
		"nested blocks":         nested(100, "\x02\x40\x41\x00\x0d\x00", "\x0b"),
		"nested ifs":            nested(100, "\x41\x00\x04\x40", "\x0b"),
		"nested loops":          nested(100, "\x03\x40", "\x41\x00\x0d\x00\x0b"),
		"nested loops, locals":  nested(1000, "\x03\x40", "\x41\x00\x0d\x00\x0b"),
		"live locals":           spread(1000, "\x41\x00\x04\x40\x01\x0b"),
		"live locals and loops": spread(300, "\x03\x40\x41\x00\x0d\x00\x0b"),
		"functions":             func(n int) []byte { return virt.Command(n, "\x00", "") },
		"functions with locals": func(n int) []byte { return virt.Command(n, virt.WithLocals(200), "") },
		"functions with loops": func(n int) []byte {
			return virt.Command(n, virt.WithLocals(4), strings.Repeat("\x03\x40\x20\x00\x41\x01\x6a\x21\x00\x41\x00\x0d\x00\x0b", 20))
		},
		"functions with calls": func(n int) []byte { return virt.Command(n, "\x00", strings.Repeat("\x10\x00", 50)) },
	}
	// With a table of lines the engine keeps where each instruction came from.
	for _, name := range []string{"nops", "additions", "calls of itself", "functions with loops", "functions with calls"} {
		all[name+", lines"] = func(n int) []byte { return append(all[name](n), "\x00\x0c\x0b.debug_line"...) }
	}
	return all
}

// largest is the module that is as large as n allows within what Untrusted takes.
func largest(module func(n int) []byte) []byte {
	return module(sort.Search(1<<20, func(n int) bool { return !virt.UntrustedTakes(module(n + 1)) }))
}

// corpusOfBad are bad modules: those that limits refuse, those that they just do not refuse,
// wazero's own, and mutations.
func corpusOfBad(t *testing.T) map[string][]byte {
	all := map[string][]byte{}
	for name, module := range virt.HostileModules() {
		all["refused: "+name] = module
	}
	for name, module := range growers() {
		all["largest: "+name] = largest(module)
	}
	dir, err := wazeroGuests()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(filepath.Dir(dir))
	r := rand.New(rand.NewPCG(1, 2))
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".wasm" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		// The specification's modules are many and small: one in eight, and a mutation of each of
		// those.
		if strings.Contains(name, "spectest") && r.IntN(8) > 0 {
			return nil
		}
		all["wazero: "+name] = b
		mutated := slices.Clone(b)
		for range 1 + r.IntN(8) {
			if len(mutated) > 8 {
				mutated[8+r.IntN(len(mutated)-8)] = byte(r.Uint32())
			}
		}
		all["mutated: "+name] = mutated
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWorstOfBadModules runs every bad module as one that nobody vouches for, each in a process of
// its own, and prints the worst ten: none takes more than 5 s of a processor and 300 MB. It takes
// minutes.
func TestWorstOfBadModules(t *testing.T) {
	if path := os.Getenv(worstChild); path != "" {
		runWorst(t, path)
		return
	}
	if !full {
		t.Skip("WASIVIRT_FULL is not set")
	}
	type cost struct {
		name   string
		cpu    time.Duration
		memory int64
		how    string
	}
	var costs []cost
	all, dir := corpusOfBad(t), t.TempDir()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		path := filepath.Join(dir, fmt.Sprint(i, ".wasm"))
		if err := os.WriteFile(path, all[name], 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestWorstOfBadModules$", "-test.v", "-test.timeout=2m")
		child.Env = append(os.Environ(), worstChild+"="+path, "GOMEMLIMIT=900MiB", "GOGC=50")
		out, err := child.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		c := cost{name: name, cpu: child.ProcessState.UserTime() + child.ProcessState.SystemTime()}
		_, told, _ := strings.Cut(string(out), "peak ")
		c.how, _, _ = strings.Cut(told, "\n")
		_, _ = fmt.Sscan(told, &c.memory) // 0 where the system does not tell
		costs = append(costs, c)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	show := func(by string, less func(a, b cost) int) {
		slices.SortFunc(costs, less)
		t.Logf("%d modules; the worst by %s:", len(costs), by)
		for _, c := range costs[:min(10, len(costs))] {
			_, how, _ := strings.Cut(c.how, "ended: ")
			t.Logf("%8.2f s %6d MB  %s: %.100s", c.cpu.Seconds(), c.memory/1e6, c.name, how)
		}
	}
	show("memory", func(a, b cost) int { return cmp.Compare(b.memory, a.memory) })
	show("time", func(a, b cost) int { return cmp.Compare(b.cpu, a.cpu) })
	for _, c := range costs {
		if c.memory > 300e6 || c.cpu > 5*time.Second {
			t.Errorf("%s takes %.1f s and %d MB", c.name, c.cpu.Seconds(), c.memory/1e6)
		}
	}
}

// runWorst compiles and runs the module of a file.
func runWorst(t *testing.T, path string) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	// What it computes is not what is looked at: a second of it is enough.
	result, err := virt.Run(context.Background(), wasm, virt.Untrusted(), virt.WithLimits(func(l *virt.Limits) { l.CPUTime = time.Second }))
	t.Logf("peak %d, ended: %v %v", peakResident(), result, err)
}

// peakResident is the most of the machine's memory that the process held, in bytes; 0 where the
// system does not tell.
func peakResident() (n int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(text, &n) // kilobytes
	return n << 10
}
