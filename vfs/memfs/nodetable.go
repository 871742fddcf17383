package memfs

import "sync/atomic"

// nodeTable has the nodes of one file system by inode number. It is read without a lock and changed
// under FS.tableMu. Unlike the inode table it is never shared: a fork starts with an empty one and
// fills it with what is looked up there.
//
// The numbers may be any, as in a file system that was loaded: what the table takes depends on how
// many nodes there are.
type nodeTable struct {
	// top is never changed where others can see it.
	top atomic.Pointer[tree[nodeMid]]
	// The page of the highest numbers stays when it becomes empty, and serves the next ones then,
	// lest a file made and removed over and over costs a page each time.
	newest uint64
	spare  *nodeLeaf
}

const nodePage = 64

// nodeMid and nodeLeaf count what is in them, so that numbers long past cost nothing.
type (
	nodeMid struct {
		n    int
		kids [nodePage]atomic.Pointer[nodeLeaf]
	}
	nodeLeaf struct {
		n    int
		kids [nodePage]atomic.Pointer[node]
	}
)

func (t *nodeTable) get(ino uint64) *node {
	leaf := t.leaf(ino)
	if leaf == nil {
		return nil
	}
	n := leaf.kids[ino%nodePage].Load()
	if n == nil || n.ino != ino { // the page may serve other numbers by now
		return nil
	}
	return n
}

func (t *nodeTable) leaf(ino uint64) *nodeLeaf {
	top := t.top.Load()
	if top == nil {
		return nil
	}
	mid := top.get(ino / (nodePage * nodePage))
	if mid == nil {
		return nil
	}
	return mid.kids[ino/nodePage%nodePage].Load()
}

// page is leaf for who holds FS.tableMu: most of what is made and removed stands in the newest
// page.
func (t *nodeTable) page(ino uint64) *nodeLeaf {
	if t.spare != nil && ino/nodePage == t.newest/nodePage {
		return t.spare
	}
	return t.leaf(ino)
}

// set enters n, where there is none.
func (t *nodeTable) set(ino uint64, n *node) {
	leaf := t.page(ino)
	if leaf == nil {
		again := ino > t.newest && t.spare != nil && t.spare.n == 0
		if again {
			leaf = t.spare
		} else {
			leaf = new(nodeLeaf)
		}
		mid := t.mid(ino)
		mid.kids[ino/nodePage%nodePage].Store(leaf)
		mid.n++
		if again {
			t.drop(t.newest) // not before: the page above may be the same, and would go
		}
		if ino > t.newest {
			t.newest, t.spare = ino, leaf
		}
	}
	leaf.kids[ino%nodePage].Store(n)
	leaf.n++
}

// mid returns the page of pages for ino, made where there is none.
func (t *nodeTable) mid(ino uint64) *nodeMid {
	i := ino / (nodePage * nodePage)
	var top tree[nodeMid]
	if p := t.top.Load(); p != nil {
		top = *p
	}
	mid := top.get(i)
	if mid == nil {
		mid = new(nodeMid)
		// Readers may be in the old one; what they miss there they look for again under the lock.
		top.set(new(owner), i, mid)
		t.top.Store(&top)
	}
	return mid
}

// del takes out what stands at ino, if anything.
func (t *nodeTable) del(ino uint64) {
	leaf := t.page(ino)
	if leaf == nil || leaf.kids[ino%nodePage].Load() == nil {
		return
	}
	leaf.kids[ino%nodePage].Store(nil)
	if leaf.n--; leaf.n == 0 && leaf != t.spare {
		t.drop(ino)
	}
}

// drop takes the page of ino out, which is empty.
func (t *nodeTable) drop(ino uint64) {
	i := ino / (nodePage * nodePage)
	top := *t.top.Load()
	mid := top.get(i)
	mid.kids[ino/nodePage%nodePage].Store(nil)
	if mid.n--; mid.n == 0 {
		top.del(new(owner), i)
		t.top.Store(&top)
	}
}
