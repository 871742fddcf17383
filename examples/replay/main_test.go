package main

import (
	"bytes"
	"regexp"
	"testing"
)

func TestReplay(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^drew 2[0-9][0-9]$`, `(?m)^trap: unreachable`, `(?m)^a .*random_get`, `(?m)^b .*random_get`} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("nothing matches %s:\n%s", want, out.String())
		}
	}
}
