package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Job is one run of a module, or one range of seeds to explore. Two Jobs that are equal have the
// same ID and are run once.
type Job struct {
	// Module is the hash of the module, as [Client.Put] returns it.
	Module string `json:"module"`
	// Tree is the hash of a tar that becomes the guest's "/". Default: an empty tree.
	Tree string `json:"tree,omitempty"`
	// Args are the arguments after the program name.
	Args []string `json:"args,omitempty"`
	// Env holds entries of the form NAME=VALUE. Default: an empty environment.
	Env []string `json:"env,omitempty"`
	// Stdin is the hash of standard input. Default: standard input is at its end.
	Stdin string `json:"stdin,omitempty"`
	// Seed decides randomness and the order of threads.
	Seed uint64 `json:"seed,omitempty"`
	// Seeds, if set, makes the job an exploration of all seeds from First to Last. Seed is then
	// ignored, and so are Stdin and Export.
	Seeds *Range `json:"seeds,omitempty"`
	// Export is a path in the guest, such as "/out". The tree below it is kept as a tar
	// ([Result.Tree]). Default: nothing is kept.
	Export string `json:"export,omitempty"`
	// Limits bound the run.
	Limits Limits `json:"limits"`
}

// Range is a range of seeds, both ends included.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Limits bound one run. They are part of the job because a limit can change how a run ends. The
// zero value of a field means the default.
type Limits struct {
	// Fuel is the number of instructions. Default: 1,000,000,000.
	Fuel uint64 `json:"fuel,omitempty"`
	// Memory is in bytes. Default: 256 MiB.
	Memory uint64 `json:"memory,omitempty"`
	// Disk is in bytes, for all files that the run writes. Default: 64 MiB.
	Disk uint64 `json:"disk,omitempty"`
	// Output is in bytes, for standard output and error together. Default: 1 MiB.
	Output uint64 `json:"output,omitempty"`
	// Threads is the number of threads besides the first. Default: none for a run, 64 for an
	// exploration.
	Threads int `json:"threads,omitempty"`
}

// withDefaults returns the limits with the defaults filled in.
func (l Limits) withDefaults() Limits {
	if l.Fuel == 0 {
		l.Fuel = 1_000_000_000
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.Disk == 0 {
		l.Disk = 64 << 20
	}
	if l.Output == 0 {
		l.Output = 1 << 20
	}
	return l
}

// memory is how much memory a run can make a worker take, in bytes: files are in memory too, with
// their names, and so is output. It is at most math.MaxInt64.
func (l Limits) memory() uint64 {
	l = l.withDefaults()
	sum := uint64(0)
	for _, n := range []uint64{l.Memory, l.Disk, l.Disk, l.Output} {
		sum = min(sum+min(n, math.MaxInt64), math.MaxInt64)
	}
	return sum
}

// hashOf returns the SHA-256 of b in hexadecimal digits.
func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ID identifies the job. It is GROUP.HASH: GROUP is the same for all jobs that differ in the seed
// only.
func (j Job) ID() string {
	return j.group() + "." + j.hash()
}

func (j Job) hash() string {
	b, err := json.Marshal(j)
	if err != nil {
		panic("fleet: a Job holds only what JSON can: " + err.Error())
	}
	return hashOf(b)
}

// group is the part of the ID that does not depend on the seed.
func (j Job) group() string {
	j.Seed = 0
	if j.Seeds != nil {
		j.Seeds = &Range{}
	}
	return j.hash()[:16]
}

// maxText bounds the arguments and the environment of a job, in bytes: a job, its result and its
// entry among those set aside each have to fit into a message.
const maxText = 256 << 10

// Validate reports the first mistake in the job.
func (j Job) Validate() error {
	text := len(j.Export)
	for _, s := range append(slices.Clip(j.Args), j.Env...) {
		text += len(s) + 1
	}
	switch {
	case text > maxText:
		return fmt.Errorf("job: arguments, environment and export have %d bytes, and may have %d: send more in the tree or in standard input", text, maxText)
	case !isHash(j.Module):
		return fmt.Errorf("job: module %q is no hash: store the module with Put and give the hash that it returns", j.Module)
	case j.Tree != "" && !isHash(j.Tree):
		return fmt.Errorf("job: tree %q is no hash: store a tar with Put and give the hash that it returns", j.Tree)
	case j.Stdin != "" && !isHash(j.Stdin):
		return fmt.Errorf("job: stdin %q is no hash: store the input with Put and give the hash that it returns", j.Stdin)
	case j.Seeds != nil && j.Seeds.Last < j.Seeds.First:
		return fmt.Errorf("job: no seeds from %d to %d: the first is above the last", j.Seeds.First, j.Seeds.Last)
	case j.Export != "" && !strings.HasPrefix(j.Export, "/"):
		return fmt.Errorf("job: export %q: want an absolute path of the guest, such as /out", j.Export)
	case j.Limits.Threads < 0:
		return errors.New("job: a negative number of threads")
	}
	for _, e := range j.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("job: environment entry %q: want NAME=VALUE", e)
		}
	}
	return nil
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}

// isID reports whether s has the form of a job's ID.
func isID(s string) bool {
	group, hash, ok := strings.Cut(s, ".")
	if _, err := hex.DecodeString(group); err != nil || len(group) != 16 || !ok {
		return false
	}
	return isHash(hash)
}
