package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlugins(t *testing.T) {
	names := []string{"C", "Go", "AssemblyScript"}
	if os.Getenv("WASIVIRT_GUESTS") != "" {
		names = append(names, "Rust")
	}
	want := ""
	for _, name := range names {
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
