package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestThreads(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for text, times := range map[string]int{
		"17984 primes below 200000, with 9 threads\n": 2,
		"17984 primes below 200000, with 3 threads\n": 1,
		"17984 primes below 200000, with 1 threads\n": 1,
		"exited; at most 9 threads at once":           2,
		"deadlocked; at most 3 threads at once":       1,
		"waits in":                                    2,
		".work(i32)":                                  1,
	} {
		if n := strings.Count(out.String(), text); n < times {
			t.Errorf("%q is there %d times, want %d:\n%s", text, n, times, out.String())
		}
	}
}
