package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// suiteCase is what the suite expects of one of its tests: the form of its JSON files.
type suiteCase struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Root     string            `json:"root"`
	ExitCode int               `json:"exit_code"`
	Stdout   *string           `json:"stdout"`
	Stderr   *string           `json:"stderr"`
}

// TestSuite runs the official preview1 suite, from the directory WASI_TESTSUITE that holds its prebuilt tests, through
// the command, with each kind of writable mount.
func TestSuite(t *testing.T) {
	root := os.Getenv("WASI_TESTSUITE")
	if root == "" {
		t.Skip("WASI_TESTSUITE names no directory with the official suite: NOT RUN")
	}
	var tests []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".wasm") && filepath.Base(filepath.Dir(path)) == "wasm32-wasip1" {
			tests = append(tests, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) == 0 {
		t.Fatal("no test of the suite below the directory given")
	}
	for _, kind := range []string{"mem", "dir", "overlay"} {
		t.Run(kind, func(t *testing.T) {
			passed := 0
			for _, wasm := range tests {
				if t.Run(strings.TrimSuffix(filepath.Base(wasm), ".wasm"), func(t *testing.T) { runSuiteCase(t, wasm, kind) }) {
					passed++
				}
			}
			t.Logf("%d of %d", passed, len(tests))
		})
	}
}

func runSuiteCase(t *testing.T, wasm, kind string) {
	var want suiteCase
	text, err := os.ReadFile(strings.TrimSuffix(wasm, ".wasm") + ".json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	args := []string{"run"}
	if want.Root != "" {
		// A copy: dir is there to be changed, and overlay must show that it is not.
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(filepath.Dir(wasm), want.Root))); err != nil {
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
	for k, v := range want.Env {
		args = append(args, "-env", k+"="+v)
	}
	// A standard input that nobody writes to: the suite has tests that are to be ended while they read it.
	idle, typing := io.Pipe()
	defer typing.Close()
	var stdout, stderr bytes.Buffer
	code, err := run(context.Background(), append(append(args, wasm), want.Args...), idle, &stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if code != want.ExitCode {
		t.Errorf("exit status %d, want %d\n%s%s", code, want.ExitCode, stdout.String(), stderr.String())
	}
	if want.Stdout != nil && stdout.String() != *want.Stdout {
		t.Errorf("standard output %q, want %q", stdout.String(), *want.Stdout)
	}
	if want.Stderr != nil && stderr.String() != *want.Stderr {
		t.Errorf("standard error %q, want %q", stderr.String(), *want.Stderr)
	}
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
