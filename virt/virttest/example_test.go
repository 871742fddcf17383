package virttest_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

// A test of a command that adds up what it reads, and what it does if its third write fails.
func ExampleRun() {
	test := func(t *testing.T) {
		report := virttest.Guest{Package: "./cmd/report", Files: map[string]string{"/in.csv": "a,1\nb,2\n"}}
		virttest.Run(t, report).
			Exit(0).
			Output("done\n").
			Tree(map[string]string{"/in.csv": "a,1\nb,2\n", "/out.txt": "total 3\n"})

		report.Faults = []string{"fd_write:nth=3:EIO"}
		virttest.Run(t, report).Exit(2)
	}
	_ = test
}

// A test that a command with threads ends alike, however they take turns.
func ExampleExplore() {
	test := func(t *testing.T) {
		virttest.Explore(t, explore.Config{Wasm: virttest.Build(t, "./cmd/queue"), Last: 1000})
	}
	_ = test
}
