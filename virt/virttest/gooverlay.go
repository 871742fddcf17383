package virttest

import (
	"path/filepath"
	"testing"

	"github.com/wasivirt/wasivirt/internal/gooverlay"
)

// GoOverlay writes an overlay for the go command on the PATH and returns its file. A guest built
// with it draws the order of its goroutines from the Host's seed, so that runs over seeds find what
// depends on that order:
//
//	wasm := virttest.Build(t, "./guest", "-overlay", virttest.GoOverlay(t))
//	virttest.Explore(t, explore.Config{Wasm: wasm, Last: 1000})
//
// It fails t if the sources of that version of Go are not those that it knows how to change.
func GoOverlay(t testing.TB) string {
	t.Helper()
	g, err := gooverlay.Installed(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := gooverlay.Write(g, file); err != nil {
		t.Fatal(err)
	}
	return file
}
