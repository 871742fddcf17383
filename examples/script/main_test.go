package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var engine = sync.OnceValues(func() (*Engine, error) { return NewEngine(context.Background()) })

func warm(t *testing.T) *Engine {
	t.Helper()
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMain(m *testing.M) {
	status := m.Run()
	if e, err := engine(); err == nil {
		e.Close(context.Background())
	}
	os.Exit(status)
}

func TestScripts(t *testing.T) {
	e := warm(t)
	tests := []struct {
		name, script string
		files        map[string]string
		want         Output
	}{
		{name: "an expression", script: "1 + 2", want: Output{Stdout: "3\n", End: "ok"}},
		{name: "files", script: `write_file("/out/b", read_file("/in/a").upper())`, files: map[string]string{"/in/a": "text"},
			want: Output{End: "ok", Files: map[string]string{"in/a": "text", "out/b": "TEXT"}}},
		{name: "an error", script: "print('begun')\nfail('no')", want: Output{Stdout: "begun\n", End: "failed", Stderr: "fail: no"}},
		{name: "a mistake", script: "x = ", want: Output{End: "failed", Stderr: "got end of file"}},
		{name: "nothing of the machine", script: `read_file("/etc/passwd")`, want: Output{End: "failed", Stderr: "No such file"}},
		{name: "an endless loop", script: "while True: pass", want: Output{End: "out of wall time"}},
		{name: "memory without end", script: "x = 'x' * 1000\nwhile True: x += x", want: Output{End: "trap: unreachable", Stderr: "out of memory"}},
		{name: "output without end", script: "while True: print('x' * 1000)", want: Output{End: "out of output bytes", Stdout: "x"}},
		{name: "disk without end", script: "write_file('/a', 'x' * 50000000)", want: Output{End: "failed", Stderr: "Quota exceeded"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := e.Run(t.Context(), tc.script, tc.files)
			if err != nil {
				t.Fatal(err)
			}
			if out.End != tc.want.End || !strings.Contains(strings.ToLower(out.Stderr), strings.ToLower(tc.want.Stderr)) || !strings.HasPrefix(out.Stdout, tc.want.Stdout) {
				t.Errorf("%+v", *out)
			}
			if tc.want.Files != nil {
				if d := cmp.Diff(tc.want.Files, out.Files); d != "" {
					t.Errorf("files (-want +got):\n%s", d)
				}
			}
		})
	}
}

// TestScriptsKnowNothingOfOneAnother runs scripts side by side that would see what others leave.
func TestScriptsKnowNothingOfOneAnother(t *testing.T) {
	e := warm(t)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			out, err := e.Run(t.Context(), "print(list_files())\nmine = 1\nwrite_file('/mine', 'x')", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if out.Stdout != "[\"/script\"]\n" || out.End != "ok" {
				t.Errorf("%+v", *out)
			}
			if out, err = e.Run(t.Context(), "mine", nil); err != nil || !strings.Contains(out.Stderr, "undefined: mine") {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	all.Wait()
}

func TestSession(t *testing.T) {
	var out bytes.Buffer
	in := "x = 3\ndef f(n):\n  return n + x\n\nf(4)\nfail('no')\nx\nwhile True: pass\n\nx\n"
	if err := repl(t.Context(), warm(t), strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"7\n", "fail: no", "3\n", "out of wall time: the session begins anew\n", "undefined: x"} {
		_, rest, found := strings.Cut(out.String(), want)
		if !found {
			t.Fatalf("%q is not in its place in the rest:\n%s", want, out.String())
		}
		out.Reset()
		out.WriteString(rest)
	}
}

func TestCommand(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status, err := run(t.Context(), []string{"-"}, strings.NewReader("print(1)\nfail('x')"), &stdout, &stderr)
	if err != nil || status != 1 || stdout.String() != "1\n" || !strings.Contains(stderr.String(), "fail: x") {
		t.Errorf("status %d, %v; %q, %q", status, err, stdout.String(), stderr.String())
	}
}

func TestFront(t *testing.T) {
	web := httptest.NewServer(front(warm(t)))
	defer web.Close()
	post := func(body string) (int, string) {
		r, err := http.Post(web.URL+"/run", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	code, text := post(`{"script": "print(read_file('/a'))", "files": {"/a": "text"}}`)
	var out Output
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != 200 || out.Stdout != "text\n" || !strings.Contains(out.Trace, "path_open") {
		t.Errorf("%d %s", code, text)
	}
	for _, bad := range []string{"", "{", `{"script": 1}`, `{"script": "` + strings.Repeat("x", maxRequest) + `"}`} {
		if code, text := post(bad); code != 400 || !strings.Contains(text, "want") {
			t.Errorf("%.20q: %d %s", bad, code, text)
		}
	}
}

// A page of another origin, which a browser of this machine shows, runs nothing.
func TestOtherOrigins(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/run", strings.NewReader(`{"script": "print(1)"}`))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	front(nil).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestPageInABrowser runs the page's script in Chromium. SCRIPT_SCREENSHOT names a file for a
// picture.
func TestPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on the PATH: the page is not looked at")
	}
	web := httptest.NewServer(front(warm(t)))
	defer web.Close()
	look := func(args ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, browser, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
			"--user-data-dir=" + t.TempDir()}, append(args, web.URL+"/#run")...)...)
		cmd.WaitDelay = 5 * time.Second // its helper processes keep the pipe
		return cmd.Output()
	}
	dom, err := look("--dump-dom")
	if err != nil {
		dom, err = look("--dump-dom") // a headless browser sometimes hangs at its first start
	}
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	for _, want := range []string{`class="ok">ok, `, "[2, 3, 5, 7, 11,", "out/primes.json", "path_open("} {
		if !bytes.Contains(dom, []byte(want)) {
			t.Errorf("the page does not hold %s:\n%s", want, dom)
		}
	}
	if picture := os.Getenv("SCRIPT_SCREENSHOT"); picture != "" {
		if picture, err = filepath.Abs(picture); err != nil {
			t.Fatal(err)
		}
		if _, err := look("--screenshot="+picture, "--window-size=1100,800"); err != nil {
			t.Errorf("screenshot: %v", err)
		}
	}
}

func BenchmarkScript(b *testing.B) {
	e, err := engine()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if out, err := e.Run(b.Context(), "1 + 2", nil); err != nil || out.End != "ok" {
			b.Fatal(out, err)
		}
	}
}
