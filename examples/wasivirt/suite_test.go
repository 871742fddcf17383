package main

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/internal/wasisuite"
)

// TestSuite runs the official preview1 suite, from the directory WASI_TESTSUITE that holds its
// prebuilt tests, through the command, with each kind of writable mount.
func TestSuite(t *testing.T) {
	tests := wasisuite.Load(t, "WASI_TESTSUITE", "wasm32-wasip1")
	for _, kind := range []string{"mem", "dir", "overlay"} {
		t.Run(kind, func(t *testing.T) {
			passed := 0
			for _, test := range tests {
				if t.Run(test.Name, func(t *testing.T) { runSuiteTest(t, test, kind) }) {
					passed++
				}
			}
			t.Logf("%d of %d", passed, len(tests))
		})
	}
}

func runSuiteTest(t *testing.T, test wasisuite.Test, kind string) {
	args := []string{"run"}
	if test.Root != "" {
		// A copy: dir is there to be changed, and overlay must show that it is not.
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(test.Root)); err != nil {
			t.Fatal(err)
		}
		if before := treeOf(t, dir); kind != "dir" {
			defer func() {
				if after := treeOf(t, dir); after != before {
					t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
				}
			}()
		}
		args = append(args, "-mount", "/="+kind+":"+dir)
	}
	for k, v := range test.Env {
		args = append(args, "-env", k+"="+v)
	}
	// A standard input that nobody writes to: the suite has tests that are to be ended while they
	// read it.
	idle, typing := io.Pipe()
	defer typing.Close()
	var stdout, stderr bytes.Buffer
	code, err := run(context.Background(), append(append(args, test.Path), test.Args...), idle, &stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	test.Check(t, uint32(code), stdout.String(), stderr.String())
}

// treeOf describes all that is below a host directory.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text.WriteString(d.Type().String() + " " + filepath.ToSlash(name))
		switch {
		case d.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text.WriteString(" " + string(content))
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text.WriteString(" -> " + target)
		}
		text.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}
