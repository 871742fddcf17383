// Package gooverlay makes an overlay for the go command with which Go guests draw the order of
// their goroutines from random_get.
//
// A Go guest has one thread, on which Go's own scheduler runs the goroutines in the order in which
// they became ready. The overlay replaces two files of the runtime, made from those in GOROOT. In a
// guest built with it
//
//   - a goroutine that becomes ready takes a place in the run queue that is drawn, and so does one
//     that yields;
//   - a goroutine may lose its turn at the entry of a function, once after each allocation and each
//     time it was resumed, as it may at any time on a machine with several processors. How often is
//     drawn once a run: from every second time to once in 256.
//
// All is drawn by the runtime's generator, which Go seeds from random_get, so that the Host's seed
// decides. Programs that are built for other processors than wasm with the same overlay do not
// change.
package gooverlay

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// edit replaces a text that stands in a source exactly once.
type edit struct{ what, old, new string }

// edits are the changes of each file of package runtime.
var edits = map[string][]edit{
	"proc.go": {
		{"the switch for random scheduling", `const randomizeScheduler = raceenabled
`, `const randomizeScheduler = raceenabled || goarch.IsWasm == 1

// yieldRate is how many chances to yield a goroutine lets pass on the average; 0 before it is drawn.
var yieldRate uint32

// mayYield reports whether gp is to be asked at its next function's entry whether it yields.
//
//go:nosplit
func mayYield(mp *m, gp *g) bool { return goarch.IsWasm == 1 && yieldRate != 0 && gp == mp.curg }
`},
		{"runqput", `		pp.runq[t%uint32(len(pp.runq))].set(gp)
		atomic.StoreRel(&pp.runqtail, t+1) // store-release, makes the item available for consumption
		return
`, `		pp.runq[t%uint32(len(pp.runq))].set(gp)
		if goarch.IsWasm == 1 {
			i := (h + cheaprandn(t-h+1)) % uint32(len(pp.runq))
			j := t % uint32(len(pp.runq))
			pp.runq[i], pp.runq[j] = pp.runq[j], pp.runq[i]
		}
		atomic.StoreRel(&pp.runqtail, t+1) // store-release, makes the item available for consumption
		return
`},
		{"goschedImpl", `	if preempted && sched.gcwaiting.Load() {
`, `	if goarch.IsWasm == 1 && !sched.gcwaiting.Load() {
		runqput(pp, gp, false)
	} else if preempted && sched.gcwaiting.Load() {
`},
		{"execute", `	gp.preempt = false
	gp.stackguard0 = gp.stack.lo + stackGuard
	if !inheritTime {
`, `	gp.preempt = false
	gp.stackguard0 = gp.stack.lo + stackGuard
	if goarch.IsWasm == 1 {
		if yieldRate == 0 {
			yieldRate = 2 << cheaprandn(7)
		}
		gp.stackguard0 = stackPreempt
	}
	if !inheritTime {
`},
		{"gopreempt_m", `func gopreempt_m(gp *g) {
	goschedImpl(gp, true)
`, `func gopreempt_m(gp *g) {
	if goarch.IsWasm == 1 && !gp.preempt && cheaprandn(yieldRate) != 0 {
		gp.syncSafePoint = false
		gp.stackguard0 = gp.stack.lo + stackGuard
		gogo(&gp.sched)
	}
	goschedImpl(gp, true)
`},
	},
	"runtime1.go": {
		{"releasem", `	if mp.locks == 0 && gp.preempt {
		// restore the preemption request in case we've cleared it in newstack
`, `	if mp.locks == 0 && (gp.preempt || mayYield(mp, gp)) {
		// restore the preemption request in case we've cleared it in newstack
`},
	},
}

// patch returns a source with changes. It fails if a place that is changed is not there exactly
// once.
func patch(source string, edits []edit) (string, error) {
	for _, e := range edits {
		if n := strings.Count(source, e.old); n != 1 {
			return "", fmt.Errorf("%s is not written as in Go 1.26", e.what)
		}
		source = strings.Replace(source, e.old, e.new, 1)
	}
	return source, nil
}

// Go is an installed Go.
type Go struct {
	// Root is GOROOT, Version such as "go1.26".
	Root, Version string
}

// Installed asks a go command ("go", or a path) where its sources are.
func Installed(ctx context.Context, command string) (Go, error) {
	out, err := exec.CommandContext(ctx, command, "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return Go{}, fmt.Errorf("ask %s for GOROOT: %w", command, err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return Go{Root: strings.TrimSpace(root), Version: strings.TrimSpace(version)}, nil
}

// Write writes an overlay for g to file, and the changed sources beside it, to file + ".proc.txt"
// and the like. It fails if the sources of that version of Go are written otherwise; then it writes
// nothing.
func Write(g Go, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	texts, replace := map[string]string{}, map[string]string{}
	for name, changes := range edits {
		original := filepath.Join(g.Root, "src", "runtime", name)
		source, err := os.ReadFile(original)
		if err != nil {
			return fmt.Errorf("make an overlay for %s: %w", g.Version, err)
		}
		// No .go file, which would belong to the package of its directory.
		changed := file + "." + strings.TrimSuffix(name, ".go") + ".txt"
		if texts[changed], err = patch(string(source), changes); err != nil {
			return fmt.Errorf("make an overlay for %s: %s: %w; use another version of Go", g.Version, original, err)
		}
		replace[original] = changed
	}
	overlay, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return err
	}
	texts[file] = string(overlay) + "\n"
	for name, text := range texts {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}
