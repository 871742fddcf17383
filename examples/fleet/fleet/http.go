package fleet

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

//go:embed page.html
var page []byte

// MaxUpload bounds the body of a POST /run, in bytes.
const MaxUpload = 256 << 20

const (
	// maxUploads is how many bodies are read and stored at a time.
	maxUploads = 8
	// uploadTime is how long the reading of one may take.
	uploadTime = 5 * time.Minute
)

// Front serves a fleet over HTTP:
//
//	GET  /                 a page that shows the fleet live
//	GET  /status           the Status as JSON
//	GET  /events           the Status as server-sent events, one a second
//	POST /run              runs a module: the fields of a multipart form are module (a file), tree and stdin (files),
//	                       arg and env (repeatable), seed, export, fuel, memory, disk, output, threads
//	GET  /results/ID       the result of a job
//	GET  /objects/HASH     an object: a tree that a run exported, a large output, a recording
//
// POST /run answers with the Finished job as JSON. It waits for the job; with wait=0 it answers 202
// and the ID at once. It reads eight bodies at a time, for five minutes each; more answer 503.
//
// Front has no users of its own: serve it on loopback, or behind something that has. Pages of other
// origins that a browser of this machine shows cannot post to it.
func Front(c *Client) http.Handler {
	f := front{c, make(chan struct{}, maxUploads)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		w.Write(page)
	})
	mux.HandleFunc("GET /status", f.status)
	mux.HandleFunc("GET /events", f.events)
	mux.HandleFunc("POST /run", f.run)
	mux.HandleFunc("GET /results/{id}", f.result)
	mux.HandleFunc("GET /objects/{hash}", f.object)
	return http.NewCrossOriginProtection().Handler(mux)
}

type front struct {
	client  *Client
	uploads chan struct{} // holds one for each body that is being read
}

func (f front) status(w http.ResponseWriter, r *http.Request) {
	s, err := f.client.Status(r.Context())
	answer(w, s, err)
}

// events sends the status each second until the reader leaves.
func (f front) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		s, err := f.client.Status(try)
		cancel()
		if err == nil {
			body, err := json.Marshal(s)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", body); err != nil {
				return
			}
		} else if _, err := fmt.Fprint(w, "event: lost\ndata: {}\n\n"); err != nil {
			return
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (f front) run(w http.ResponseWriter, r *http.Request) {
	id, ok := f.submit(w, r)
	if !ok {
		return
	}
	w.Header().Set("Location", "/results/"+id)
	if r.FormValue("wait") == "0" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		json.NewEncoder(w).Encode(map[string]string{"id": id})
		return
	}
	done, err := f.client.Wait(r.Context(), id)
	answer(w, done, err)
}

// submit reads a form and submits its job, or answers what stands against it.
func (f front) submit(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	select {
	case f.uploads <- struct{}{}:
		defer func() { <-f.uploads }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d uploads are under way: try again later", maxUploads), http.StatusServiceUnavailable)
		return "", false
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(uploadTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		answer(w, nil, err)
		return "", false
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxUpload)
	if err := r.ParseMultipartForm(32 << 20); err != nil {
		http.Error(w, "want a multipart form with a file named module: "+err.Error(), http.StatusBadRequest)
		return "", false
	}
	_ = control.SetReadDeadline(time.Time{}) // as it was: waiting for the job may take longer
	defer r.MultipartForm.RemoveAll()
	j, err := f.job(r)
	var bad badField
	switch {
	case errors.As(err, &bad):
		http.Error(w, bad.Error(), http.StatusBadRequest)
		return "", false
	case err != nil:
		answer(w, nil, err)
		return "", false
	}
	if id, err = f.client.Submit(r.Context(), j); err != nil {
		answer(w, nil, err)
		return "", false
	}
	return id, true
}

// badField is a mistake in a form.
type badField struct{ error }

// job reads the job from a form and stores its files.
func (f front) job(r *http.Request) (j Job, err error) {
	for _, file := range []struct {
		name string
		to   *string
	}{{"module", &j.Module}, {"tree", &j.Tree}, {"stdin", &j.Stdin}} {
		headers := r.MultipartForm.File[file.name]
		if len(headers) == 0 {
			if file.name == "module" {
				return j, badField{errors.New("no file named module: send one with curl -F module=@guest.wasm")}
			}
			continue
		}
		part, err := headers[0].Open()
		if err != nil {
			return j, err
		}
		b, err := io.ReadAll(part)
		part.Close()
		if err != nil {
			return j, err
		}
		if *file.to, err = f.client.Put(r.Context(), b); err != nil {
			return j, err
		}
	}
	form := r.MultipartForm.Value
	j.Args, j.Env, j.Export = form["arg"], form["env"], r.FormValue("export")
	for _, n := range []struct {
		name string
		to   *uint64
	}{{"seed", &j.Seed}, {"fuel", &j.Limits.Fuel}, {"memory", &j.Limits.Memory}, {"disk", &j.Limits.Disk}, {"output", &j.Limits.Output}} {
		if s := r.FormValue(n.name); s != "" {
			if *n.to, err = strconv.ParseUint(s, 10, 64); err != nil {
				return j, badField{fmt.Errorf("%s=%q: want a number", n.name, s)}
			}
		}
	}
	if s := r.FormValue("threads"); s != "" {
		if j.Limits.Threads, err = strconv.Atoi(s); err != nil {
			return j, badField{fmt.Errorf("threads=%q: want a number", s)}
		}
	}
	if err := j.Validate(); err != nil {
		return j, badField{err}
	}
	return j, nil
}

func (f front) result(w http.ResponseWriter, r *http.Request) {
	done, err := f.client.Result(r.Context(), r.PathValue("id"))
	answer(w, done, err)
}

func (f front) object(w http.ResponseWriter, r *http.Request) {
	b, err := f.client.Get(r.Context(), r.PathValue("hash"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(b)
}

// answer sends a value as JSON, or an error.
func answer(w http.ResponseWriter, value any, err error) {
	aside := &AsideError{}
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(value)
	case errors.Is(err, ErrNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.As(err, &aside):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}
