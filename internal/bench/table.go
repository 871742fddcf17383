package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wasivirt/wasivirt/internal/guestloop"
)

// table is what the benchmarks measured: ns a call by row and host.
type table struct {
	machine string
	rows    []string
	hosts   []string
	cells   map[cell][]float64 // of each round
	passed  map[cell][]float64 // the time that passed, of rows for which that is told too
}

type cell struct{ row, host string }

// aim says what a host of this library may take at most beside others: that many times the best of
// them.
type aim struct {
	host   string
	beside []string
	factor float64
	files  bool // for calls that use files: others are the same code on every mount
}

var aims = []aim{
	{"memfs", []string{"minimal"}, 1.2, false},
	{"hostfs", []string{"wazero-dir", "wasi-go"}, 1, true},
	{"overlay", []string{"hostfs"}, 1.3, true},
	{"aferofs-own", []string{"memfs"}, 1.5, true},
}

// without are the rows that use no files.
var without = func() map[string]bool {
	m := map[string]bool{}
	for _, row := range guestloop.Rows() {
		m[row.Name] = !row.UsesFiles()
	}
	return m
}()

// shortest is the processor time in nanoseconds that a round must measure to count: what is done
// first takes longer.
const shortest = 1e6

// entryRow is the row of bytes instead of nanoseconds, of which a memfs may take entryBytes.
const (
	entryRow   = "bytes_an_entry"
	entryBytes = 250
)

// programFactor is the factor for a memfs in whole programs, which compute too.
const programFactor = 1.1

