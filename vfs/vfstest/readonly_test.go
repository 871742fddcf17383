package vfstest_test

import (
	"testing"
	"testing/fstest"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

// A file system that cannot be changed is made with the content of Tree.
func TestReadOnly(t *testing.T) {
	err := vfstest.Test(func() (vfs.FS, error) {
		m := fstest.MapFS{}
		for name, content := range vfstest.Tree() {
			m[name] = &fstest.MapFile{Data: []byte(content)}
		}
		return iofs.New(m), nil
	}, vfstest.WithReadOnly())
	if err != nil {
		t.Error(err)
	}
}
