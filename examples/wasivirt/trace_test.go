package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	for _, format := range []string{"text", "json", "perfetto"} {
		file := filepath.Join(dir, format)
		if o := wasivirt(t, "run", "-trace", file, "-trace-format", format, do, "exit", "7"); o.status != 7 || o.stderr != "" {
			t.Errorf("%s: %+v", format, o)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "proc_exit") {
			t.Errorf("%s:\n%s", format, b)
		}
		if format == "perfetto" && !json.Valid(b) {
			t.Errorf("not valid:\n%s", b)
		}
	}
	if o := wasivirt(t, "run", "-trace", "-", do, "exit", "0"); o.status != 0 || !strings.Contains(o.stderr, "proc_exit(0) = ?") || o.stdout != "" {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{{"-trace", "x", "-trace-format", "xml"}, {"-trace", filepath.Join(dir, "no", "file")}, {"-fault", "fd_write"}} {
		if o := wasivirt(t, append(append([]string{"run"}, args...), do)...); o.status != exitHost || !strings.Contains(o.stderr, args[0]) {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

func TestFault(t *testing.T) {
	o := wasivirt(t, "run", "-trace", "-", "-fault", "args_sizes_get:nth=1:EIO", "-fault", "args_get:EIO", do)
	if !strings.Contains(o.stderr, "EIO (input/output error)") {
		t.Errorf("%+v", o)
	}
}
