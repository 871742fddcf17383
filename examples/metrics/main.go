// Metrics tells what guests use, in the text format of Prometheus. It runs a guest and prints what
// that took:
//
//	go run ./examples/metrics
//
// With -listen it runs the guest again and again, each time in a world of its own, and serves the
// numbers, also as an expvar:
//
//	go run ./examples/metrics -listen localhost:8080
//	curl localhost:8080/metrics
package main

import (
	"context"
	_ "embed"
	"expvar"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/wasivirt/wasivirt/virt"
)

// guest is guest/guest.c, compiled: it does a little of all that is measured.
//
//go:embed guest/guest.wasm
var guest []byte

func main() {
	listen := flag.String("listen", "", "`ADDR` to serve /metrics and /debug/vars at")
	flag.Parse()
	if err := run(context.Background(), *listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen string) error {
	host, err := virt.NewBuilder(virt.WithUsage()).Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, guest)
	if err != nil {
		return err
	}
	if _, err := host.RunModule(ctx, module); err != nil {
		return err
	}
	if listen == "" {
		return writeMetrics(os.Stdout, host.Usage())
	}
	return serve(ctx, host, module, listen)
}

// serve runs the module every second, and answers what all runs took together.
func serve(ctx context.Context, host *virt.Host, module *virt.Module, listen string) error {
	expvar.Publish("wasi", expvar.Func(func() any { return host.Usage() }))
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if err := writeMetrics(w, host.Usage()); err != nil {
			log.Print(err)
		}
	})
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(listen, nil) }()
	for again := time.NewTicker(time.Second); ; {
		select {
		case err := <-failed:
			return err
		case <-again.C:
			if _, err := host.RunModule(ctx, module); err != nil {
				return err
			}
		}
	}
}

// writeMetrics writes u in the text format of Prometheus.
func writeMetrics(w io.Writer, u virt.Usage) error {
	out := &printer{w: w}
	out.head("wasi_guests", "gauge", "Guests that have begun, by how they ended or that they run.")
	for _, o := range slices.Sorted(maps.Keys(u.Guests)) {
		out.line("wasi_guests{outcome=%q} %d", o, u.Guests[o])
	}
	out.head("wasi_calls_total", "counter", "Calls of WASI functions.")
	for _, f := range u.Functions {
		out.line("wasi_calls_total{function=%q} %d", f.Name, f.Calls)
	}
	out.head("wasi_errors_total", "counter", "Calls that answered an errno.")
	for _, f := range u.Functions {
		out.line("wasi_errors_total{function=%q} %d", f.Name, f.Errors)
	}
	out.head("wasi_wait_seconds_total", "counter", "Time that threads waited in calls.")
	for _, f := range u.Functions {
		out.line("wasi_wait_seconds_total{function=%q} %g", f.Name, f.Waited.Seconds())
	}
	for _, m := range []struct {
		name, kind, help string
		value            any
	}{
		{"wasi_read_bytes_total", "counter", "Bytes read from files, streams and sockets.", u.BytesIn},
		{"wasi_written_bytes_total", "counter", "Bytes written to them.", u.BytesOut},
		{"wasi_run_seconds_total", "counter", "Time that guests existed.", u.Real.Seconds()},
		{"wasi_memory_peak_bytes_total", "counter", "Largest sizes of linear memory, of all guests.", u.PeakMemory},
		{"wasi_descriptors", "gauge", "Open descriptors.", u.Descriptors},
		{"wasi_threads", "gauge", "Threads alive.", u.Threads},
		{"wasi_threads_started_total", "counter", "Threads that thread-spawn started.", u.Spawned},
	} {
		out.head(m.name, m.kind, m.help)
		out.line("%s %v", m.name, m.value)
	}
	return out.err
}

// printer keeps the first error of writing.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) head(name, kind, help string) {
	p.line("# HELP %s %s", name, help)
	p.line("# TYPE %s %s", name, kind)
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
