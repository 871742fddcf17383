package hostfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			for _, c := range vfstest.Cases() {
				if !c.Applies(missing(name)) {
					continue
				}
				t.Run(c.Name, func(t *testing.T) {
					b, err := open(t.TempDir(), options{})
					if err != nil {
						t.Fatal(err)
					}
					if err := c.Run(&FS{b}, missing(name)); err != nil {
						t.Error(err)
					}
				})
			}
			t.Run("read-only", func(t *testing.T) {
				dir := t.TempDir()
				for name, content := range vfstest.Tree() {
					writeFile(t, filepath.Join(dir, filepath.FromSlash(name)), content)
				}
				opts := []vfstest.Option{vfstest.WithReadOnly(), missing(name)}
				for _, c := range vfstest.Cases() {
					if !c.Applies(opts...) {
						continue
					}
					b, err := open(dir, options{readOnly: true})
					if err != nil {
						t.Fatal(err)
					}
					if err := c.Run(&FS{b}, opts...); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// missing is what a backend cannot do on this system, or on the file system of the temporary
// directory.
func missing(string) vfstest.Option {
	var c vfstest.Capability
	if os.PathSeparator == '\\' {
		c = vfstest.ByteNames | vfstest.Modes | vfstest.DirNlink | vfstest.OpenUnlink
	}
	return vfstest.Without(c)
}
