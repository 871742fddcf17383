package usercache

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// Code that one version of wazero compiled is never what another one finds.
func TestForTests(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	got := ForTests()
	if below, err := filepath.Rel(dir, got); err != nil || !strings.HasPrefix(filepath.ToSlash(below), "tests/wazero@v") {
		t.Errorf("%s, %v: want a directory for the version of wazero below %s", got, err, dir)
	}
	t.Setenv(Variable, "off")
	if got := ForTests(); got != "" {
		t.Errorf("%s, want none where nothing is kept", got)
	}
}

func TestVersionOf(t *testing.T) {
	if got := versionOf(sourceOf(wazero.NewRuntime)); !strings.HasPrefix(got, "wazero@v1.") {
		t.Errorf("%q", got)
	}
	for file, want := range map[string]string{
		"/home/a/go/pkg/mod/github.com/tetratelabs/wazero@v1.12.0/runtime.go": "wazero@v1.12.0",
		"github.com/tetratelabs/wazero@v1.13.0-rc.1/runtime.go":               "wazero@v1.13.0-rc.1",
		"/home/a/main/vendor/github.com/tetratelabs/wazero/runtime.go":        "",
		"/home/a/wazero/runtime.go":                                           "",
		"":                                                                    "",
	} {
		if got := versionOf(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}
