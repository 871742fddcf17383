// Package wasisuite reads the official test suites of WASI: modules, each with a JSON file beside
// it that says how it is run and how it has to end.
package wasisuite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Test is one test of a suite.
type Test struct {
	Name string // of the module, without ".wasm"
	Path string // of the module

	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
	// Root is the directory that the guest sees as its root, "" if it is to see none. The guest
	// changes it.
	Root     string `json:"root"`
	ExitCode uint32 `json:"exit_code"`
	// Stdout and Stderr are what it has to print, nil if that does not matter.
	Stdout *string `json:"stdout"`
	Stderr *string `json:"stderr"`
}

// Load returns the tests in all directories of the name dir below the one that the environment
// variable env names, or, where there are none, those that stand directly in it: a folder of tests
// may have been copied under another name. It skips t if env is not set.
func Load(t *testing.T, env, dir string) []Test {
	t.Helper()
	root := os.Getenv(env)
	if root == "" {
		t.Skip(env + " names no directory with the official suite: NOT RUN")
	}
	tests, err := read(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) == 0 {
		t.Fatalf("%s=%s holds no .wasm file, nor does a directory %s below it: name the directory with the suite's prebuilt tests", env, root, dir)
	}
	return tests
}

func read(root, dir string) (tests []Test, err error) {
	var beside []Test // directly in root
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		in := filepath.Dir(path)
		if err != nil || filepath.Ext(path) != ".wasm" || filepath.Base(in) != dir && in != filepath.Clean(root) {
			return err
		}
		t, err := describe(path)
		if filepath.Base(in) == dir {
			tests = append(tests, t)
		} else {
			beside = append(beside, t)
		}
		return err
	})
	if tests == nil {
		tests = beside
	}
	return tests, err
}

// describe reads what stands beside a module.
func describe(path string) (Test, error) {
	stem := strings.TrimSuffix(path, ".wasm")
	t := Test{Name: filepath.Base(stem), Path: path}
	text, err := os.ReadFile(stem + ".json")
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Test{}, fmt.Errorf("%s.json: %w", stem, err)
	}
	if t.Root != "" {
		t.Root = filepath.Join(filepath.Dir(path), t.Root)
	}
	return t, nil
}

// Check compares how a test ended with how it has to.
func (w *Test) Check(t *testing.T, exitCode uint32, stdout, stderr string) {
	t.Helper()
	for _, d := range w.Differences(exitCode, stdout, stderr) {
		t.Error(d)
	}
}

// Differences says what is different between how a test ended and how it has to.
func (w *Test) Differences(exitCode uint32, stdout, stderr string) (all []string) {
	if exitCode != w.ExitCode {
		all = append(all, fmt.Sprintf("exit status %d, want %d\n%s%s", exitCode, w.ExitCode, stdout, stderr))
	}
	if w.Stdout != nil && stdout != *w.Stdout {
		all = append(all, fmt.Sprintf("standard output %q, want %q", stdout, *w.Stdout))
	}
	if w.Stderr != nil && stderr != *w.Stderr {
		all = append(all, fmt.Sprintf("standard error %q, want %q", stderr, *w.Stderr))
	}
	return all
}
