package memfs

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
)

// readNext reads up to size bytes of n from off on as a guest does that goes on where it was.
func readNext(t *testing.T, n *fileNode, off int64, size int) []byte {
	t.Helper()
	p := make([]byte, size)
	pos := off
	k, err := n.ReadNext([][]byte{p}, &pos)
	must(t, err)
	if pos != off+int64(k) {
		t.Fatalf("%d bytes from %d on moved the position to %d", k, off, pos)
	}
	return p[:k]
}

// TestChunkThatIsRemembered changes a file of several chunks, and forks of it, in all ways that
// replace, cut or drop a chunk, and reads and writes in between, near where it did so before.
func TestChunkThatIsRemembered(t *testing.T) {
	type copied struct {
		f    *FS
		n    *fileNode
		want []byte
		pos  int64
	}
	const chunks = 5
	rng := rand.New(rand.NewPCG(7, 11))
	f := New()
	all := []*copied{{f: f, n: makeFile(t, f, "file")}}
	for step := range 20_000 {
		c := all[rng.IntN(len(all))]
		if rng.IntN(8) == 0 {
			c.pos = rng.Int64N(chunks * chunkSize)
		}
		size := 1 + rng.IntN(200)
		switch what := rng.IntN(100); {
		case what < 40:
			end := min(int(c.pos)+size, len(c.want))
			want := c.want[min(int(c.pos), end):end]
			if got := readNext(t, c.n, c.pos, size); !bytes.Equal(got, want) {
				t.Fatalf("step %d: %d bytes from %d on of %d differ", step, size, c.pos, len(c.want))
			}
			c.pos += int64(len(want))
		case what < 90:
			p := make([]byte, size)
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			off := c.pos
			if what < 60 {
				_, err := c.n.WriteNext([][]byte{p}, &c.pos)
				must(t, err)
			} else if what < 80 {
				_, err := c.n.WriteAt(p, off)
				must(t, err)
			} else {
				off = int64(len(c.want))
				_, err := c.n.AppendNext([][]byte{p}, &c.pos)
				must(t, err)
			}
			if end := int(off) + size; end > len(c.want) {
				c.want = append(c.want, make([]byte, end-len(c.want))...)
			}
			copy(c.want[off:], p)
		case what < 97:
			to := rng.IntN(chunks * chunkSize)
			if what == 90 {
				to = 0
			}
			must(t, c.n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(to)}))
			if to <= len(c.want) {
				c.want = c.want[:to:to]
			} else {
				c.want = append(c.want, make([]byte, to-len(c.want))...)
			}
		default:
			g := c.f.Fork()
			fork := &copied{g, g.ForkNode(c.n).(*fileNode), bytes.Clone(c.want), c.pos}
			if len(all) < 4 {
				all = append(all, fork)
			} else {
				all[rng.IntN(len(all))] = fork
			}
		}
	}
	for _, c := range all {
		if got := readNext(t, c.n, 0, len(c.want)); !bytes.Equal(got, c.want) {
			t.Error("a file differs at the end")
		}
		checkUsage(t, c.f)
	}
}

// What forks share is read by each under a lock of its own, so that none may change it, and
// remembers nothing there.
func TestForksRememberNothingInWhatTheyShare(t *testing.T) {
	f := New()
	must(t, f.WriteFile("file", make([]byte, 4*chunkSize)))
	one, err := f.open("file", vfs.OpenRead)
	must(t, err)
	readNext(t, one, 2*chunkSize, 1)
	if at := one.in.rest.at; at != 2 {
		t.Errorf("chunk %d is remembered after a read of chunk 2", at)
	}
	g := f.Fork()
	other := g.ForkNode(one).(*fileNode)
	if one.in != other.in {
		t.Fatal("a fork has an inode of its own already")
	}
	var wait sync.WaitGroup
	for _, n := range []*fileNode{one, other} {
		wait.Go(func() {
			for off := int64(0); off < 4*chunkSize; off += 100 {
				readNext(t, n, off, 1)
			}
		})
	}
	wait.Wait()
	if at := one.in.rest.at; at != 2 {
		t.Errorf("chunk %d is remembered by forks that only read", at)
	}
}
