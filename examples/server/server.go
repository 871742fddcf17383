package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
	"github.com/wasivirt/wasivirt/virt/pool"
)

// Limits are what one request may use.
type Limits struct {
	Deadline time.Duration
	Fuel     uint64 // WebAssembly instructions
	Memory   uint64 // bytes
	Disk     uint64 // bytes
	Output   uint64 // bytes
	Body     int64  // bytes of the request
	Alive    int    // guests at once
}

// DefaultLimits is what main begins with.
var DefaultLimits = Limits{Deadline: 2 * time.Second, Fuel: 2_000_000_000, Memory: 64 << 20, Disk: 1 << 20, Output: 64 << 10, Body: 64 << 10, Alive: 16}

// modes are the ways to get a guest for a request.
var modes = []string{"pool", "fork", "reset", "fresh", "shared"}

// Server answers each request by a guest of its own, which begins where the first one was after its
// start.
type Server struct {
	limits   Limits
	mode     string
	log      *slog.Logger
	host     *virt.Host
	module   *virt.Module
	snapshot *virt.Snapshot
	pool     *pool.Pool

	mu     sync.Mutex
	shared *virt.Guest // of the mode of that name, which is unsafe: whatever a request leaves the next one finds
	ends   map[string]uint64
}

// NewServer starts a guest of wasm once and takes its snapshot.
func NewServer(ctx context.Context, wasm []byte, limits Limits, mode string, log *slog.Logger) (_ *Server, err error) {
	s := &Server{limits: limits, mode: mode, log: log, ends: map[string]uint64{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	b := virt.NewBuilder(virt.WithLimits(func(l *virt.Limits) {
		l.Fuel, l.Memory, l.DiskBytes, l.OutputBytes = limits.Fuel, limits.Memory, limits.Disk, limits.Output
	}))
	// The code that was compiled for the last start is used again.
	if dir, err := os.UserCacheDir(); err == nil {
		b = b.With(virt.WithCompilationCache(filepath.Join(dir, "wasivirt-server"), 0))
	}
	s.host, err = b.Build(ctx)
	if err != nil {
		return nil, err
	}
	if s.module, err = s.host.Compile(ctx, wasm); err != nil {
		return nil, err
	}
	if mode == "shared" {
		s.shared, err = s.host.Instantiate(ctx, s.module, virt.WithFuel(1<<62)) // the requests of all share it
		return s, err
	}
	first, err := s.host.Instantiate(ctx, s.module)
	if err != nil {
		return nil, err
	}
	s.snapshot, err = first.Snapshot(ctx)
	if err = errors.Join(err, first.Close(ctx)); err != nil {
		return nil, err
	}
	switch mode {
	case "pool":
		s.pool, err = pool.New(s.snapshot, pool.Config{Ready: limits.Alive / 2, Max: limits.Alive}, virt.WithFuel(limits.Fuel))
	case "reset":
		s.pool, err = pool.New(s.snapshot, pool.Config{Max: limits.Alive, Reset: true}, virt.WithFuel(limits.Fuel))
	}
	return s, err
}

// Close ends what still runs. The server that calls the Server has been shut down before.
func (s *Server) Close(ctx context.Context) (err error) {
	if s.pool != nil {
		err = s.pool.Close(ctx)
	}
	if s.snapshot != nil {
		err = errors.Join(err, s.snapshot.Close())
	}
	if s.host != nil {
		err = errors.Join(err, s.host.Close(ctx))
	}
	return err
}

// Handler answers POST /, whose body is a request for the guest, and GET /metrics.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.serve)
	mux.HandleFunc("GET /metrics", s.metrics)
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.limits.Body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.Deadline)
	defer cancel()
	answer, err := s.answer(ctx, string(body))
	status, end := outcome(err)
	s.mu.Lock()
	s.ends[end]++
	s.mu.Unlock()
	if err != nil {
		// What went wrong inside is for the log; a tenant is told no more than its kind.
		s.log.LogAttrs(ctx, slog.LevelWarn, "request", slog.String("end", end), slog.Int("status", status),
			slog.Duration("took", time.Since(begun)), slog.String("error", err.Error()))
		http.Error(w, end, status)
		return
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("end", end), slog.Duration("took", time.Since(begun)))
	_, _ = io.WriteString(w, answer) // a client that has gone is no concern
}

// answer calls a guest that no other request has.
func (s *Server) answer(ctx context.Context, request string) (answer string, err error) {
	call := func(g *virt.Guest) error {
		handle, err := plugin.Func[func(context.Context, string) (string, error)](g, "handle", plugin.WithMaxSize(1<<20))
		if err == nil {
			answer, err = handle(ctx, request)
		}
		return err
	}
	switch s.mode {
	case "shared":
		s.mu.Lock()
		defer s.mu.Unlock()
		return answer, call(s.shared)
	case "pool", "reset":
		return answer, s.pool.Do(ctx, call)
	}
	var g *virt.Guest
	if s.mode == "fork" {
		g, err = s.snapshot.Start(ctx, virt.WithFuel(s.limits.Fuel))
	} else {
		g, err = s.host.Instantiate(ctx, s.module)
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, g.Close(context.WithoutCancel(ctx))) }()
	return answer, call(g)
}

// outcome is the status and the name of an end.
func outcome(err error) (status int, end string) {
	exit, ended := errors.AsType[*virt.ExitError](err)
	guest, refused := errors.AsType[*plugin.Error](err)
	switch {
	case err == nil:
		return http.StatusOK, "ok"
	case ended && exit.Result.Outcome == virt.Exhausted:
		return http.StatusServiceUnavailable, "out of " + string(exit.Result.Budget)
	case errors.Is(err, context.DeadlineExceeded), ended && errors.Is(exit.Result.Err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "out of time"
	case ended:
		return http.StatusBadGateway, exit.Result.Outcome.String()
	case refused:
		_ = guest // its text is the tenant's own
		return http.StatusUnprocessableEntity, "refused"
	}
	return http.StatusInternalServerError, "failed"
}

// metrics prints counters in the format that Prometheus reads.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	s.mu.Lock()
	for _, end := range sortedKeys(s.ends) {
		fmt.Fprintf(w, "server_requests_total{end=%q} %d\n", end, s.ends[end])
	}
	s.mu.Unlock()
	guests := s.host.Usage().Guests
	for _, o := range sortedKeys(guests) {
		fmt.Fprintf(w, "server_guests{outcome=%q} %d\n", o, guests[o])
	}
	if s.pool == nil {
		return
	}
	u := s.pool.Usage()
	for _, m := range []struct {
		name  string
		value uint64
	}{{"ready", uint64(u.Ready)}, {"busy", uint64(u.Busy)}, {"waiting", uint64(u.Waiting)}, {"made_total", u.Made}, {"reset_total", u.Reset}} {
		fmt.Fprintf(w, "server_guests_%s %d\n", m.name, m.value)
	}
}
