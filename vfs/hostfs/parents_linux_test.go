package hostfs

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
)

// A guest makes, moves and removes names below directories that are renamed, removed, made again
// and exchanged with links out of the mount meanwhile. Whatever it is answered, nothing happens
// outside.
func TestParentsThatChangeLeadNowhere(t *testing.T) {
	const rounds = 400
	for name, beneath := range map[string]bool{"in one step": true, "name by name": false} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			for _, root := range []string{dir, outside} {
				if err := os.MkdirAll(filepath.Join(root, "p/q"), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "p/q/file"), []byte("OUTSIDE"), 0o666); err != nil {
				t.Fatal(err)
			}
			fsys := newFS(t, dir)
			b := fsys.backend.(*held)
			b.beneath = b.beneath && beneath
			root, err := vfs.NewRoot(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var done atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() { // everything that can become of a parent
				rng := rand.New(rand.NewPCG(1, 1))
				in := func(p string) string { return filepath.Join(dir, p) }
				for !done.Load() {
					// A path through a link out of the mount would make this goroutine change what
					// is outside.
					if fi, err := os.Lstat(in("p")); err == nil && fi.Mode()&os.ModeSymlink != 0 {
						os.Remove(in("p"))
						os.RemoveAll(in("link"))
						continue
					}
					switch rng.IntN(6) {
					case 0:
						unix.Rename(in("p/q"), in("away"))
					case 1:
						unix.Rename(in("away"), in("p/q"))
					case 2:
						os.RemoveAll(in("p"))
					case 3:
						os.MkdirAll(in("p/q"), 0o777)
					case 4:
						os.Symlink(filepath.Join(outside, "p"), in("link"))
						unix.Renameat2(unix.AT_FDCWD, in("link"), unix.AT_FDCWD, in("p"), unix.RENAME_EXCHANGE)
					case 5:
						os.Symlink(filepath.Join(outside, "p/q"), in("p/link"))
						unix.Renameat2(unix.AT_FDCWD, in("p/link"), unix.AT_FDCWD, in("p/q"), unix.RENAME_EXCHANGE)
					}
				}
			})
			for range rounds {
				root.Mkdir("p/q/made", 0o777)
				root.Rename("p/q/made", "p/moved")
				root.Remove("p/moved")
				root.Symlink("target", "p/q/symlink")
				root.Remove("p/q/symlink")
				root.WriteFile("p/q/file", []byte("inside"), 0o666)
				if b, err := root.ReadFile("p/q/file"); err == nil && string(b) == "OUTSIDE" {
					t.Error("a file outside was read")
				}
				root.Rename("p/q/file", "p/q/other")
				root.Remove("p/q/other")
			}
			done.Store(true)
			wg.Wait()
			var got []string
			filepath.WalkDir(outside, func(path string, _ os.DirEntry, _ error) error {
				rel, _ := filepath.Rel(outside, path)
				got = append(got, rel)
				return nil
			})
			content, err := os.ReadFile(filepath.Join(outside, "p/q/file"))
			if len(got) != 4 || string(content) != "OUTSIDE" || err != nil {
				t.Errorf("outside is now %q, %q, %v", got, content, err)
			}
		})
	}
}
