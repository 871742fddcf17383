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
