package main

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

//go:embed page.html
var page []byte

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 20

// request is what the page sends.
type request struct {
	Script string            `json:"script"`
	Files  map[string]string `json:"files"`
}

// front serves the page, and POST /run, which runs a script and answers an Output. Pages of other
// origins cannot post to it.
func front(e *Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		var q request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
			http.Error(w, "want {\"script\": TEXT, \"files\": {PATH: TEXT}} of at most 1 MiB: "+err.Error(), http.StatusBadRequest)
			return
		}
		out, err := e.Run(r.Context(), q.Script, q.Files)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}
