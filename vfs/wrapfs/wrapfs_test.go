package wrapfs_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// plain is a wrapper that changes nothing, but that files have none of the optional interfaces if
// bare.
type plain struct {
	fsys      vfs.FS
	bare      bool
	appending sync.Mutex
}

func (p *plain) Root() vfs.Node     { return wrapfs.Root(p.Wrap(p.fsys.Root()), p.fsys.Root()) }
func (p *plain) Attach(env vfs.Env) { wrapfs.Attach(p.fsys, env) }

func (p *plain) Wrap(n vfs.Node) vfs.Node {
	if _, ok := n.(vfs.RegularFile); ok && p.bare {
		return &bareFile{wrapfs.RegularFile{Node: wrapfs.Node{Below: n, Of: p}}}
	}
	return wrapfs.Plain(n, p)
}

type bareFile struct{ wrapfs.RegularFile }

func (f *bareFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	below, err := f.RegularFile.Open(mode)
	if err != nil {
		return nil, err
	}
	return &wrapfs.File{Below: struct{ vfs.File }{below}, Node: f.Below, Turns: &f.Of.(*plain).appending}, nil
}

func TestSuite(t *testing.T) {
	for name, bare := range map[string]bool{"plain": false, "bare files": true} {
		t.Run(name, func(t *testing.T) {
			fssuite.Run(t, func(*testing.T) vfs.FS { return &plain{fsys: memfs.New(), bare: bare} })
		})
	}
	t.Run("host directory", func(t *testing.T) {
		d := fssuite.HostDir(t)
		p := &plain{fsys: d}
		if _, ok := p.Root().(vfs.Releaser); !ok && d.Root().(vfs.Releaser) != nil {
			t.Error("nobody will release the nodes of the host")
		}
	})
}

func TestRoot(t *testing.T) {
	mem := memfs.New()
	p := &plain{fsys: mem}
	root := p.Root()
	if _, ok := root.(vfs.Releaser); ok {
		t.Error("the root can be released, that below cannot")
	}
	if _, ok := wrapfs.Whole(root).(*wrapfs.Dir); !ok {
		t.Errorf("the whole root is a %T", wrapfs.Whole(root))
	}
	if below, err := wrapfs.Below(root, p); below != mem.Root() || err != nil {
		t.Errorf("below is %v, %v", below, err)
	}
	if _, err := wrapfs.Below(root, &plain{fsys: mem}); err != wasip1.EXDEV {
		t.Errorf("below a root of another wrapper: %v", err)
	}
	if _, _, err := wrapfs.OpenPath(mem.Root(), "f", true, 0, 0, 0); err != wasip1.ENOSYS {
		t.Errorf("a path below a root that opens none: %v", err)
	}
}

func TestWrappersOfOneFileSystemAreTwo(t *testing.T) {
	mem, err := memfs.FromMap(map[string]string{"f": "x"})
	if err != nil {
		t.Fatal(err)
	}
	a, b := (&plain{fsys: mem}).Root().(vfs.Directory), (&plain{fsys: mem}).Root().(vfs.Directory)
	f, err := a.Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Link("g", f); err != wasip1.EXDEV {
		t.Errorf("link: %v", err)
	}
	if err := a.Rename("f", b, "g"); err != wasip1.EXDEV {
		t.Errorf("rename: %v", err)
	}
}

func TestFileInSimpleSteps(t *testing.T) {
	mem, err := memfs.FromMap(map[string]string{"f": "0123456789"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := mem.Root().(vfs.Directory).Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	below, err := n.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite)
	if err != nil {
		t.Fatal(err)
	}
	f := &wrapfs.File{Below: struct{ vfs.File }{below}, Node: n}
	a, b := make([]byte, 4), make([]byte, 20)
	if n, err := f.ReadVector([][]byte{a, b}, 2); n != 8 || err != nil || string(a)+string(b[:4]) != "23456789" {
		t.Errorf("read %d, %v: %q %q", n, err, a, b)
	}
	if n, err := f.WriteVector([][]byte{[]byte("ab"), []byte("c")}, 1); n != 3 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, end, err := f.Append([][]byte{[]byte("x"), []byte("yz")}); n != 3 || end != 13 || err != nil {
		t.Errorf("appended %d up to %d, %v", n, end, err)
	}
	for _, c := range []struct{ off, n, size int64 }{{0, 5, 13}, {10, 5, 15}} {
		if err := f.Allocate(c.off, c.n); err != nil {
			t.Error(err)
		}
		if a, err := n.Attr(); err != nil || a.Size != uint64(c.size) {
			t.Errorf("after %+v the size is %d, %v", c, a.Size, err)
		}
	}
	if err := f.Advise(0, 0, wasip1.AdviceWillneed); err != nil {
		t.Error(err)
	}
	if got, err := mem.ReadFile("f"); string(got) != "0abc456789xyz\x00\x00" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCut(t *testing.T) {
	bufs := [][]byte{[]byte("ab"), []byte("cde"), []byte("f")}
	for n, want := range []string{"", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdef"} {
		got := ""
		for _, b := range wrapfs.Cut(bufs, int64(n)) {
			got += string(b)
		}
		if got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	if d := cmp.Diff([][]byte{[]byte("ab"), []byte("cde"), []byte("f")}, bufs); d != "" {
		t.Errorf("the buffers were changed: %s", d)
	}
}
