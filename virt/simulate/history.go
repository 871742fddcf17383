package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Operation is one operation of a client on the system, with its times and its value.
type Operation struct {
	// Client did it on Key. Keys are independent of each other.
	Client, Key string
	// Write is true if the operation sets Key to Value, and false if it has read Value.
	Write bool
	Value string
	// Call and Return are times since the start of the run, to the nanosecond.
	Call, Return time.Duration
	// Unknown is true if the operation got no answer. Such a read is ignored. Such a write may take
	// effect at any time after Call, or never.
	Unknown bool
}

// String returns the operation in one line.
func (o Operation) String() string { return o.Client + " " + o.what() }

func (o Operation) what() string {
	what := fmt.Sprintf("reads %s: %q", o.Key, o.Value)
	if o.Write {
		what = fmt.Sprintf("writes %s = %q", o.Key, o.Value)
	}
	if o.Unknown {
		what += ", and gets no answer"
	}
	return fmt.Sprintf("%s (called at %.4fs)", what, o.Call.Seconds())
}

// CheckRegisters checks that operations are linearizable. Each key is a register, "" at the start.
// For each key there must be an order of the operations, each placed between its call and its
// return, in which each read returns the value that was written last. Errors: [*HistoryError].
//
// It is the algorithm of Wing and Gong with Lowe's memory of visited states. Its time grows with
// the number of operations that overlap: a thousand operations of a handful of clients take
// milliseconds.
func CheckRegisters(history []Operation) error {
	keys := map[string][]Operation{}
	for _, o := range history {
		if !o.Unknown || o.Write {
			keys[o.Key] = append(keys[o.Key], o)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		ops := keys[key]
		slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
		if linearizable(ops) {
			continue
		}
		// The first operation whose return cannot be explained: those that had not returned by then
		// may yet have any effect.
		ends := slices.Clone(ops)
		slices.SortStableFunc(ends, func(a, b Operation) int { return cmp.Compare(a.Return, b.Return) })
		i, _ := slices.BinarySearchFunc(ends, true, func(o Operation, _ bool) int {
			if linearizable(until(ops, o.Return)) {
				return -1
			}
			return 0
		})
		return &HistoryError{Operation: ends[min(i, len(ends)-1)]}
	}
	return nil
}

// HistoryError says that operations are not linearizable.
type HistoryError struct {
	// Operation is the first that cannot be explained: the operations that returned before it are
	// linearizable.
	Operation Operation
}

// Error implements error.
func (e *HistoryError) Error() string {
	o := e.Operation
	return fmt.Sprintf("not linearizable: no order of the operations on %s explains that %s %s and returns at %.4fs", o.Key, o.Client, o.what(), o.Return.Seconds())
}

// until is what was known at a time: operations that had not returned are unknown.
func until(ops []Operation, at time.Duration) []Operation {
	var known []Operation
	for _, o := range ops {
		if o.Return > at {
			o.Unknown = true
		}
		if o.Call <= at && (o.Write || !o.Unknown) {
			known = append(known, o)
		}
	}
	return known
}

// linearizable reports whether there is an order of operations on one register, which are sorted by
// their calls.
func linearizable(ops []Operation) bool {
	r := register{ops: ops, done: make([]byte, (len(ops)+7)/8), seen: map[string]bool{}}
	for _, o := range ops {
		if !o.Unknown {
			r.left++
		}
	}
	return r.search(0, "")
}

// register is the search for an order of the operations on one.
type register struct {
	ops  []Operation // by Call
	done []byte      // a bit for each that has taken effect
	left int         // how many have to, and have not
	seen map[string]bool
}

func (r *register) has(i int) bool { return r.done[i/8]&(1<<(i%8)) != 0 }
func (r *register) flip(i int)     { r.done[i/8] ^= 1 << (i % 8) }

// search reports whether the operations that have not taken effect, of which first is the first,
// can do so from a value on.
func (r *register) search(first int, value string) bool {
	if r.left == 0 {
		return true
	}
	for r.has(first) {
		first++
	}
	state := string(r.done) + value
	if r.seen[state] {
		return false
	}
	r.seen[state] = true
	// What takes effect next was called before any that has not taken effect returned.
	limit := time.Duration(math.MaxInt64)
	for i := first; i < len(r.ops) && r.ops[i].Call <= limit; i++ {
		if !r.has(i) && !r.ops[i].Unknown {
			limit = min(limit, r.ops[i].Return)
		}
	}
	for i := first; i < len(r.ops) && r.ops[i].Call <= limit; i++ {
		o := r.ops[i]
		if r.has(i) || !o.Write && o.Value != value {
			continue
		}
		next := value
		if o.Write {
			next = o.Value
		}
		known := 0
		if !o.Unknown {
			known = 1
		}
		r.flip(i)
		r.left -= known
		if r.search(first, next) {
			return true
		}
		r.left += known
		r.flip(i)
	}
	return false
}
