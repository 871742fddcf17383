package virt

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

// describeCall tells of a call in one line.
func describeCall(i int, args []uint64) string {
	var b strings.Builder
	if i >= rows {
		k := &kernel[i-rows]
		fmt.Fprintf(&b, "memory.%s(", k.name)
		for n, a := range args {
			if n > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d", a)
		}
		return b.String() + ")"
	}
	f := row(i)
	_, _, names := f.signature()
	fmt.Fprintf(&b, "%s(", f.Name)
	for at, p := range f.All() {
		pair := at + 1
		if p.Kind.Pair() {
			pair++
		}
		for ; at < pair; at++ {
			if at > 0 {
				b.WriteString(", ")
			}
			form := "%s=%d"
			if !p.Kind.Value() && names[at] == p.Name {
				form = "%s=%#x"
			}
			fmt.Fprintf(&b, form, names[at], args[at])
		}
	}
	return b.String() + ")"
}

// describeName is the name of the function in row i.
func describeName(i int) string {
	switch {
	case i == recording.HostedRow:
		return "a function of the embedder"
	case i >= rows:
		return "memory." + kernel[i-rows].name
	}
	return row(i).Name
}

// describe tells of an event in one line, without what a call answered.
func describe(e *recording.Event) string {
	switch {
	case e.Call():
		return describeCall(e.Row, e.Args[:e.Width])
	case e.Op == recording.End:
		return "the end of a call"
	case e.Op == recording.Switch:
		return fmt.Sprintf("a switch to thread %d, at call %d with fuel %d", e.To, e.Entries, e.Fuel)
	case e.Op == recording.Hosted:
		return describeHosted(e.Name, e.Values) + " of the embedder"
	case e.Op == recording.Export:
		return fmt.Sprintf("the export %s is called with %v", e.Name, e.Values)
	case e.Op == recording.Returned:
		return fmt.Sprintf("the export returns %v", e.Values)
	case e.Op == recording.Wrote:
		return fmt.Sprintf("host code writes %d bytes at %#x", e.At.Len, e.At.Ptr)
	case e.Op == recording.Refused:
		return fmt.Sprintf("memory is not to grow to %d bytes", e.Size)
	case e.Op == recording.Fuel:
		return fmt.Sprintf("fuel for %d instructions", e.Size)
	case e.Op == recording.Finish:
		return fmt.Sprintf("the end: %v, at call %d with fuel %d", resultOfEnding(&e.Ending), e.Entries, e.Fuel)
	}
	return fmt.Sprintf("event %#x", uint8(e.Op))
}
