package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// wrapperName is what the go command looks for on the PATH to run programs of GOOS=wasip1 with.
const wrapperName = "go_wasip1_wasm_exec"

// wrapperVariable is set by the wrapper: it asks for the world that the go command expects.
const wrapperVariable = "WASIVIRT_GO"

// execWrapper is the command exec-wrapper: it writes a program by which "go run" and "go test" use
// wasivirt.
func execWrapper(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	args, err := noFlags("exec-wrapper", args, stdout)
	if err != nil {
		return exitHost, err
	}
	if len(args) != 1 {
		return exitHost, fmt.Errorf("want: %s, a directory on the PATH", forms["exec-wrapper"].form)
	}
	self, err := os.Executable()
	if err != nil {
		return exitHost, err
	}
	if transient(self) {
		return exitHost, errors.New("exec-wrapper: go run does not keep this command: build it with go build or go install, and run that")
	}
	if err := os.MkdirAll(args[0], 0o777); err != nil {
		return exitHost, err
	}
	file := filepath.Join(args[0], wrapperName)
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s run \"$@\"\n", wrapperVariable, shellWord(self))
	if err := os.WriteFile(file, []byte(script), 0o777); err != nil {
		return exitHost, err
	}
	_, err = fmt.Fprintf(stdout, `%s is written. With its directory on the PATH:
  GOOS=wasip1 GOARCH=wasm go test ./...
  WASIVIRT_SEED=7 GOOS=wasip1 GOARCH=wasm go test ./...   # the same run each time, virtual time
Limits: WASIVIRT_TIMEOUT, WASIVIRT_FUEL, WASIVIRT_MEMORY, WASIVIRT_DISK, WASIVIRT_OUTPUT, as the flags of run.
`, file)
	return 0, err
}

// transient reports whether go run made an executable, in a directory that it removes or in the
// build cache.
func transient(executable string) bool {
	dir := path.Dir(filepath.ToSlash(executable))
	return strings.Contains(dir, "/go-build") && (path.Base(dir) == "exe" || strings.HasSuffix(dir, "-d"))
}

// environment sets the flags that were not given from environment variables: the limits, the seed,
// which makes the run deterministic, and the world that the go command expects.
func (s *settings) environment(flags *flag.FlagSet, getenv func(string) string) error {
	given := givenOf(flags)
	for variable, name := range map[string]string{
		"WASIVIRT_TIMEOUT": "timeout", "WASIVIRT_FUEL": "fuel", "WASIVIRT_MEMORY": "memory", "WASIVIRT_DISK": "disk",
		"WASIVIRT_OUTPUT": "output", "WASIVIRT_SEED": "deterministic",
	} {
		value := getenv(variable)
		settled := name == "deterministic" && (given["seed"] || given["clock"] || given["sched"])
		if value == "" || given[name] || settled {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("%s=%q: %w", variable, value, err)
		}
	}
	if getenv(wrapperVariable) == "" || given["mount"] || given["dir"] {
		return nil
	}
	return s.goWorld(flags.Args())
}

// goWorld is the world of a program that the go command runs: the module's directory as it is on
// the machine, copies of it below memory in a deterministic run, a directory for temporary files,
// where the tests' coverage goes, the caller's environment, Go's own tree for reading, which has
// the time zones, and a name for the loopback.
func (s *settings) goWorld(args []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	root := moduleRoot(dir)
	kind := "dir:"
	if s.deterministic.set {
		kind = "overlay:"
	}
	s.mounts = repeated{"/=mem", "/tmp=mem", "/dev=dev"}
	if goroot := goRoot(); goroot != "" && goroot != root {
		s.mounts = append(s.mounts, goroot+"=ro:"+goroot)
	}
	s.mounts = append(s.mounts, root+"="+kind+root)
	s.localhost = true
	for _, arg := range args {
		// The go command makes a directory for these, and reads it when the program has ended.
		to, ok := strings.CutPrefix(arg, "-test.gocoverdir=")
		if !ok {
			if to, ok = strings.CutPrefix(arg, "-test.coverprofile="); ok {
				to = filepath.Dir(to)
			}
		}
		if rel, err := filepath.Rel(root, to); ok && filepath.IsAbs(to) && (err != nil || strings.HasPrefix(rel, "..")) {
			s.mounts = append(s.mounts, to+"=dir:"+to)
		}
	}
	s.absoluteLinks = true
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == "TMPDIR" || name == "PWD" || name == "HOME" || strings.HasPrefix(name, "WASIVIRT_"):
		case s.deterministic.set && name != "GOROOT" && !strings.HasPrefix(name, "GO"):
			// What differs from machine to machine is left out.
		default:
			s.env = append(s.env, name+"="+value)
		}
	}
	s.env = append(s.env, "PWD="+dir, "TMPDIR=/tmp", "HOME=/tmp")
	return nil
}

// goRoot is the tree of the go command, which puts its own directory first on the PATH of what it
// runs, or "" where there is none.
func goRoot() string {
	root := os.Getenv("GOROOT")
	if root == "" {
		command, err := exec.LookPath("go")
		if err != nil {
			return ""
		}
		root = filepath.Dir(filepath.Dir(command))
	}
	if _, err := os.Stat(filepath.Join(root, "src", "runtime")); err != nil || !filepath.IsAbs(root) {
		return ""
	}
	return root
}

// moduleRoot is the directory of the Go module that a directory is part of, or else itself.
func moduleRoot(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}
