package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlugins(t *testing.T) {
	want := ""
	for _, name := range []string{"C", "Go", "AssemblyScript", "Rust"} {
		want += name + `: "nigulp a", 4 words, the longest is "longest"; error: nothing to reverse` + "\n"
	}
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
