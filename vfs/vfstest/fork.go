package vfstest

import (
	"errors"
	"fmt"
	"os"

	"github.com/wasivirt/wasivirt/vfs"
)

// Fork checks what a [vfs.Forker] promises on a file system that is empty but for what make put
// there: copies hold what the original held, nodes have counterparts, also those of files without a
// name, and nobody sees what another changes.
func Fork(fsys vfs.FS) error {
	r, err := vfs.NewRoot(fsys)
	if err != nil {
		return err
	}
	c := &forkCheck{original: r}
	c.must(r.MkdirAll("fork/d", 0o777))
	c.must(r.WriteFile("fork/d/a", []byte("original"), 0o666))
	c.must(r.WriteFile("fork/b", []byte("to be removed"), 0o666))
	c.must(r.WriteFile("fork/open", []byte("has no name"), 0o666))
	open, err := r.OpenFile("fork/open", os.O_RDWR, 0)
	c.must(err)
	if c.err != nil {
		return c.err
	}
	defer open.Close()
	c.must(r.Remove("fork/open"))

	var first, second vfs.Forking
	taken, err := first.Fork(fsys)
	c.must(err)
	if c.err != nil {
		return c.err
	}
	again, err := second.Fork(taken.FS)
	c.must(err)
	if c.err != nil {
		return c.err
	}
	c.counterpart(taken, again, "fork/d/a", "original")
	c.nameless(taken, again, open)
	if again.Settle != nil {
		again.Settle()
	}
	forks := []*vfs.Root{c.root(taken.FS), c.root(again.FS)}
	if c.err != nil {
		return c.err
	}
	all := append([]*vfs.Root{r}, forks...)
	for i, each := range all {
		c.must(each.WriteFile("fork/d/a", fmt.Append(nil, "changed by ", i), 0o666))
		c.must(each.WriteFile(fmt.Sprint("fork/new", i), nil, 0o666))
	}
	c.must(all[1].Remove("fork/b"))
	c.must(all[2].Rename("fork/d", "fork/e"))
	for i, each := range all {
		name := "fork/d/a"
		if i == 2 {
			name = "fork/e/a"
		}
		c.holds(each, name, fmt.Sprint("changed by ", i))
		for j := range all {
			if _, err := each.Lstat(fmt.Sprint("fork/new", j)); (err == nil) != (i == j) {
				c.fail("file system %d sees the file that %d made: %v", i, j, err)
			}
		}
		if _, err := each.Lstat("fork/b"); (err == nil) != (i != 1) {
			c.fail("file system %d after 1 removed a file: %v", i, err)
		}
	}
	return c.err
}

type forkCheck struct {
	original *vfs.Root
	err      error
}

func (c *forkCheck) must(err error) { c.err = errors.Join(c.err, err) }

func (c *forkCheck) fail(format string, args ...any) { c.must(fmt.Errorf(format, args...)) }

func (c *forkCheck) root(fsys vfs.FS) *vfs.Root {
	r, err := vfs.NewRoot(fsys)
	c.must(err)
	return r
}

func (c *forkCheck) holds(r *vfs.Root, name, want string) {
	b, err := r.ReadFile(name)
	if err != nil || string(b) != want {
		c.fail("%s holds %q, want %q: %v", name, b, want, err)
	}
}

// counterpart checks the nodes of a file and of the root in both forks.
func (c *forkCheck) counterpart(taken, again vfs.Fork, name, want string) {
	f, err := c.original.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		c.must(err)
		return
	}
	defer f.Close()
	before, err := f.Attr()
	c.must(err)
	n := taken.Node(f.Node())
	if n != nil {
		n = again.Node(n)
	}
	if n == nil {
		c.fail("%s has no counterpart in the fork", name)
		return
	}
	after, err := n.Attr()
	if err != nil || before.Ino != after.Ino || before.Size != after.Size || before.Mtim != after.Mtim {
		c.fail("%s has attributes %+v in the fork, %+v in the original: %v", name, after, before, err)
	}
	c.reads(n, want)
}

// nameless checks that a file that has lost its name goes over.
func (c *forkCheck) nameless(taken, again vfs.Fork, f *vfs.OpenFile) {
	n := taken.Node(f.Node())
	if n != nil {
		n = again.Node(n)
	}
	if n == nil {
		c.fail("an open file without a name has no counterpart in the fork")
		return
	}
	c.reads(n, "has no name")
}

func (c *forkCheck) reads(n vfs.Node, want string) {
	file, ok := n.(vfs.RegularFile)
	if !ok {
		c.fail("the counterpart of a file is a %T", n)
		return
	}
	o, err := file.Open(vfs.OpenRead)
	if err != nil {
		c.must(err)
		return
	}
	defer o.Close()
	b := make([]byte, len(want)+1)
	if n, _ := o.ReadAt(b, 0); string(b[:n]) != want {
		c.fail("the counterpart of a file holds %q, want %q", b[:n], want)
	}
}
