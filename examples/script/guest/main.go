// Guest is a Starlark engine: a reactor whose state stays between calls.
//
// Run reads the script in /script and runs it with the names that earlier scripts have made. What
// it prints goes to standard output, its errors to standard error.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	"go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func main() {}

// names are what scripts see: the builtins, and what was assigned by earlier scripts.
var names = starlark.StringDict{
	"json":       json.Module,
	"math":       math.Module,
	"time":       time.Module,
	"read_file":  starlark.NewBuiltin("read_file", readFile),
	"write_file": starlark.NewBuiltin("write_file", writeFile),
	"list_files": starlark.NewBuiltin("list_files", listFiles),
}

// options are the dialect: loops at top level and while, as people expect of a script.
var options = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}

func init() {
	// The engine's own first use of everything happens before the snapshot.
	if err := run("warm-up", `[x for x in range(3)]`); err != nil {
		panic(err)
	}
}

// script runs /script and returns 0, or 1 if it failed.
//
//go:wasmexport run
func script() int32 {
	text, err := os.ReadFile("/script")
	if err == nil {
		err = run("script", string(text))
	}
	if trace, ok := errors.AsType[*starlark.EvalError](err); ok {
		fmt.Fprintln(os.Stderr, trace.Backtrace())
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		return 1
	}
	return 0
}

// run runs a script. The value of a script that is one expression is printed.
func run(name, text string) error {
	thread := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, text string) { fmt.Println(text) }}
	if expr, err := options.ParseExpr(name, text, 0); err == nil {
		v, err := starlark.EvalExprOptions(options, thread, expr, names)
		if err != nil {
			return err
		}
		if name != "warm-up" && v != starlark.None {
			fmt.Println(v)
		}
		return nil
	}
	f, err := options.Parse(name, text, 0)
	if err != nil {
		return err
	}
	return starlark.ExecREPLChunk(f, thread, names)
}

func readFile(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var path string
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "path", &path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	return starlark.String(text), err
}

func writeFile(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var path, text string
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "path", &path, "text", &text); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	return starlark.None, os.WriteFile(path, []byte(text), 0o666)
}

func listFiles(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	dir := "/"
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "dir?", &dir); err != nil {
		return nil, err
	}
	var list []starlark.Value
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			list = append(list, starlark.String(path))
		}
		return err
	})
	return starlark.NewList(list), err
}
