package virt

import (
	"fmt"
	"strings"
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
	at := 0
	for _, p := range f.Params {
		n := 1
		if p.Kind.pair() {
			n = 2
		}
		for range n {
			if at > 0 {
				b.WriteString(", ")
			}
			form := "%s=%d"
			if !p.Kind.value() && names[at] == p.Name {
				form = "%s=%#x"
			}
			fmt.Fprintf(&b, form, names[at], args[at])
			at++
		}
	}
	return b.String() + ")"
}

// describeName is the name of the function in row i.
func describeName(i int) string {
	switch {
	case i == hostedRow:
		return "a function of the embedder"
	case i >= rows:
		return "memory." + kernel[i-rows].name
	}
	return row(i).Name
}

// describe tells of an event in one line, without what a call answered.
func (d *script) describe(e *event) string {
	switch {
	case e.call():
		return describeCall(e.row, e.args[:e.width])
	case e.op == opEnd:
		return "the end of a call"
	case e.op == opSwitch:
		return fmt.Sprintf("a switch to thread %d, at call %d with fuel %d", e.to, e.entries, e.fuel)
	case e.op == opHosted:
		return describeHosted(e.name, e.values) + " of the embedder"
	case e.op == opExport:
		return fmt.Sprintf("the export %s is called with %v", e.name, e.values)
	case e.op == opReturned:
		return fmt.Sprintf("the export returns %v", e.values)
	case e.op == opWrote:
		return fmt.Sprintf("host code writes %d bytes at %#x", e.at.Len, e.at.Ptr)
	case e.op == opRefused:
		return fmt.Sprintf("memory is not to grow to %d bytes", e.size)
	case e.op == opFuel:
		return fmt.Sprintf("fuel for %d instructions", e.size)
	case e.op == opFinish:
		return fmt.Sprintf("the end: %v, at call %d with fuel %d", &e.result, e.entries, e.fuel)
	}
	return fmt.Sprintf("event %#x", uint8(e.op))
}
