package gooverlay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An overlay names the files of GOROOT that it replaces.
func TestWrite(t *testing.T) {
	g, err := Installed(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := Write(g, file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &overlay); err != nil {
		t.Fatal(err)
	}
	for name := range edits {
		changed := overlay.Replace[filepath.Join(g.Root, "src", "runtime", name)]
		source, err := os.ReadFile(changed)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "package runtime") {
			t.Errorf("%s is not a source of the runtime", changed)
		}
	}
}

// A Go whose scheduler is written otherwise is refused, by name and place, and nothing is written.
func TestWriteRefuses(t *testing.T) {
	g, err := Installed(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	other := Go{Root: t.TempDir(), Version: "go1.99"}
	runtime := filepath.Join(other.Root, "src", "runtime")
	if err := os.MkdirAll(runtime, 0o777); err != nil {
		t.Fatal(err)
	}
	for name := range edits {
		source, err := os.ReadFile(filepath.Join(g.Root, "src", "runtime", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(source), "func gopreempt_m(gp *g) {", "func gopreempt_m(gp *g, why int) {", 1)
		if err := os.WriteFile(filepath.Join(runtime, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	err = Write(other, file)
	if err == nil || !strings.Contains(err.Error(), "go1.99") || !strings.Contains(err.Error(), "gopreempt_m is not written as in Go 1.26") {
		t.Errorf("error %v, want one that names the version and the place", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an overlay was written")
	}
	if _, err := Installed(t.Context(), filepath.Join(other.Root, "no-go")); err == nil {
		t.Error("a go command that is not there has sources")
	}
}
