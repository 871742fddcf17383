package main

import (
	"bytes"
	"regexp"
	"testing"
)

func TestExplore(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^seed \d+, once more: exit 1$`).Match(out.Bytes()) {
		t.Errorf("the race was not found again:\n%s", out.String())
	}
}