// result matches a line of a benchmark: its name and what follows.
var result = regexp.MustCompile(`^Benchmark(\w+)/(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// atOnce begins the names of rows of one guest or two, and of one thread or two.
var atOnce = regexp.MustCompile(`^([12])[_ ](guests|threads):[_ ]`)

// parse reads what go test -bench printed. The first part of a name below its benchmark is the
// host, what follows the row.
func parse(r io.Reader) (*table, error) {
	t := &table{cells: make(map[cell][]float64), passed: make(map[cell][]float64)}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if cpu, ok := strings.CutPrefix(lines.Text(), "cpu: "); ok {
			t.machine = strings.TrimSpace(cpu)
		}
		m := result.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		c := cell{row: strings.ToLower(m[1]), host: m[2]}
		if host, row, ok := strings.Cut(m[2], "/"); ok {
			c = cell{row, host}
		}
		c.row = atOnce.ReplaceAllString(c.row, "$1 $2: ")
		fields := strings.Fields(m[3])
		ns, err := figure(fields, "ns/call")
		if err != nil {
			ns, err = figure(fields, "ns/op")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		t.rows, t.hosts = with(t.rows, c.row), with(t.hosts, c.host)
		if all, err := figure(fields, "cpu-ns"); err == nil && all < shortest {
			continue
		}
		t.cells[c] = append(t.cells[c], ns)
		if passed, err := figure(fields, "wall-ns/call"); err == nil {
			t.passed[c] = append(t.passed[c], passed)
		}
	}
	return t, lines.Err()
}

func with(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// figure returns the number that a benchmark tells with a unit.
func figure(fields []string, unit string) (float64, error) {
	for i := 1; i < len(fields); i += 2 {
		if fields[i] == unit {
			return strconv.ParseFloat(fields[i-1], 64)
		}
	}
	return 0, fmt.Errorf("no %s", unit)
}

// least returns the least of a cell's rounds, and how far the most is from it, in percent.
func (t *table) least(row, host string) (ns, spread float64, ok bool) {
	rounds := t.cells[cell{row, host}]
	if len(rounds) == 0 {
		return 0, 0, false
	}
	ns = slices.Min(rounds)
	return ns, 100 * (slices.Max(rounds)/ns - 1), true
}

// ratio returns how many times the best of those beside it a host of this library takes, or false
// where there is nothing to compare with.
func (t *table) ratio(row string, a *aim) (float64, bool) {
	ns, _, ok := t.least(row, a.host)
	if !ok {
		return 0, false
	}
	best := 0.0
	for _, other := range a.beside {
		if n, _, ok := t.least(row, other); ok && (best == 0 || n < best) {
			best = n
		}
	}
	return ns / best, best > 0
}

// misses reports whether a ratio, as it is printed, misses an aim.
func (t *table) misses(row string, a *aim, ratio float64) bool {
	factor := a.factor
	switch {
	case a.files && without[row]:
		return false
	case row == entryRow:
		bytes, _, _ := t.least(row, a.host)
		return bytes > entryBytes
	case a.host == "memfs" && strings.HasPrefix(row, "program/"):
		factor = programFactor
	}
	return math.Round(100*ratio) > math.Round(100*factor)
}

// markdown writes the table.
func (t *table) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s. Nanoseconds of processor time a call, the least of all rounds.\n\n", t.machine)
	head, line := "| call |", "|---|"
	for _, h := range t.hosts {
		head, line = head+" "+h+" |", line+"---:|"
	}
	aims := slices.DeleteFunc(slices.Clone(aims), func(a aim) bool {
		return !slices.Contains(t.hosts, a.host) || !slices.ContainsFunc(a.beside, func(h string) bool { return slices.Contains(t.hosts, h) })
	})
	for _, a := range aims {
		head, line = head+" "+a.host+" / "+strings.Join(a.beside, ", ")+" |", line+"---:|"
	}
	fmt.Fprintf(w, "%s spread |\n%s---:|\n", head, line)
	for _, row := range t.rows {
		if atOnce.MatchString(row) {
			continue
		}
		fmt.Fprintf(w, "| %s |", row)
		worst := 0.0
		for _, h := range t.hosts {
			ns, spread, ok := t.least(row, h)
			if !ok {
				fmt.Fprint(w, " |")
				continue
			}
			worst = max(worst, spread)
			fmt.Fprintf(w, " %s |", grouped(ns))
		}
		for _, a := range aims {
			switch ratio, ok := t.ratio(row, &a); {
			case !ok:
				fmt.Fprint(w, " |")
			case t.misses(row, &a, ratio):
				fmt.Fprintf(w, " **%.2f** |", ratio)
			default:
				fmt.Fprintf(w, " %.2f |", ratio)
			}
		}
		fmt.Fprintf(w, " %.0f %% |\n", worst)
	}
	if len(aims) > 0 {
		fmt.Fprint(w, "\nBold: an aim is missed. ")
		for _, a := range aims {
			fmt.Fprintf(w, "%s at most %.1f x the best of %s; ", a.host, a.factor, strings.Join(a.beside, ", "))
		}
		fmt.Fprintf(w, "in whole programs memfs at most %.1f x; %d bytes an entry. The spread is that of the worst cell of the row.\n", programFactor, entryBytes)
	}
	t.together(w)
}

// together writes how many times the work of one two guests, and two threads of a guest, do at
// once.
func (t *table) together(w io.Writer) {
	var works []string
	for _, row := range t.rows {
		if atOnce.MatchString(row) {
			works = with(works, atOnce.ReplaceAllString(row, ""))
		}
	}
	if len(works) == 0 {
		return
	}
	fmt.Fprint(w, "\nTwo guests, and two threads of one guest, at once, in times the work of one: by processor time, and in the time that passed. "+
		"Two threads that compute show what the machine has.\n\n"+
		"| work | mount | guests: processor | passed | threads: processor | passed |\n|---|---|---:|---:|---:|---:|\n")
	for _, work := range works {
		for _, host := range t.hosts {
			line, found := fmt.Sprintf("| %s | %s |", work, host), false
			for _, who := range []string{"guests: ", "threads: "} {
				one, two := cell{"1 " + who + work, host}, cell{"2 " + who + work, host}
				if len(t.cells[one]) == 0 || len(t.cells[two]) == 0 {
					line += " | |"
					continue
				}
				line, found = line+fmt.Sprintf(" %.2f | %.2f |",
					2*slices.Min(t.cells[one])/slices.Min(t.cells[two]), slices.Min(t.passed[one])/slices.Min(t.passed[two])), true
			}
			if found {
				fmt.Fprintln(w, line)
			}
		}
	}
}

// grouped writes a number with commas between thousands.
func grouped(ns float64) string {
	s := strconv.FormatFloat(ns, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
