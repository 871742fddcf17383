package explore

import (
	"debug/dwarf"
	"testing"
)

// A place in a variable is named by its type. Types that contain themselves end nothing.
func TestPartsOfVariables(t *testing.T) {
	word := &dwarf.IntType{BasicType: dwarf.BasicType{CommonType: dwarf.CommonType{ByteSize: 4}}}
	pair := &dwarf.StructType{CommonType: dwarf.CommonType{ByteSize: 8}, Field: []*dwarf.StructField{{Name: "done", Type: word}, {Name: "next", Type: word, ByteOffset: 4}}}
	named := &dwarf.TypedefType{Type: &dwarf.QualType{Qual: "volatile", Type: pair}}
	array := &dwarf.ArrayType{Type: named, Count: 3}
	endless := &dwarf.ArrayType{Count: 2}
	endless.Type = endless
	typedef := &dwarf.TypedefType{}
	typedef.Type = typedef
	within := &dwarf.StructType{CommonType: dwarf.CommonType{ByteSize: 8}}
	within.Field = []*dwarf.StructField{{Name: "a", Type: within}}
	for _, c := range []struct {
		of     dwarf.Type
		offset uint64
		want   string
	}{
		{nil, 0, ""}, {nil, 8, "+8"}, {word, 0, ""}, {word, 1, "+1"}, {pair, 4, ".next"}, {named, 0, ".done"}, {array, 12, "[1].next"}, {array, 17, "[2].done+1"},
		{endless, 8, "+8"}, {typedef, 8, "+8"}, {&dwarf.ArrayType{Count: 3}, 4, "+4"},
	} {
		if got := part(c.of, c.offset); got != c.want {
			t.Errorf("offset %d in %v: %q, want %q", c.offset, c.of, got, c.want)
		}
	}
	if got := part(within, 4); len(got) > 100 {
		t.Errorf("a struct within itself: %q", got)
	}
}
