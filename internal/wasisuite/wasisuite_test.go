package wasisuite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"c/wasm32-wasip1/plain.wasm":     "",
		"rust/wasm32-wasip1/files.wasm":  "",
		"rust/wasm32-wasip1/files.json":  `{"args":["fs"],"env":{"A":"b"},"root":"fs.dir","exit_code":3,"stdout":""}`,
		"rust/wasm32-wasip3/newer.wasm":  "",
		"rust/wasm32-wasip1/fs.dir/file": "",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c, rust := filepath.Join(root, "c", "wasm32-wasip1"), filepath.Join(root, "rust", "wasm32-wasip1")
	want := []Test{
		{Name: "plain", Path: filepath.Join(c, "plain.wasm")},
		{
			Name: "files", Path: filepath.Join(rust, "files.wasm"), Args: []string{"fs"}, Env: map[string]string{"A": "b"},
			Root: filepath.Join(rust, "fs.dir"), ExitCode: 3, Stdout: new(string),
		},
	}
	got, err := read(root, "wasm32-wasip1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// A folder of tests under another name holds them directly.
	got, err = read(rust, "wasm32-wasip0")
	if d := cmp.Diff(want[1:], got); err != nil || d != "" {
		t.Errorf("directly in the directory given: %v (-want +got):\n%s", err, d)
	}
	if err := os.WriteFile(filepath.Join(c, "plain.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := read(root, "wasm32-wasip1"); err == nil {
		t.Error("a broken specification is no error")
	}
}
