package overlayfs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// churn makes one random change and returns what it was and how it went.
func churn(rng *rand.Rand, r *vfs.Root) string { return churnBut(rng, r, nil) }

// churnBut is churn that leaves renames out that skip speaks against.
func churnBut(rng *rand.Rand, r *vfs.Root, skip func(path string) bool) string {
	names := []string{"a", "b", "c", "d"}
	name := func() string {
		p := names[rng.IntN(len(names))]
		for rng.IntN(3) > 0 && len(p) < 7 {
			p += "/" + names[rng.IntN(len(names))]
		}
		return p
	}
	p, q, n := name(), name(), rng.IntN(40)
	var what string
	var err error
	switch rng.IntN(11) {
	case 0:
		what, err = "mkdir "+p, r.Mkdir(p, 0o777)
	case 1, 2:
		what, err = "write "+p, r.WriteFile(p, []byte(fmt.Sprint(p, n)), 0o666)
	case 3:
		what, err = "remove "+p, r.Remove(p)
	case 4, 5, 6:
		if skip != nil && skip(p) {
			return "nothing"
		}
		what, err = "rename "+p+" "+q, r.Rename(p, q)
	case 7:
		what, err = "link "+p+" "+q, r.Link(p, q)
	case 8:
		what, err = "truncate "+p, r.Truncate(p, int64(n))
	case 9:
		what, err = "symlink "+p, r.Symlink("t", p)
	case 10:
		what = "append " + p
		var f *vfs.OpenFile
		if f, err = r.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, err = f.Write([]byte("+"))
			f.Close()
		}
	}
	return fmt.Sprintf("%s: %s", what, wasip1.FromError(err).Name())
}

var modelFiles = map[string]string{
	"a/a": "1", "a/b/c": "22", "a/b/d": "333", "b": "4444", "c/c/c/c": "55555", "c/d": "666666", "d/": "",
}

