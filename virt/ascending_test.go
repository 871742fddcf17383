package virt

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// TestAscending: data is sorted unless some of it lies over other data.
func TestAscending(t *testing.T) {
	at := func(offset uint32, text string) wasmbin.Segment {
		return wasmbin.Segment{Offset: offset, Bytes: []byte(text)}
	}
	for _, c := range []struct{ data, want []wasmbin.Segment }{
		{nil, nil},
		{[]wasmbin.Segment{at(4, "b"), at(0, "aaaa")}, []wasmbin.Segment{at(0, "aaaa"), at(4, "b")}},
		{[]wasmbin.Segment{at(3, "b"), at(0, "aaaa")}, []wasmbin.Segment{at(3, "b"), at(0, "aaaa")}},
		{[]wasmbin.Segment{at(9, "c"), at(0, "first"), at(0, "second")}, []wasmbin.Segment{at(9, "c"), at(0, "first"), at(0, "second")}},
	} {
		if got := ascending(c.data); !cmp.Equal(got, c.want) {
			t.Errorf("ascending(%v) is %v, want %v", c.data, got, c.want)
		}
	}
}
