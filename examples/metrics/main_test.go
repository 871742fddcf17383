package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

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
	sample := regexp.MustCompile(`^[a-z_]+(\{function="[a-z_-]+"\})? [0-9.e+-]+$`)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "# ") && !sample.MatchString(line) {
			t.Errorf("%q", line)
		}
	}
	if !strings.Contains(out.String(), `wasi_calls_total{function="path_open"} `) {
		t.Error(out.String())
	}
}
