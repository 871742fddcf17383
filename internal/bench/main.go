// Command bench times this library beside other hosts of WASI and prints one table. It is a module
// of its own, so that whoever imports the library gets none of the others.
//
//	cd internal/bench && go run . -md -svg bench.svg
//
// It runs the benchmarks of this directory several times and takes the least of each, because a
// machine that does other things makes times longer and never shorter. Times are of the processor,
// so that waiting for it does not count. Compare ratios, and only within a run.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	md := flag.Bool("md", false, "print the table as Markdown instead of what the benchmarks print")
	svg := flag.String("svg", "", "draw the plot into this `file`")
	rounds := flag.Int("rounds", 3, "how often each benchmark is run")
	each := flag.String("time", "50ms", "how long each benchmark runs in a round (see go help testflag, -benchtime)")
	rows := flag.String("rows", "Peers|Instantiate|Programs|Threads|Memory", "which benchmarks are run (see go help testflag, -bench)")
	from := flag.String("from", "", "take what the benchmarks printed from this `file` instead of running them")
	flag.Parse()
	var t *table
	var err error
	if *from != "" {
		f, openErr := os.Open(*from)
		if openErr != nil {
			return openErr
		}
		defer f.Close()
		t, err = parse(f)
	} else {
		t, err = measure(*rows, *each, *rounds, *md)
	}
	if err != nil {
		return err
	}
	if len(t.rows) == 0 {
		return fmt.Errorf("no benchmark matches -rows %s", *rows)
	}
	if *md {
		t.markdown(os.Stdout)
	}
	if *svg == "" {
		return nil
	}
	var b strings.Builder
	t.plot(&b)
	return os.WriteFile(*svg, []byte(b.String()), 0o666)
}

// measure runs the benchmarks round by round, so that what disturbs the machine for a while
// disturbs all of them.
func measure(rows, each string, rounds int, quiet bool) (*table, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bench.test")
	if out, err := exec.Command("go", "test", "-c", "-o", program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
	}
	var all strings.Builder
	for range max(rounds, 1) {
		cmd := exec.Command(program, "-test.run", "^$", "-test.bench", rows, "-test.benchtime", each, "-test.cpu", "1")
		cmd.Stderr = os.Stderr
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		var told io.Writer = os.Stdout
		if quiet {
			told = io.Discard
		}
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			fmt.Fprintln(told, lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			return nil, fmt.Errorf("running the benchmarks: %w", err)
		}
	}
	t, err := parse(strings.NewReader(all.String()))
	if err == nil {
		t.machine = fmt.Sprintf("%s/%s, %s, %d cores, %s, %d rounds of %s",
			runtime.GOOS, runtime.GOARCH, t.machine, runtime.NumCPU(), runtime.Version(), rounds, each)
	}
	return t, err
}
