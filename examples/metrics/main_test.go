package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
)

func TestMetrics(t *testing.T) {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithUsage()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	if _, err := host.Run(ctx, guest); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeMetrics(&out, host.Usage()); err != nil {
		t.Fatal(err)
	}
	// What the text format allows: comments, and a name, labels and a number.
	sample := regexp.MustCompile(`^[a-z_]+(\{(function|outcome)="[a-z_-]+"\})? [0-9.e+-]+$`)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "# ") && !sample.MatchString(line) {
			t.Errorf("%q", line)
		}
	}
	for _, want := range []string{
		`wasi_guests{outcome="exited"} 1`, `wasi_calls_total{function="path_open"} 2`, `wasi_errors_total{function="path_open"} 1`, `wasi_calls_total{function="fd_write"} 10`,
		"wasi_read_bytes_total 1000", "wasi_written_bytes_total 10000", "wasi_descriptors 0",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	for _, f := range host.Usage().Functions {
		if f.Name == "poll_oneoff" && f.Waited < 10*time.Millisecond {
			t.Errorf("the guest waited %v", f.Waited)
		}
	}
}
