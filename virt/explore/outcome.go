package explore

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// Report is what [Run] found.
type Report struct {
	// Runs is the number of runs.
	Runs int
	// Outcomes are the ways in which they ended, the most frequent first.
	Outcomes []*Outcome
	// Fuel is the number of instructions that a run was allowed to take.
	Fuel uint64
	// Proof tells how far a systematic exploration came; else nil.
	Proof *Proof
	// State continues a systematic exploration: see [Config.State].
	State []byte

	punctual bool // timers were
}

// Clean reports whether every seed ended alike, and with exit code 0.
func (r *Report) Clean() bool { return len(r.Outcomes) == 1 && r.Outcomes[0].Result.Success() }

// Outcome is one way in which runs ended.
type Outcome struct {
	// What is "exit N", "signal NAME", "trap KIND", "deadlock", "out of BUDGET" or "failed".
	What string
	// Output is a hash of what was written to standard output and error, in order.
	Output [8]byte
	// Seeds is the number of seeds with this outcome. Seed is the lowest of them.
	Seeds int
	Seed  uint64
	// By counts the seeds by the strategy of the [Portfolio] that ran them.
	By map[string]int
	// Plan is the schedule of the run of Seed, if that run was varied and no unvaried seed has this
	// outcome; see [Config.Guided].
	Plan sched.Plan
	// Order is the thread of each step, in a systematic exploration: the schedule with the fewest
	// preemptions that has this outcome. Seed is then the seed of all schedules.
	Order []uint32
	// Result and Text are the end and the output, up to 64 KiB, of the run of the lowest seed. The
	// 50 most frequent outcomes have a Text.
	Result *virt.Result
	Text   string
	// Schedule is the shortest schedule found that has this outcome. It is nil if Run did not look
	// for it; see [MaxShrunk].
	Schedule *Schedule
}

// String returns the outcome in one line.
func (o *Outcome) String() string {
	s := fmt.Sprintf("%d seeds: %s, output %x, lowest seed %d", o.Seeds, o.What, o.Output, o.Seed)
	if o.Schedule != nil {
		s += fmt.Sprintf(", %d of %d switches needed", len(o.Schedule.Switches), o.Schedule.Before)
	}
	return s
}

// varied is the schedule that was found, where it is none of a seed by itself.
func (o *Outcome) varied(punctual bool) *Schedule {
	if o.Plan == nil {
		return nil
	}
	return &Schedule{Seed: o.Seed, Plan: o.Plan, Punctual: punctual}
}

// key tells outcomes apart.
type key struct {
	what   string
	output [8]byte
}

// ran is how one run ended.
type ran struct {
	key
	result *virt.Result
	text   []byte
	fuel   uint64
}

// describe is how a result counts: addresses, stacks and texts of errors are left out, because they
// differ where the outcome does not.
func describe(r *virt.Result) string {
	switch r.Outcome {
	case virt.Trapped:
		return "trap " + r.Trap.Kind.String()
	case virt.Deadlocked:
		return "deadlock"
	case virt.Failed:
		return "failed"
	}
	return r.String()
}

// report puts the outcomes in order.
func (e *explorer) report() *Report {
	r := &Report{Fuel: e.Fuel, Proof: e.proof, punctual: e.PunctualTimers}
	for _, o := range e.outcomes {
		r.Runs += o.Seeds
		r.Outcomes = append(r.Outcomes, o)
	}
	slices.SortFunc(r.Outcomes, func(a, b *Outcome) int {
		return cmp.Or(cmp.Compare(b.Seeds, a.Seeds), cmp.Compare(a.Seed, b.Seed))
	})
	return r
}

// MaxShrunk is the largest number of outcomes whose shortest schedule Run looks for. It begins with
// one outcome of each kind of end, then takes the most frequent.
const MaxShrunk = 16

// worthShrinking are the outcomes of which the shortest schedule is looked for.
func worthShrinking(all []*Outcome) []*Outcome {
	ends := map[string]bool{}
	var first, rest []*Outcome
	for _, o := range all {
		if ends[o.What] {
			rest = append(rest, o)
		} else {
			first = append(first, o)
		}
		ends[o.What] = true
	}
	first = append(first, rest...)
	return first[:min(len(first), MaxShrunk)]
}

const (
	maxText  = 64 << 10 // of an output that is kept
	maxTexts = 256      // outcomes whose output is kept
	maxShown = 50       // outcomes that a report shows
)

// output takes what a guest writes to both of its streams.
type output struct {
	hash hash.Hash
	text []byte
	last byte
}

func newOutput() *output { return &output{hash: sha256.New()} }

// stream is the writer for descriptor fd.
func (o *output) stream(fd byte) io.Writer { return outputStream{o, fd} }

type outputStream struct {
	*output
	fd byte
}

func (s outputStream) Write(p []byte) (int, error) {
	if s.last != s.fd {
		s.last = s.fd
		s.hash.Write([]byte{0, s.fd})
	}
	s.hash.Write(p)
	s.text = append(s.text, p[:min(len(p), maxText-len(s.text))]...)
	return len(p), nil
}

func (o *output) sum() (sum [8]byte) {
	copy(sum[:], o.hash.Sum(nil))
	return sum
}

