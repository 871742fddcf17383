package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// tight are limits that hostile requests reach soon.
func tight() Limits {
	l := DefaultLimits
	l.Deadline, l.Fuel, l.Memory, l.Alive = 20*time.Second, 100_000_000, 32<<20, 4
	return l
}

func start(t *testing.T, wasm []byte, mode string, log *slog.Logger) *httptest.Server {
	t.Helper()
	s, err := NewServer(t.Context(), wasm, tight(), mode, log)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		front.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return front
}

var build = sync.OnceValues(func() ([]byte, error) { return guest(context.Background(), "") })

func built(t *testing.T) []byte {
	t.Helper()
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func ask(t *testing.T, front *httptest.Server, request string) (int, string) {
	t.Helper()
	status, answer, err := post(front.Client(), front.URL, request)
	if err != nil {
		t.Error(err)
	}
	return status, answer
}

// Whatever came before, a request finds a guest that has done nothing but start: no memory, file,
// variable or token of others.
func TestNothingLeaksFromOneRequestToTheNext(t *testing.T) {
	wasm := built(t)
	for _, mode := range []string{"pool", "fork", "reset", "fresh"} {
		t.Run(mode, func(t *testing.T) {
			front := start(t, wasm, mode, slog.New(slog.DiscardHandler))
			want := map[string]struct {
				status int
				answer string
			}{
				"plant secret": {200, "planted"}, "plant another": {200, "planted"}, "loop": {503, "out of fuel"},
				"disk": {422, "refused"}, "print": {503, "out of output bytes"}, "panic": {502, ""}, "exit": {502, ""}, "memory": {502, ""}, "nonsense": {422, "refused"},
			}
			sessions := map[string]bool{}
			for _, request := range hostile {
				status, answer := ask(t, front, request)
				if w := want[request]; status != w.status || w.answer != "" && answer != w.answer {
					t.Errorf("%q is answered with %d, %q, want %d, %q", request, status, answer, w.status, w.answer)
				}
				if status, answer := ask(t, front, "look"); status != 200 || answer != clean {
					t.Errorf("after %q the next request finds %d, %q; want %q", request, status, answer, clean)
				}
				_, session := ask(t, front, "session")
				if sessions[session] {
					t.Errorf("two requests have the session %q", session)
				}
				sessions[session] = true
			}
		})
	}
	// The guest does look: in one that is shared it finds what others left.
	front := start(t, wasm, "shared", slog.New(slog.DiscardHandler))
	ask(t, front, "plant secret")
	if _, answer := ask(t, front, "look"); answer == clean || strings.Contains(answer, "memory=0") || !strings.Contains(answer, "files=1 env=6") {
		t.Errorf("a shared guest finds %q", answer)
	}
}

func TestRequestsAtOnce(t *testing.T) {
	front := start(t, built(t), "pool", slog.New(slog.DiscardHandler))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 10 {
				if status, answer := ask(t, front, "hello you"); status != 200 || answer != "hello, you: 5000 words" {
					t.Errorf("%d, %q", status, answer)
				}
				ask(t, front, "panic")
			}
		})
	}
	clients.Wait()
	r, err := front.Client().Get(front.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var page bytes.Buffer
	if _, err := page.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`server_requests_total{end="ok"} 80`, "server_guests_busy 0", `server_guests{outcome="trapped"} 80`} {
		if !strings.Contains(page.String(), line+"\n") {
			t.Errorf("%s is missing in\n%s", line, page.String())
		}
	}
}

func TestDeadlineBodyAndLog(t *testing.T) {
	var log bytes.Buffer
	limits := tight()
	limits.Deadline, limits.Fuel, limits.Body = 200*time.Millisecond, 1<<50, 100
	s, err := NewServer(t.Context(), built(t), limits, "fork", slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	front := httptest.NewServer(s.Handler())
	defer front.Close()
	if status, answer := ask(t, front, "loop"); status != http.StatusGatewayTimeout || answer != "out of time" {
		t.Errorf("%d, %q", status, answer)
	}
	if status, _ := ask(t, front, strings.Repeat("x", 101)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 101 bytes: status %d", status)
	}
	var line struct {
		End    string
		Status int
	}
	if err := json.Unmarshal(bytes.SplitN(log.Bytes(), []byte("\n"), 2)[0], &line); err != nil || line.End != "out of time" || line.Status != 504 {
		t.Errorf("%+v, %v in\n%s", line, err, &log)
	}
}

func TestServeStopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	ready := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("serving")) {
			cancel()
		}
		return log.Write(p)
	}), nil))
	if err := serve(ctx, "127.0.0.1:0", built(t), tight(), "pool", ready); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "stopping") {
		t.Errorf("the log is %s", &log)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCompare(t *testing.T) {
	var out bytes.Buffer
	if err := compare(t.Context(), &out, built(t), tight(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes {
		if !strings.Contains(out.String(), "\n"+mode) {
			t.Errorf("%s is missing in\n%s", mode, &out)
		}
	}
}
