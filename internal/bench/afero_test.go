package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"testing"

	"github.com/wasivirt/wasivirt/internal/guestloop"
)

// BenchmarkAfero times the rows on an aferofs with and without what afero itself takes, beside
// memfs. What is afero's a profile tells, within a few percent if a benchmark runs for seconds.
func BenchmarkAfero(b *testing.B) {
	for _, row := range guestloop.Rows() {
		if !row.UsesFiles() {
			continue
		}
		for _, name := range []string{"memfs", "aferofs"} {
			b.Run(name+"/"+row.Name, func(b *testing.B) {
				run := wasivirt(b, newHost(b), &row, mounts[name](b, row.Files()))
				timed(b, row.Times(), func() { called(b, run) })
			})
		}
		b.Run("aferofs-own/"+row.Name, func(b *testing.B) {
			run := wasivirt(b, newHost(b), &row, mounts["aferofs"](b, row.Files()))
			prof, err := os.Create(filepath.Join(b.TempDir(), "prof"))
			check(b, err)
			defer prof.Close()
			check(b, pprof.StartCPUProfile(prof))
			b.ResetTimer()
			start := cpuTime()
			called(b, run)
			took := cpuTime() - start
			b.StopTimer()
			pprof.StopCPUProfile()
			own := 1 - share(b, prof.Name(), "^github.com/spf13/afero")
			b.ReportMetric(own*float64(took.Nanoseconds())/float64(b.N*row.Times()), "ns/call")
			b.ReportMetric(float64(took.Nanoseconds()), "cpu-ns")
		})
	}
}

// called makes the calls of all turns of a benchmark.
func called(b *testing.B, run func(uint64) (uint64, error)) {
	errno, err := run(uint64(b.N))
	check(b, err)
	if errno != 0 {
		b.Fatalf("a call answered %d", errno)
	}
}

// accounted matches how pprof says which part of a profile it shows.
var accounted = regexp.MustCompile(`accounting for .*, ([0-9.]+)% of .* total`)

// share returns which part of a profile's time is in functions of a package or called by them.
func share(b *testing.B, prof, pkg string) float64 {
	out, err := exec.Command("go", "tool", "pprof", "-top", "-focus", pkg, "-nodecount", "1000", "-nodefraction", "0", prof).Output()
	check(b, err)
	m := accounted.FindSubmatch(out)
	if m == nil {
		return 0 // nothing matches
	}
	percent, err := strconv.ParseFloat(string(m[1]), 64)
	check(b, err)
	return percent / 100
}
