package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkpointed exits with 43 by itself, and with 42 from its checkpoint.
const checkpointed = "../../virt/testdata/checkpoint.wasm"

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "warm.snap")
	if d := cmp.Diff(outcome{}, wasivirt(t, "snapshot", "-o", file, checkpointed), cmp.AllowUnexported(outcome{})); d != "" {
		t.Fatal(d)
	}
	for range 2 {
		if got := wasivirt(t, "run", "-from", file, checkpointed); got != (outcome{status: 42}) {
			t.Errorf("from the snapshot: %+v", got)
		}
	}
	if got := wasivirt(t, "run", checkpointed); got.status != 43 {
		t.Errorf("without it: %+v", got)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"another module":  {[]string{"run", "-from", file, do}, "read it with the module that it was taken of"},
		"other options":   {[]string{"run", "-fuel", "1000", "-from", file, checkpointed}, "build the Host with the same options"},
		"damage":          {[]string{"run", "-from", damaged, checkpointed}, "snapshot"},
		"no file":         {[]string{"run", "-from", filepath.Join(dir, "none"), checkpointed}, "no such file"},
		"no name":         {[]string{"snapshot", checkpointed}, "want: wasivirt snapshot -o FILE"},
		"a recording too": {[]string{"snapshot", "-o", file, "-record", damaged, checkpointed}, "give them to wasivirt run"},
	} {
		if got := wasivirt(t, c.args...); got.status != 125 || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".wasivirt-*"))
	if err != nil || left != nil {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// Mounts that cannot be written to are no part of a snapshot's file.
func TestSnapshotBesideReadOnlyMounts(t *testing.T) {
	dir := hostTree(t)
	_, zipFile := archives(t, dir)
	file := filepath.Join(t.TempDir(), "warm.snap")
	for _, spec := range []string{"ro:" + dir, "zip:" + zipFile, "file:" + filepath.Join(dir, "a")} {
		mount := "-mount=/r=" + spec
		if got := wasivirt(t, "snapshot", "-o", file, mount, checkpointed); got != (outcome{}) {
			t.Errorf("%s: %+v", spec, got)
		}
		if got := wasivirt(t, "run", "-from", file, mount, checkpointed); got != (outcome{status: 42}) {
			t.Errorf("%s: from the snapshot: %+v", spec, got)
		}
		if got := wasivirt(t, "run", "-from", file, checkpointed); got.status != 125 || !strings.Contains(got.stderr, "/r") {
			t.Errorf("%s: without the mount: %+v", spec, got)
		}
	}
}
