package main

import (
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// The guest sleeps across the end of a year, and an hour has passed for it.
func TestFaketime(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, virt.WithInterpreter()); err != nil {
		t.Fatal(err)
	}
	want := "it is 1999-12-31 23:30:00\nit is 2000-01-01 00:30:00\nexit 0: 1h0m0s passed for the guest, "
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed\n%swant first\n%s", &out, want)
	}
}
