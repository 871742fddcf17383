package testcache

import (
	"testing"

	"github.com/wasivirt/wasivirt/internal/usercache"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/compile"
)

// What a Host with the option compiles is kept, unless nothing is to be kept.
func TestOption(t *testing.T) {
	t.Setenv(usercache.Variable, t.TempDir())
	compiles := func() {
		t.Helper()
		host, err := virt.NewBuilder(Option()).Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close(t.Context())
		if _, err := host.Compile(t.Context(), []byte("\x00asm\x01\x00\x00\x00")); err != nil {
			t.Fatal(err)
		}
	}
	compiles()
	if _, entries, err := compile.CacheSize(usercache.ForTests()); entries != 1 || err != nil {
		t.Errorf("%d entries, %v, want one", entries, err)
	}
	t.Setenv(usercache.Variable, "off")
	compiles()
}

// A large module stays loaded after its Host has been closed, also if its Module is closed later.
func TestLargeModulesStayLoaded(t *testing.T) {
	t.Setenv(usercache.Variable, t.TempDir())
	// A custom section makes the module large: its name, of one byte, and 512 KiB.
	wasm := append([]byte("\x00asm\x01\x00\x00\x00\x00\x82\x80\x20\x01x"), make([]byte, 512<<10)...)
	for i := range 3 {
		host, err := virt.NewBuilder(Option()).Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := host.Compile(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := 0
		if i == 0 {
			want = 1
		}
		if _, entries, err := compile.CacheSize(usercache.ForTests()); entries != want || err != nil {
			t.Errorf("run %d: %d entries, %v, want %d", i, entries, err, want)
		}
		if err := compile.ClearCache(usercache.ForTests()); err != nil {
			t.Fatal(err)
		}
	}
}
