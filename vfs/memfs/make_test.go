package memfs

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestMake: a name is made once, and found by all others that would have made it.
func TestMake(t *testing.T) {
	f := New()
	d := f.root
	var made atomic.Int32
	var nodes [8]vfs.Node
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() {
			node, file, err := d.Make("file", 0o600)
			if err != nil {
				t.Error(err)
			}
			if file != nil {
				made.Add(1)
			}
			nodes[i] = node
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	for _, n := range nodes {
		if n != nodes[0] {
			t.Error("one name, two nodes")
		}
	}
	if a, err := nodes[0].Attr(); err != nil || a.Mode != 0o600 || a.Type != wasip1.FiletypeRegularFile {
		t.Errorf("%+v, %v", a, err)
	}
	sub, err := d.Mkdir("sub", 0o777)
	must(t, err)
	if node, file, err := d.Make("sub", 0o666); node != sub || file != nil || err != nil {
		t.Errorf("Make of a directory's name: %v, %v, %v", node, file, err)
	}
	must(t, d.Rmdir("sub"))
	if _, _, err := sub.(*dirNode).Make("x", 0o666); err != wasip1.ENOENT {
		t.Errorf("Make in a removed directory: %v, want ENOENT", err)
	}
	for name, want := range map[string]error{"": wasip1.EINVAL, "..": wasip1.EINVAL, "a/b": wasip1.EINVAL} {
		if _, _, err := d.Make(name, 0o666); err != want {
			t.Errorf("Make(%q): %v, want %v", name, err, want)
		}
	}
}
