package memfs_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
)

// source is something that leads to a guest.
type source [64]byte

func (*source) Read([]byte) error { return nil }

// TestAttachKeepsTheClock and nothing else of a guest: a file system may be mounted for longer.
func TestAttachKeepsTheClock(t *testing.T) {
	over := overlayfs.New(memfs.New(), memfs.New())
	for name, fsys := range map[string]vfs.FS{"memfs": memfs.New(), "aferofs": aferofs.New(afero.NewMemMapFs()), "overlayfs": over} {
		random := new(source)
		kept := weak.Make(random)
		fsys.(interface{ Attach(vfs.Env) }).Attach(vfs.Env{Clock: clock.Real(), Random: random.Read})
		random = nil
		runtime.GC()
		if kept.Value() != nil {
			t.Errorf("%s keeps the randomness", name)
		}
		runtime.KeepAlive(fsys)
	}
}
