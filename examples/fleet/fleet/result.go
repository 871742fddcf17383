package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// Result is how a job ended. It depends on the job alone: never on the worker, the time or the
// number of tries.
type Result struct {
	// Text is the end in one line, such as "exit 0", "trap: unreachable" or "out of fuel". Of an
	// exploration it is the number of runs and outcomes.
	Text string `json:"text"`
	// Exit is the exit code a shell would see: the guest's own, 128+n after signal n, 134 after a
	// trap, 123 after a deadlock, 137 after a budget ran out.
	Exit uint32 `json:"exit"`
	// Stdout and Stderr hold the output up to 32 KiB each.
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	// StdoutObject and StderrObject are the hashes of larger outputs. Stdout and Stderr are then
	// empty.
	StdoutObject string `json:"stdout_object,omitempty"`
	StderrObject string `json:"stderr_object,omitempty"`
	// Tree is the hash of the tar that [Job.Export] asked for.
	Tree string `json:"tree,omitempty"`
	// Hash identifies everything that passed between the guest and its world, in hexadecimal
	// digits.
	Hash string `json:"hash,omitempty"`
	// Outcomes are the ways in which the runs of an exploration ended, the most frequent first.
	Outcomes []Outcome `json:"outcomes,omitempty"`
}

// Outcome is one way in which the runs of an exploration ended.
type Outcome struct {
	// What is "exit N", "trap KIND", "deadlock" and so on.
	What string `json:"what"`
	// Output identifies the output, in hexadecimal digits.
	Output string `json:"output"`
	// Seeds is the number of seeds that ended so, and Seed the lowest of them.
	Seeds int    `json:"seeds"`
	Seed  uint64 `json:"seed"`
	// By is the number of seeds that each strategy had among them.
	By map[string]int `json:"by,omitempty"`
}

// Finished is a result with what is known of the run. The facts beside the Result differ from run
// to run.
type Finished struct {
	ID     string `json:"id"`
	Job    Job    `json:"job"`
	Result Result `json:"result"`
	// Worker ran the job.
	Worker string `json:"worker"`
	// Tries is the number of times the job was handed to a worker.
	Tries uint64 `json:"tries"`
	// Milliseconds is what the last try took.
	Milliseconds int64 `json:"milliseconds"`
}

// Aside is a job that was set aside because no worker could finish it.
type Aside struct {
	ID     string `json:"id"`
	Job    Job    `json:"job"`
	Reason string `json:"reason"`
	Tries  uint64 `json:"tries"`
}

// Difference is a job for which two workers gave different results.
type Difference struct {
	ID string `json:"id"`
	// First is the result that counts. Second is the other one.
	First  Side `json:"first"`
	Second Side `json:"second"`
}

// Side is one side of a Difference.
type Side struct {
	Worker string `json:"worker"`
	Result Result `json:"result"`
	// Recording is the hash of the run's recording, for wasivirt diff. It is empty if the run was
	// not recorded: explorations never are, other jobs are if they are in the verified share.
	Recording string `json:"recording,omitempty"`
}

// same reports whether two results are equal.
func same(a, b Result) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// merge adds the outcomes of one range of seeds to those of others.
func merge(all, more []Outcome) []Outcome {
	for _, m := range more {
		i := slices.IndexFunc(all, func(o Outcome) bool { return o.What == m.What && o.Output == m.Output })
		if i < 0 {
			all = append(all, m)
			continue
		}
		all[i].Seeds += m.Seeds
		all[i].Seed = min(all[i].Seed, m.Seed)
		by := maps.Clone(all[i].By)
		for strategy, n := range m.By {
			if by == nil {
				by = map[string]int{}
			}
			by[strategy] += n
		}
		all[i].By = by
	}
	sortOutcomes(all)
	return all
}

// sortOutcomes puts the most frequent outcome first.
func sortOutcomes(all []Outcome) {
	slices.SortFunc(all, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(b.Seeds, a.Seeds), cmp.Compare(a.Seed, b.Seed))
	})
}
