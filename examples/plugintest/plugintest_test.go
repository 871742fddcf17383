// Package plugintest is the test suite of a plugin, the program in guest: files that a test makes
// up, hours that pass at once, disks that fail, power that goes, and chance that a seed decides.
package plugintest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

const spool = "github.com/wasivirt/wasivirt/examples/plugintest/guest"

// TestDelivers states the whole world before and after.
func TestDelivers(t *testing.T) {
	virttest.Run(t, virttest.Guest{Package: spool, Files: map[string]string{"/in/a": "first", "/in/b": "second", "/out/": ""}}).
		Exit(0).
		Output("delivered a\ndelivered b\n").
		Tree(map[string]string{"/out/a": "first", "/out/b": "second"})
}

// TestGolden keeps exit, output and tree in a file. go test -virttest.update writes it.
func TestGolden(t *testing.T) {
	virttest.Run(t, virttest.Guest{
		Package: spool,
		Txtar:   "-- in/a --\nfirst\n-- in/b --\nsecond\n-- out/b --\nan older one\n",
		Faults:  []string{"path_rename:/out/*:nth=2:EIO"},
	}).Golden("testdata/retried.txtar")
}

// TestTriesAgain lets the disk be full for a while. The fifteen seconds of waiting pass at once.
func TestTriesAgain(t *testing.T) {
	o := virttest.Run(t, virttest.Guest{
		Package: spool,
		Files:   map[string]string{"/in/a": "text", "/out/": ""},
		Faults:  []string{"fd_write:/out/*:nth=1:ENOSPC", "fd_write:/out/*:nth=1:ENOSPC"},
	}).Exit(0)
	if o.Files["/out/a"] != "text" {
		t.Errorf("not delivered: %q", o.Files)
	}
	if lines := strings.Split(strings.TrimSpace(o.Files["/journal"]), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "try 2: ") {
		t.Errorf("journal %q", lines)
	}
}

// TestGivesUp lets every rename fail.
func TestGivesUp(t *testing.T) {
	o := virttest.Run(t, virttest.Guest{
		Package: spool,
		Files:   map[string]string{"/in/a": "text", "/out/": ""},
		Faults:  []string{"path_rename:/out/*:EIO"},
	}).Exit(1)
	if !strings.Contains(o.Stderr, "a was tried 5 times") {
		t.Errorf("error %q", o.Stderr)
	}
	if o.Files["/in/a"] != "text" || len(o.Files) != 2 {
		t.Errorf("something was lost or left behind: %q", o.Files)
	}
}

// compiled makes a Host for runs of the plugin that repeat, and compiles it once.
func compiled(t *testing.T) (*virt.Host, *virt.Module) {
	t.Helper()
	host, err := virt.NewBuilder(virt.Deterministic(0)).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(context.Background()) })
	module, err := host.Compile(t.Context(), virttest.Build(t, spool))
	if err != nil {
		t.Fatal(err)
	}
	return host, module
}

// TestWaitsDifferently runs many seeds: chance is in the waits, and never more than a tenth.
func TestWaitsDifferently(t *testing.T) {
	first, module := compiled(t)
	fault, err := virt.ParseFault("path_rename:/out/*:nth=1:EIO")
	if err != nil {
		t.Fatal(err)
	}
	waits := map[string]bool{}
	virttest.Seeds(t, 20, func(seed uint64, deterministic virt.Option) (*virt.Result, error) {
		files, err := memfs.FromMap(map[string]string{"in/a": "text", "out/b": ""})
		if err != nil {
			return nil, err
		}
		host, err := first.Sibling(deterministic) // another world for the same module
		if err != nil {
			return nil, err
		}
		defer host.Close(t.Context())
		result, err := host.RunModule(t.Context(), module, virt.WithMount("/", files), virt.WithFaults(fault))
		if err != nil {
			return nil, err
		}
		waited := host.Usage().Virtual
		if waited < time.Second || waited > 1200*time.Millisecond {
			return nil, fmt.Errorf("it took %v", waited)
		}
		waits[waited.String()] = true
		return result, nil
	})
	if len(waits) < 2 && os.Getenv(virttest.SeedVariable) == "" {
		t.Errorf("all waits are the same: %v", waits)
	}
}

// TestLosesNothing takes the power away at each operation of the disk. What is left is the file in
// one of the two places, whole.
func TestLosesNothing(t *testing.T) {
	first, module := compiled(t)
	for n := 1; ; n++ {
		files, err := memfs.FromMap(map[string]string{"in/a": "text", "out/b": ""})
		if err != nil {
			t.Fatal(err)
		}
		rule, err := faultfs.ParseRule(fmt.Sprintf("*:nth=%d:powerloss", n))
		if err != nil {
			t.Fatal(err)
		}
		disk, err := faultfs.New(files, []faultfs.Rule{rule}, faultfs.WithDurability(), faultfs.WithSeed(uint64(n)))
		if err != nil {
			t.Fatal(err)
		}
		host, err := first.Sibling(virt.Deterministic(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := host.RunModule(t.Context(), module, virt.WithMount("/", disk)); err != nil {
			t.Fatal(err)
		}
		host.Close(t.Context())
		in, _ := files.ReadFile("in/a")
		out, _ := files.ReadFile("out/a")
		if string(in) != "text" && string(out) != "text" {
			t.Errorf("power lost at operation %d: in %q, out %q", n, in, out)
		}
		if disk.Hits()[0].Acted == 0 {
			t.Logf("%d operations", n-1)
			break
		}
	}
}
