package virt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// wazeroGuests is the directory of the guests that wazero tests its own WASI with. They lie in the
// module, which is in the cache already because the library is built with it.
var wazeroGuests = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "imports", "wasi_snapshot_preview1"), err
})

func wazeroGuest(tb testing.TB, path string) []byte {
	tb.Helper()
	dir, err := wazeroGuests()
	if err != nil {
		tb.Fatalf("find wazero's module: %v", err)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// console runs a command and returns what it wrote to both outputs. It has to exit with 0.
func console(t *testing.T, host *virt.Host, m *virt.Module, opts ...virt.GuestOption) string {
	t.Helper()
	var out bytes.Buffer
	result, err := host.RunModule(t.Context(), m, append(opts, virt.WithStdout(&out), virt.WithStderr(&out))...)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Success() {
		t.Errorf("%v, want exit 0\n%s", result, out.String())
	}
	return out.String()
}

func compiled(t testing.TB, host *virt.Host, wasm []byte) *virt.Module {
	t.Helper()
	m, err := host.Compile(context.Background(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// toolchains are the compilers of wazero's guests.
var toolchains = []string{"cargo-wasi", "tinygo", "zig", "zig-cc"}

func TestWazeroGuestsList(t *testing.T) {
	files := memfs.New()
	for _, dir := range []string{"dir/a-", "tons"} {
		if err := files.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"dir/-", "dir/ab-"}
	const tons = 8096
	for i := range tons {
		names = append(names, fmt.Sprintf("tons/%d", i))
	}
	for _, name := range names {
		if err := files.WriteFile(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"./-", "./a-", "./ab-"}
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"empty", []string{"ls", "./dir/a-"}, nil},
		{"not a directory", []string{"ls", "dir/-"}, []string{"ENOTDIR"}},
		{"entries", []string{"ls", "dir"}, all},
		{"entries twice", []string{"ls", "dir", "repeat"}, slices.Concat(all, all)},
		{"tons", []string{"ls", "tons"}, nil},
	}
	host := newHost(t, virt.WithName("wasi"), virt.WithMount("/", files))
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			m := compiled(t, host, wazeroGuest(t, "testdata/"+toolchain+"/wasi.wasm"))
			for _, tc := range tests {
				t.Run(tc.name, func(t *testing.T) {
					if toolchain == "tinygo" && tc.name == "entries twice" {
						t.Skip("its library cannot rewind a directory: wazero skips it as well")
					}
					lines := strings.Fields(console(t, host, m, virt.WithArgs(tc.args...)))
					want := slices.Clone(tc.want)
					if dots := []string{"./.", "./.."}; toolchain == "zig-cc" && tc.name != "not a directory" {
						want = append(want, dots...)
						if tc.name == "entries twice" {
							want = append(want, dots...)
						}
					}
					if tc.name == "tons" {
						if n := len(lines) - len(want); n != tons {
							t.Errorf("%d entries, want %d", n, tons)
						}
						return
					}
					if toolchain == "cargo-wasi" && tc.name != "not a directory" {
						// Rust prints the path, which begins as the argument does.
						for i, l := range lines {
							lines[i] = "./" + strings.TrimPrefix(l, tc.args[1]+"/")
						}
					}
					slices.Sort(lines)
					slices.Sort(want)
					if diff := cmp.Diff(want, lines); diff != "" && len(want)+len(lines) > 0 {
						t.Errorf("entries (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}

func TestWazeroGuestsTellStreamsFromTerminals(t *testing.T) {
	host := newHost(t, virt.WithName("wasi"), virt.WithArgs("stat"))
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			m := compiled(t, host, wazeroGuest(t, "testdata/"+toolchain+"/wasi.wasm"))
			got := console(t, host, m)
			want := "stdin isatty: false\nstdout isatty: false\nstderr isatty: false\n/ isatty: false\n"
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			got = console(t, host, m, virt.WithStream(0, stdio.Terminal(stdio.Discard{})))
			if want := strings.Replace(want, "stdin isatty: false", "stdin isatty: true", 1); got != want {
				t.Errorf("with a terminal: got %q, want %q", got, want)
			}
		})
	}
}

// TestWazeroGuestPreopens differs from wazero's own test in that absolute mounts are seen through
// one "/".
func TestWazeroGuestPreopens(t *testing.T) {
	host := newHost(t, virt.WithName("wasi"), virt.WithArgs("preopen"))
	m := compiled(t, host, wazeroGuest(t, "testdata/zig/wasi.wasm"))
	got := console(t, host, m, virt.WithMount("/", memfs.New()), virt.WithMount("/tmp", memfs.New()), virt.WithMount("sub", memfs.New()))
	if want := "0: stdin\n1: stdout\n2: stderr\n3: /\n4: sub\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWazeroGuestPolls(t *testing.T) {
	idle, typing := io.Pipe()
	defer typing.Close()
	tests := []struct {
		name  string
		args  []string
		stdin vfs.Stream
		want  string
		takes time.Duration
	}{
		{"data", []string{"poll"}, stdio.Reader(strings.NewReader("test")), "STDIN\n", 0},
		{"data, half a second", []string{"poll", "0", "500"}, stdio.Reader(strings.NewReader("test")), "STDIN\n", 0},
		{"data, terminal", []string{"poll", "0", "500"}, stdio.Terminal(stdio.Reader(strings.NewReader("test"))), "STDIN\n", 0},
		{"no data, terminal", []string{"poll", "0", "500"}, stdio.Terminal(stdio.Reader(idle)), "NOINPUT\n", 500 * time.Millisecond},
		{"end", []string{"poll", "0", "500"}, stdio.Terminal(stdio.Reader(strings.NewReader(""))), "STDIN\n", 0},
	}
	wasm := wazeroGuest(t, "testdata/zig-cc/wasi.wasm")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			k := clock.NewVirtual(clock.WithAutoAdvance())
			host := newHost(t, virt.WithClock(k), virt.WithName("wasi"))
			got := console(t, host, compiled(t, host, wasm), virt.WithArgs(tc.args...), virt.WithStream(0, tc.stdin))
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if took := k.Elapsed(); took != tc.takes {
				t.Errorf("took %v, want %v", took, tc.takes)
			}
		})
	}
}

func TestWazeroGuestSleeps(t *testing.T) {
	k := clock.NewVirtual(clock.WithAutoAdvance())
	host := newHost(t, virt.WithClock(k), virt.WithName("wasi"), virt.WithArgs("sleepmillis", "100"))
	if got := console(t, host, compiled(t, host, wazeroGuest(t, "testdata/zig-cc/wasi.wasm"))); got != "OK\n" {
		t.Errorf("got %q", got)
	}
	if took := k.Elapsed(); took != 100*time.Millisecond {
		t.Errorf("took %v, want 100ms", took)
	}
}

func TestWazeroGuestOpens(t *testing.T) {
	host := newHost(t, virt.WithName("wasi"))
	m := compiled(t, host, wazeroGuest(t, "testdata/zig-cc/wasi.wasm"))
	for _, how := range []string{"open-rdonly", "open-wronly"} {
		// The guest writes with perror to standard error where it should fail, and prints OK where
		// it does.
		got := console(t, host, m, virt.WithArgs(how), virt.WithMount("/", memfs.New()))
		if strings.TrimSpace(got) != "OK" {
			t.Errorf("%s: got %q, want OK", how, got)
		}
	}
}

func TestWazeroGuestsAccept(t *testing.T) {
	for _, toolchain := range []string{"cargo-wasi", "zig-cc"} {
		t.Run(toolchain, func(t *testing.T) {
			k := clock.NewVirtual(clock.WithAutoAdvance())
			network := netmem.New(k)
			listener, err := network.Listen("server:80", 1)
			if err != nil {
				t.Fatal(err)
			}
			host := newHost(t, virt.WithClock(k), virt.WithName("wasi"), virt.WithArgs("sock"))
			m := compiled(t, host, wazeroGuest(t, "testdata/"+toolchain+"/wasi.wasm"))
			sent := make(chan error, 1)
			go func() {
				conn, err := network.DialContext(t.Context(), "tcp", "server:80")
				if err == nil {
					_, err = conn.Write([]byte("wazero"))
				}
				sent <- err
			}()
			got := console(t, host, m, virt.WithoutFiles(), virt.WithPreopened(listener))
			if err := <-sent; err != nil {
				t.Errorf("host code: %v", err)
			}
			if got != "wazero\n" {
				t.Errorf("got %q, want %q", got, "wazero\n")
			}
		})
	}
}

// fifo is a file system that is one named pipe.
type fifo struct {
	r      *pipe.Reader
	opened func()
}

func (f fifo) Root() vfs.Node            { return f }
func (f fifo) Type() wasip1.Filetype     { return wasip1.FiletypeUnknown }
func (f fifo) Attr() (vfs.Attr, error)   { return vfs.Attr{Type: f.Type(), Ino: 1, Nlink: 1}, nil }
func (f fifo) SetAttr(vfs.SetAttr) error { return wasip1.ENOTSUP }

func (f fifo) OpenStream(vfs.OpenMode) (vfs.Stream, error) {
	f.opened()
	return f.r, nil
}

// TestWazeroGuestReadsWithoutWaiting reads a named pipe with O_NONBLOCK, and prints a dot each
// tenth of a second in which there is nothing.
func TestWazeroGuestReadsWithoutWaiting(t *testing.T) {
	k := clock.NewVirtual(clock.WithAutoAdvance())
	r, w := pipe.New(0)
	host := newHost(t, virt.WithClock(k), virt.WithName("wasi"), virt.WithArgs("nonblock", "/fifo"))
	// Set while the guest runs, which keeps the clock from going there at once.
	opened := func() {
		k.AfterFunc(k.Monotonic()+int64(time.Second), func() {
			if _, err := w.Write([]byte("wazero")); err != nil {
				t.Error(err)
			}
		})
	}
	m := compiled(t, host, wazeroGuest(t, "testdata/zig-cc/wasi.wasm"))
	got := console(t, host, m, virt.WithMount("/", memfs.New()), virt.WithMount("/fifo", fifo{r, opened}))
	dots, text, _ := strings.Cut(got, "\n")
	// One for each try before the second is over, and one because errno is still EAGAIN after the
	// last.
	if want := strings.Repeat(".", 11); dots != want {
		t.Errorf("printed %d dots, want %d", len(dots), len(want))
	}
	if text != "wazero\n" {
		t.Errorf("read %q", text)
	}
}

func TestWazeroGuestsCat(t *testing.T) {
	text := []byte("greet filesystem\n")
	cases := memfs.New()
	if err := cases.WriteFile("test.txt", text); err != nil {
		t.Fatal(err)
	}
	files := memfs.New()
	if err := files.WriteFile("test.txt", text); err != nil {
		t.Fatal(err)
	}
	host := newHost(t, virt.WithName("cat"), virt.WithMount("/", files), virt.WithMount("/testcases", cases))
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			m := compiled(t, host, wazeroGuest(t, "example/testdata/"+toolchain+"/cat.wasm"))
			// wazero leaves out Zig with the second file, because its mounts are preopens of their
			// own. Here they are one tree.
			for _, name := range []string{"test.txt", "testcases/test.txt"} {
				if got := console(t, host, m, virt.WithArgs(name)); got != string(text) {
					t.Errorf("%s: got %q", name, got)
				}
			}
			var out bytes.Buffer
			result, err := host.RunModule(t.Context(), m, virt.WithArgs("missing.txt"), virt.WithStdout(&out))
			if err != nil {
				t.Fatal(err)
			}
			if result.Success() || out.Len() > 0 {
				t.Errorf("a file that is missing: %v and %q", result, out.String())
			}
		})
	}
}

func TestWazeroGuestsByHand(t *testing.T) {
	host := newHost(t)
	run := func(name string, opts ...virt.GuestOption) (*virt.Result, string) {
		var out bytes.Buffer
		result, err := host.Run(t.Context(), wazeroGuest(t, "testdata/"+name+".wasm"), append(opts, virt.WithStdout(&out))...)
		if err != nil {
			t.Fatal(err)
		}
		return result, out.String()
	}
	if result, out := run("print_args", virt.WithName("foo"), virt.WithArgs("bar")); out != "foo\x00bar\x00" || !result.Success() {
		t.Errorf("print_args: %v and %q", result, out)
	}
	if result, out := run("print_prestat_dirname"); out != "/" || !result.Success() {
		t.Errorf("print_prestat_dirname: %v and %q", result, out)
	}
	if result, _ := run("exit_on_start"); result.Outcome != virt.Exited || result.ExitCode != 2 {
		t.Errorf("exit_on_start: %v, want exit 2", result)
	}
}
