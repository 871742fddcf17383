package goguest

import (
	"bytes"
	"testing"
)

// A guest is the same at each commit that its sources are the same at.
func TestBuildNamesNoCommit(t *testing.T) {
	t.Setenv("GOFLAGS", "-buildvcs=true")
	wasm, err := Build(t.Context(), "../../virt/testdata/go/hello")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wasm, []byte("vcs.revision")) {
		t.Error("the guest names the commit it was built at")
	}
}
