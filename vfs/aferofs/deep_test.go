package aferofs_test

import (
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
)

// TestDeepTree makes directories so deep that a path for each of those that lead there would take
// 1.5 MB in every call.
func TestDeepTree(t *testing.T) {
	const depth = 1000
	store := afero.NewMemMapFs()
	fsys := aferofs.New(store)
	at := fsys.Root().(vfs.Directory)
	path := ""
	for range depth {
		sub, err := at.Mkdir("dd", 0o755)
		if err != nil {
			t.Fatal(err)
		}
		at = sub.(vfs.Directory)
		path += "/dd"
	}
	if fi, err := store.Stat(path); err != nil || !fi.IsDir() {
		t.Errorf("the store has %v, %v at the end", fi, err)
	}
	if n := testing.AllocsPerRun(10, func() {
		if _, err := at.Lookup("nothing"); err == nil {
			t.Error("found nothing")
		}
	}); n > 100 {
		t.Errorf("%v allocations for looking a name up", n)
	}
}
