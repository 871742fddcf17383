package fleet

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// form is a POST /run with the files and fields.
func form(t *testing.T, url string, files map[string][]byte, fields ...string) *http.Response {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name, content := range files {
		part, err := m.CreateFormFile(name, name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(content)
	}
	for i := 0; i < len(fields); i += 2 {
		m.WriteField(fields[i], fields[i+1])
	}
	m.Close()
	r, err := http.Post(url+"/run", m.FormDataContentType(), &b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func TestFrontRunsAModuleAndATar(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	work(t, &Worker{Client: c})
	web := httptest.NewServer(Front(c))
	defer web.Close()
	wasm, err := os.ReadFile("../guest/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	w := tar.NewWriter(&in)
	w.WriteHeader(&tar.Header{Name: "in/a.txt", Mode: 0o644, Size: 5, Typeflag: tar.TypeReg})
	w.Write([]byte("hello"))
	w.Close()

	r := form(t, web.URL, map[string][]byte{"module": wasm, "tree": in.Bytes()}, "arg", "print", "seed", "7", "threads", "8", "export", "/in")
	var f Finished
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", r.Status, err)
	}
	if want := must(c.Result(t.Context(), f.ID)); !cmp.Equal(want, &f) {
		t.Errorf("the answer is not the stored result: %s", cmp.Diff(want, &f))
	}
	object, err := http.Get(web.URL + "/objects/" + f.Result.Tree)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	names := []string{}
	for out := tar.NewReader(object.Body); ; {
		h, err := out.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if d := cmp.Diff([]string{"a.txt"}, names); d != "" {
		t.Errorf("the tree that came back: %s", d)
	}

	for _, bad := range []struct {
		files  map[string][]byte
		fields []string
		status int
		says   string
	}{
		{nil, nil, 400, "no file named module"},
		{map[string][]byte{"module": wasm}, []string{"seed", "x"}, 400, `seed="x": want a number`},
		{map[string][]byte{"module": wasm}, []string{"env", "novalue"}, 400, "want NAME=VALUE"},
	} {
		r := form(t, web.URL, bad.files, bad.fields...)
		text, _ := io.ReadAll(r.Body)
		if r.StatusCode != bad.status || !strings.Contains(string(text), bad.says) {
			t.Errorf("%v: %s %q, want %d %q", bad.fields, r.Status, text, bad.status, bad.says)
		}
	}
	if r := must(http.Get(web.URL + "/objects/../../etc/passwd")); r.StatusCode != http.StatusNotFound {
		t.Errorf("an object that is none: %s", r.Status)
	}
	r = form(t, web.URL, map[string][]byte{"module": wasm}, "wait", "0", "threads", "8")
	if r.StatusCode != http.StatusAccepted || !strings.HasPrefix(r.Header.Get("Location"), "/results/") {
		t.Errorf("without waiting: %s, %q", r.Status, r.Header.Get("Location"))
	}
}

// TestPageInABrowser looks at the status page with Debian's Chromium. FLEET_SCREENSHOT names a file
// for a picture.
func TestPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on the PATH: the page is not looked at")
	}
	url, _ := serve(t, ServerConfig{})
	c := connect(t, url)
	work(t, &Worker{Client: c, Name: "a-worker", Slots: 3})
	if _, err := c.Run(t.Context(), printing(module(t, c), 1)); err != nil {
		t.Fatal(err)
	}
	bad := must(c.Put(t.Context(), []byte("no module")))
	one := &Worker{Client: c, Name: "another", MaxTries: 1}
	work(t, one)
	c.Run(t.Context(), Job{Module: bad})
	web := httptest.NewServer(held(Front(c)))
	defer web.Close()
	args := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir()}
	look := func() (dom []byte, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, browser, append(args, "--dump-dom", web.URL+"/")...)
		cmd.WaitDelay = 5 * time.Second // its helper processes keep the pipe
		return cmd.Output()
	}
	dom, err := look()
	if err != nil {
		dom, err = look() // a headless browser sometimes hangs at its first start
	}
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	for _, want := range []string{`id="state">live`, `<b id="results">1</b>`, "<td>a-worker</td>", `<td class="n">3</td>`} {
		if !bytes.Contains(dom, []byte(want)) {
			t.Errorf("the page does not hold %s:\n%s", want, dom)
		}
	}
	if picture := os.Getenv("FLEET_SCREENSHOT"); picture != "" {
		picture, err = filepath.Abs(picture)
		if err != nil {
			t.Fatal(err)
		}
		shot := append(args, "--screenshot="+picture, "--window-size=1000,800", web.URL+"/")
		if err := exec.CommandContext(t.Context(), browser, shot...).Run(); err != nil {
			t.Errorf("screenshot: %v", err)
		}
	}
}

// held serves the page with a picture that comes only after two rounds of events. The browser looks
// at the page when it is loaded, and the picture is part of that.
func held(front http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", front)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Write(page)
		io.WriteString(w, `<img src="/picture" hidden>`)
	})
	mux.HandleFunc("GET /picture", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		ask, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.Host+"/events", nil)
		if err != nil {
			return
		}
		events, err := http.DefaultClient.Do(ask)
		if err != nil {
			return
		}
		defer events.Body.Close()
		for lines := bufio.NewReader(events.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil || strings.Contains(line, `"a-worker"`) && strings.Contains(line, `"results":1`) {
				break
			}
		}
		time.Sleep(3 * time.Second) // the page's own events come once a second
	})
	return mux
}

func TestEventsEndWithTheReader(t *testing.T) {
	url, _ := serve(t, ServerConfig{})
	web := httptest.NewServer(Front(connect(t, url)))
	r := must(http.Get(web.URL + "/events"))
	line := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, line); err != nil || string(line) != "data:" {
		t.Errorf("the first event begins with %q, %v", line, err)
	}
	r.Body.Close()
	closed := make(chan struct{})
	go func() { web.Close(); close(closed) }() // waits for the handlers
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("the handler goes on after its reader has left")
	}
}

// A page of another origin, which a browser of this machine shows, submits nothing.
func TestOtherOrigins(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/run", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	Front(nil).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
