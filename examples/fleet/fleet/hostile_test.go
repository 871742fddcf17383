package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A job may ask for memory by its files and its output too. One for which no worker has enough is
// set aside; no worker is made to take it.
func TestJobsAreHeldToTheMemoryOfWorkers(t *testing.T) {
	for _, l := range []struct {
		limits Limits
		want   uint64
	}{
		{Limits{}, (256 + 2*64 + 1) << 20},
		{Limits{Memory: 1, Disk: 10, Output: 100}, 121},
		{Limits{Disk: math.MaxUint64}, math.MaxInt64},
		{Limits{Memory: 1 << 62, Output: 1 << 63}, math.MaxInt64},
	} {
		if got := l.limits.memory(); got != l.want {
			t.Errorf("%+v: %d, want %d", l.limits, got, l.want)
		}
	}
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	work(t, &Worker{Client: c, MaxTries: 1})
	j := printing(module(t, c), 1)
	j.Limits.Disk = 1 << 60
	id := must(c.Submit(t.Context(), j))
	_, err := c.Wait(t.Context(), id)
	if aside := new(AsideError); !errors.As(err, &aside) || !strings.Contains(aside.Reason, "lower the job's limits") {
		t.Errorf("a job that may write 2^60 bytes: %v", err)
	}
}

// A job, its result and its entry among those set aside fit into messages.
func TestJobsOfTooMuchTextAreRefused(t *testing.T) {
	j := Job{Module: hashOf(nil), Args: []string{strings.Repeat("a", maxText/2)}, Env: []string{"A=" + strings.Repeat("b", maxText/2)}}
	if err := j.Validate(); err == nil || !strings.Contains(err.Error(), "send more in the tree") {
		t.Error(err)
	}
	j.Env = nil
	if err := j.Validate(); err != nil {
		t.Error(err)
	}
}

// Whoever reads an object takes no more than an object may have, whatever somebody stored.
func TestObjectsAreBounded(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	c.maxObject = 1000
	for _, size := range []int{1000, 1001} {
		_, err := c.Get(t.Context(), must(c.Put(t.Context(), make([]byte, size))))
		if size > 1000 != (err != nil) || err != nil && !strings.Contains(err.Error(), "more than 1000 bytes") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// What stands in the place of a result and is of another job is none.
func TestResultsOfOtherJobsAreNone(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	mine, other := printing(hashOf(nil), 1), printing(hashOf(nil), 2)
	for _, f := range []Finished{{ID: other.ID(), Job: other}, {ID: mine.ID(), Job: other}, {}} {
		if _, err := c.results.Put(t.Context(), mine.ID(), must(json.Marshal(f))); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Result(t.Context(), mine.ID()); err == nil || got != nil || !strings.Contains(err.Error(), "not stored by a Worker") {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// Trees are kept as far as they have a bound together.
func TestCachedTreesAreBounded(t *testing.T) {
	var dropped []string
	c := cached[string]{most: 10, weigh: func(s string) int64 { return int64(len(s)) }, drop: func(s string) { dropped = append(dropped, s) }}
	for _, s := range []string{"four", "three", "longer than all", "1", "2"} {
		_, release, err := c.get(s, func() (string, error) { return s, nil })
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if d := cmp.Diff([]string{"four", "three", "longer than all"}, dropped); d != "" || c.size != 2 {
		t.Errorf("dropped (-want +got):\n%s%d bytes are left", d, c.size)
	}
}

// A status is bounded, however many workers say that they live and whatever they say.
func TestStatusIsBounded(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	for i := range 40 {
		b := must(json.Marshal(WorkerState{Name: fmt.Sprint(i) + strings.Repeat("x", 100<<10)}))
		if _, err := c.workers.Put(t.Context(), fmt.Sprint("w", i), b); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(must(c.Status(t.Context())).Workers); got != 10 {
		t.Errorf("%d workers of 100 KiB", got)
	}
}

// More bodies than are read at a time are refused, not kept waiting or kept.
func TestUploadsAreBounded(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	web := httptest.NewServer(Front(connect(t, url)))
	defer web.Close()
	var writers []*io.PipeWriter
	ends := make(chan int)
	for range maxUploads {
		r, w := io.Pipe()
		writers = append(writers, w)
		go func() {
			answer, err := http.Post(web.URL+"/run", "multipart/form-data; boundary=b", r)
			if err != nil {
				ends <- 0
				return
			}
			answer.Body.Close()
			ends <- answer.StatusCode
		}()
		if _, err := io.WriteString(w, "--b\r\n"); err != nil { // it is being read
			t.Fatal(err)
		}
	}
	for {
		answer, err := http.Post(web.URL+"/run", "multipart/form-data; boundary=b", strings.NewReader("--b--\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusServiceUnavailable {
			break
		}
		// The transport has read what one of the eight sends before its handler was called.
	}
	for _, w := range writers {
		w.Close()
	}
	for range writers {
		if status := <-ends; status != http.StatusBadRequest && status != http.StatusServiceUnavailable {
			t.Errorf("an upload that broke off: %d", status)
		}
	}
	answer := form(t, web.URL, nil)
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("after them: %s", answer.Status)
	}
}
