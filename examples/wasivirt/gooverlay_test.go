package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoOverlayCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overlay.json")
	var out bytes.Buffer
	status, err := run(t.Context(), []string{"go-overlay", "-o", file}, nil, &out, &out)
	if status != 0 || err != nil || !strings.Contains(out.String(), "go build -overlay") {
		t.Errorf("status %d, error %v, output %q", status, err, out.String())
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{}, {"-o", file, "x"}, {"-o", file, "-go", filepath.Join(t.TempDir(), "go")}} {
		if status, err := run(t.Context(), append([]string{"go-overlay"}, args...), nil, &out, &out); status != exitHost || err == nil {
			t.Errorf("%q: status %d, error %v, want an error", args, status, err)
		}
	}
}