// Write prints the report: one line for each outcome, and how the rare ones come about. command
// returns the command that repeats a seed or, if s is not nil, a schedule of that seed; "" leaves
// it out. A nil command leaves out all of them.
func (r *Report) Write(w io.Writer, command func(seed uint64, s *Schedule) string) error {
	var b strings.Builder
	if r.Proof != nil {
		fmt.Fprintf(&b, "%v\n", r.Proof)
	}
	shown := r.Outcomes[:min(len(r.Outcomes), maxShown)]
	what, seed := 0, 0
	for _, o := range shown {
		what, seed = max(what, min(len(o.What), 28)), max(seed, len(fmt.Sprint(o.Seed)))
	}
	for _, o := range shown {
		line := fmt.Sprintf("%6d of %d (%5.1f%%)  %-*s  output %x  seed %-*d", o.Seeds, r.Runs, 100*float64(o.Seeds)/float64(r.Runs), what, o.What,
			o.Output[:4], seed, o.Seed)
		if s := o.Schedule; s != nil && s.Before > 0 {
			line += fmt.Sprintf("  %d switches, from %d", len(s.Switches), s.Before)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if rest := len(r.Outcomes) - len(shown); rest > 0 {
		fmt.Fprintf(&b, "and %d outcomes more\n", rest)
	}
	for _, o := range shown {
		if o.Result.Success() {
			continue
		}
		end, stack, more := strings.Cut(o.Result.String(), "\n")
		b.WriteString("\n" + wrapped(fmt.Sprintf("seed %d: %s", o.Seed, end)))
		if more {
			b.WriteString(stack + "\n")
		}
		if o.By != nil {
			b.WriteString(wrapped("  found by " + o.by(r.ran())))
		}
		if command != nil && o.Order == nil && (o.Plan == nil || o.Schedule == nil) {
			if again := command(o.Seed, o.varied(r.punctual)); again != "" {
				fmt.Fprintf(&b, "  run it again: %s\n", again)
			}
		}
		o.writeText(&b)
		for _, s := range o.Result.Stacks {
			fmt.Fprintf(&b, "  thread %d was in\n", s.Thread)
			for line := range strings.Lines(s.Frames) {
				fmt.Fprintf(&b, "    %s\n", visible(strings.TrimRight(line, "\n")))
			}
		}
		if o.Schedule != nil {
			s := o.Schedule
			if chance := s.chance(); chance != "" && o.Order == nil {
				b.WriteString(wrapped("  " + chance))
			}
			if s.Before == 0 {
				b.WriteString("  without a switch of threads:\n")
			} else {
				b.WriteString(wrapped(fmt.Sprintf("  with %d switches, from %d; %s:", len(s.Switches), s.Before, s.needs())))
			}
			for _, line := range s.Story.lines() {
				fmt.Fprintf(&b, "    %s\n", line)
			}
			if command != nil {
				if again := command(o.Seed, o.Schedule); again != "" {
					fmt.Fprintf(&b, "  run this schedule: %s\n", again)
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrapped breaks a text into lines of at most 80 columns. It keeps the spaces at its beginning.
func wrapped(text string) string {
	var b strings.Builder
	words := strings.Fields(text)
	line := text[:len(text)-len(strings.TrimLeft(text, " "))] + words[0]
	for _, word := range words[1:] {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "   "
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// needs says what of a schedule matters.
func (s *Schedule) needs() string {
	late := ""
	if !s.Punctual {
		late = ", and timers fire late"
	}
	switch n := len(s.Plan); {
	case n == 0:
		return "no thread has to be stopped" + late
	case n == 1 && s.Minimal:
		return "one of them is needed" + late
	case s.Minimal:
		return fmt.Sprintf("%d of them are needed", n) + late
	default:
		return fmt.Sprintf("%d of them are enough", n) + late
	}
}

// maxLines is how many lines of an outcome's output a report shows: the last ones.
const maxLines = 10

// writeText shows what the guest printed.
func (o *Outcome) writeText(b *strings.Builder) {
	lines := strings.Split(strings.TrimRight(o.Text, "\n"), "\n")
	if o.Text == "" {
		return
	}
	b.WriteString("  it printed:\n")
	if left := len(lines) - maxLines; left > 0 {
		fmt.Fprintf(b, "    … %d lines before\n", left)
		lines = lines[left:]
	}
	for _, line := range lines {
		fmt.Fprintf(b, "    %s\n", visible(line))
	}
}

// visible is text of a guest as a report shows it: without control characters, and not too long.
func visible(line string) string {
	const most = 200
	if len(line) > most {
		line = line[:most] + "…"
	}
	q := strconv.Quote(line)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// ran is how many seeds each strategy had.
func (r *Report) ran() map[string]int {
	ran := map[string]int{}
	for _, o := range r.Outcomes {
		for name, n := range o.By {
			ran[name] += n
		}
	}
	return ran
}

// chance says how likely PCT finds an outcome: a bug that needs n decisions has a depth of n+1 at
// most.
func (s *Schedule) chance() string {
	if s.Threads == 0 || s.Choices == 0 {
		return ""
	}
	seeds := float64(s.Threads)
	for range s.Plan {
		seeds *= float64(s.Choices)
	}
	return fmt.Sprintf("depth %d at most: pct:%d,%d finds it in at least one of %.3g seeds (%d threads, %d choices)",
		len(s.Plan)+1, len(s.Plan)+1, s.Choices, seeds, s.Threads, s.Choices)
}

// by tells which strategies found an outcome, those first that found it most often.
func (o *Outcome) by(ran map[string]int) string {
	names := slices.SortedFunc(maps.Keys(o.By), func(a, b string) int {
		return cmp.Or(cmp.Compare(o.By[b], o.By[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d of %d)", name, o.By[name], ran[name])
	}
	return strings.Join(names, ", ")
}
