package doccheck

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// maxNames is how many exported names of top level a package may have, so that a reader can survey
// it. wasip1 has the names of the binary interface.
const maxNames = 130

// TestNumberOfNames finds packages that export too much.
func TestNumberOfNames(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "internal" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		n := 0
		names, pkg := exportedOf(t, path)
		for _, name := range names {
			if !strings.Contains(name, ".") {
				n++
			}
		}
		if n > maxNames && pkg != "wasip1" {
			t.Errorf("%s exports %d names of top level, want at most %d", path, n, maxNames)
		}
		if pkg != "" {
			t.Logf("%3d %s", n, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
