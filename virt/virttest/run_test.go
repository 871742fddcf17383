package virttest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

// logging is a test that fails without ending, whose texts are looked at.
type logging struct {
	testing.TB
	text   *strings.Builder
	failed *bool
	end    *[]func()
}

func (l logging) Errorf(format string, args ...any) {
	*l.failed = true
	fmt.Fprintf(l.text, format+"\n", args...)
}
func (l logging) Logf(format string, args ...any) { fmt.Fprintf(l.text, format+"\n", args...) }
func (l logging) Failed() bool                    { return *l.failed }
func (l logging) Cleanup(f func())                { *l.end = append(*l.end, f) }

func quickstart(tb testing.TB) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join("..", "..", "examples", "quickstart", "guest", "guest.wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func TestRunComparesExitOutputAndTree(t *testing.T) {
	o := virttest.Run(t, virttest.Guest{Wasm: quickstart(t), Txtar: "-- /in.txt --\nhello\n"}).Exit(0)
	if o.Files["/in.txt"] != "hello\n" {
		t.Errorf("the files at the end: %q", o.Files)
	}
	o.Output(o.Stdout).Tree(o.Files)
	golden := filepath.Join(t.TempDir(), "golden.txt")
	if err := os.WriteFile(golden, []byte("exit 1\n-- stdout --\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var failed bool
	var end []func()
	spy := logging{t, &text, &failed, &end}
	virttest.Run(spy, virttest.Guest{Wasm: quickstart(t), Seed: 7, Faults: []string{"path_open:EIO"}}).
		Output("nothing").Tree(map[string]string{"/a": "b"}).Golden(golden)
	for _, f := range end {
		f()
	}
	for _, want := range []string{"standard output (-want +got)", "files (-want +got)", "-virttest.update", "last calls:", "= EIO (input/output error) [fault path_open:EIO]",
		"- \t\"exit 1\\n\"",
		virttest.SeedVariable + "=7 go test -count=1 -run '^TestRunComparesExitOutputAndTree$' ."} {
		// Package cmp writes spaces of one kind or another, from build to build.
		if shown := strings.ReplaceAll(text.String(), "\u00a0", " "); !strings.Contains(shown, want) {
			t.Errorf("the failure does not show %q:\n%s", want, shown)
		}
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	for want, g := range map[string]virttest.Guest{
		"Give Guest.Wasm or Guest.Package": {},
		"want an errno such as EIO":        {Wasm: quickstart(t), Faults: []string{"path_open:EFOO"}},
	} {
		text := failure(t, func(tb testing.TB) { virttest.Run(tb, g) })
		if !strings.Contains(text, want) {
			t.Errorf("failed with %q, want %q", text, want)
		}
	}
	text := failure(t, func(tb testing.TB) {
		virttest.Run(tb, virttest.Guest{Wasm: quickstart(t)}).Golden(filepath.Join(t.TempDir(), "none.txtar"))
	})
	if want := "go test -run '^TestRunSaysWhatIsMissing$' . -virttest.update"; !strings.Contains(text, want) {
		t.Errorf("failed with %q, want %q", text, want)
	}
}

func TestRunBuildsAGoGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a Go program")
	}
	virttest.Run(t, virttest.Guest{Package: "../testdata/go/hello", Files: map[string]string{"/in.txt": "a"}}).
		Exit(3).Output("1 bytes, [] \n").Tree(map[string]string{"/in.txt": "a", "/out.txt": "A"})
}

func TestRunUsesARuntimeOfTheEmbedders(t *testing.T) {
	r := wazero.NewRuntime(t.Context())
	defer func() {
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	guest := virttest.Guest{Wasm: quickstart(t), Txtar: "-- /in.txt --\nhello\n", Options: []virt.Option{virt.WithRuntime(r)}}
	virttest.Run(t, guest).Exit(0)
}
