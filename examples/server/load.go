package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

func sortedKeys[K cmp.Ordered](m map[K]uint64) []K { return slices.Sorted(maps.Keys(m)) }

// hostile requests are what tenants send who mean harm.
var hostile = []string{"plant secret", "loop", "memory", "disk", "print", "panic", "exit", "plant another", "nonsense"}

// post sends a request to the server and returns its answer.
func post(client *http.Client, url, body string) (status int, answer string, err error) {
	r, err := client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, strings.TrimSpace(string(b)), err
}

// compare prints how many requests a second each mode answers, and how long they take, and whether
// anything leaks from hostile ones.
func compare(ctx context.Context, w io.Writer, wasm []byte, limits Limits, each time.Duration) error {
	fmt.Fprintf(w, "%-8s %10s %10s %10s %10s   %s\n", "mode", "requests/s", "p50", "p99", "p99.9", "what the next request finds of hostile ones")
	for _, mode := range modes {
		line, err := measure(ctx, wasm, limits, mode, each)
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		fmt.Fprintln(w, line)
	}
	return nil
}

func measure(ctx context.Context, wasm []byte, limits Limits, mode string, each time.Duration) (_ string, err error) {
	s, err := NewServer(ctx, wasm, limits, mode, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer s.Close(ctx)
	front := httptest.NewServer(s.Handler())
	defer front.Close()
	// Each client keeps its connection: a Transport keeps two by itself, and to make one takes
	// longer than to answer a request.
	front.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 2 * clients
	if _, err := load(ctx, front, each/4); err != nil { // what is made once has been made
		return "", err
	}
	took, err := load(ctx, front, each)
	if err != nil {
		return "", err
	}
	found, err := attackBesideOthers(ctx, front, mode)
	if err != nil {
		return "", err
	}
	at := func(p float64) time.Duration {
		return took[min(int(p*float64(len(took))), len(took)-1)].Round(time.Microsecond)
	}
	return fmt.Sprintf("%-8s %10.0f %10v %10v %10v   %s", mode, float64(len(took))/each.Seconds(), at(0.5), at(0.99), at(0.999), found), nil
}

// clients is how many send requests at the same time.
const clients = 4

// load sends requests from the clients and returns how long each took, sorted.
func load(ctx context.Context, front *httptest.Server, each time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			client := front.Client()
			var took []time.Duration
			for ctx.Err() == nil {
				begun := time.Now()
				status, answer, err := post(client, front.URL, "hello world")
				took = append(took, time.Since(begun))
				if err != nil || status != http.StatusOK {
					mu.Lock()
					failed = fmt.Errorf("status %d, %q: %v", status, answer, err)
					mu.Unlock()
					return
				}
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	group.Wait()
	slices.Sort(all)
	return all, failed
}

// attackBesideOthers is attack while ordinary requests are answered.
func attackBesideOthers(ctx context.Context, front *httptest.Server, mode string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	others := make(chan error, 1)
	go func() {
		_, err := load(ctx, front, time.Hour)
		others <- err
	}()
	found, err := attack(front, mode)
	cancel()
	return found, errors.Join(err, <-others)
}

// attack sends the hostile requests, and returns what one after each of them finds. A shared guest
// gets only those that it survives.
func attack(front *httptest.Server, mode string) (found string, err error) {
	for _, request := range hostile {
		if mode == "shared" && !strings.HasPrefix(request, "plant") {
			continue
		}
		if _, _, err := post(front.Client(), front.URL, request); err != nil {
			return "", err
		}
		status, answer, err := post(front.Client(), front.URL, "look")
		if err != nil || status != http.StatusOK {
			return "", fmt.Errorf("after %q: status %d, %q: %v", request, status, answer, err)
		}
		if found == "" || answer != found && answer != clean {
			found = answer
		}
	}
	return found, nil
}

// clean is what a guest finds that nobody had before.
const clean = "served=1 memory=0 files=0 env=0"