func modelFS(t *testing.T) *memfs.FS {
	m, err := memfs.FromMap(modelFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := rootOf(t, m).Link("b", "a/link"); err != nil {
		t.Fatal(err)
	}
	return m
}

// filled gives a file system the files of the model.
func filled(t *testing.T, f vfs.FS) vfs.FS {
	t.Helper()
	into, err := vfs.NewRoot(f)
	if err != nil {
		t.Fatal(err)
	}
	for p, content := range modelFiles {
		if err := into.MkdirAll(path.Dir(p+"x"), 0o777); err != nil {
			t.Fatal(err)
		}
		if content == "" {
			continue
		}
		if err := into.WriteFile(p, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := into.Link("b", "a/link"); err != nil {
		t.Fatal(err)
	}
	return f
}

// Whatever is done, a wrapper gives the answers of the file system that it wraps, and in the end
// has the same content.
func TestRandomChangesAgreeWithMemfs(t *testing.T) {
	for name, newFS := range map[string]func(t *testing.T) vfs.FS{
		"overlayfs": func(t *testing.T) vfs.FS { return overlayfs.New(modelFS(t), memfs.New()) },
		"overlayfs twice": func(t *testing.T) vfs.FS {
			return overlayfs.New(overlayfs.New(modelFS(t), memfs.New()), memfs.New())
		},
		"quotafs": func(t *testing.T) vfs.FS { return quotafs.New(modelFS(t), quotafs.Limits{}) },
		"faultfs": func(t *testing.T) vfs.FS {
			f, err := faultfs.New(modelFS(t), nil, faultfs.WithDurability())
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"aferofs": func(t *testing.T) vfs.FS {
			return filled(t, aferofs.New(afero.NewMemMapFs()))
		},
		"overlayfs on the machine's directories": func(t *testing.T) vfs.FS {
			return overlayfs.New(filled(t, fssuite.HostDir(t)), fssuite.HostDir(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				fsys, model := newFS(t), vfs.FS(modelFS(t))
				if seed == 0 {
					if d := cmp.Diff(tree(t, model), tree(t, fsys)); d != "" {
						t.Fatalf("at the start (-memfs +this):\n%s", d)
					}
				}
				agree(t, seed, fsys, model)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func agree(t *testing.T, seed uint64, fsys, model vfs.FS) {
	t.Helper()
	a, b := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))
	this, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	that, err := vfs.NewRoot(model)
	if err != nil {
		t.Fatal(err)
	}
	var history []string
	for range 80 {
		got, want := churn(a, this), churn(b, that)
		history = append(history, want)
		if got != want {
			t.Errorf("seed %d: %q, want %q; before:\n%q", seed, got, want, history)
			return
		}
	}
	if d := cmp.Diff(tree(t, model), tree(t, fsys)); d != "" {
		t.Errorf("seed %d (-memfs +this):\n%s\nafter %q", seed, d, history)
		return
	}
	for p := range tree(t, model) {
		x, err1 := that.Lstat(p)
		y, err2 := this.Lstat(p)
		if err1 != nil || err2 != nil || x.Nlink != y.Nlink || x.Size != y.Size && x.Type != wasip1.FiletypeDirectory {
			t.Errorf("seed %d: %s: %+v %v, want %+v %v\nafter %q", seed, p, y, err2, x, err1, history)
		}
	}
}

// What Diff tells is enough to make the lower, or a copy of it, what the overlay shows; Discard
// brings the lower back.
func TestRandomDifferencesApply(t *testing.T) {
	for seed := range uint64(150) {
		lower := modelFS(t)
		before := tree(t, lower)
		o := overlayfs.New(lower, memfs.New())
		root, err := vfs.NewRoot(o)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		var history []string
		for range rng.IntN(40) {
			history = append(history, churn(rng, root))
		}
		want := tree(t, o)
		if got := tree(t, lower); !maps.Equal(before, got) {
			t.Fatalf("seed %d changed the lower: %s", seed, cmp.Diff(before, got))
		}
		other := modelFS(t)
		if err := o.Apply(other); err != nil {
			t.Fatalf("seed %d: %v\nafter %q", seed, err, history)
		}
		if d := cmp.Diff(want, tree(t, other)); d != "" {
			changes, _ := o.Diff()
			t.Fatalf("seed %d: a copy (-want +got):\n%s\nafter %q\nchanges %+v", seed, d, history, changes)
		}
		if seed%2 == 0 {
			if err := o.Apply(lower); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			before = want
		}
		if err := o.Discard(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, tree(t, o)); d != "" {
			t.Fatalf("seed %d: after Discard (-want +got):\n%s\nafter %q", seed, d, history)
		}
		if c, err := o.Diff(); err != nil || len(c) > 0 {
			t.Fatalf("seed %d: after Discard %v, %v", seed, c, err)
		}
	}
}

// When power goes before anything was synced, everything is as it was.
func TestRandomChangesAreTakenBack(t *testing.T) {
	for seed := range uint64(300) {
		mem := modelFS(t)
		f, err := faultfs.New(mem, nil, faultfs.WithDurability())
		if err != nil {
			t.Fatal(err)
		}
		root, err := vfs.NewRoot(f)
		if err != nil {
			t.Fatal(err)
		}
		// Renaming a file whose content is synced is durable at once.
		isFile := func(p string) bool {
			a, err := root.Lstat(p)
			return err == nil && a.Type != wasip1.FiletypeDirectory
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		before := tree(t, mem)
		for range 2 {
			var history []string
			for range rng.IntN(30) {
				history = append(history, churnBut(rng, root, isFile))
			}
			if err := f.LosePower(); err != nil {
				t.Fatalf("seed %d: %v\nafter %q", seed, err, history)
			}
			if d := cmp.Diff(before, tree(t, mem)); d != "" {
				t.Fatalf("seed %d (-before +after):\n%s\nafter %q", seed, d, history)
			}
		}
	}
}
