package memfs

import (
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTreeAgainstMap does the same at random to trees that share pages and to maps, and compares
// them.
func TestTreeAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type side struct {
		tree  tree[int]
		model map[uint64]*int
		owner *owner
	}
	sides := []*side{{model: map[uint64]*int{}, owner: new(owner)}}
	ranges := []uint64{3, 70, 5000, 1 << 20, 1 << 49, 1 << 63}
	last := uint64(0)
	for step := range 30_000 {
		s := sides[rng.IntN(len(sides))]
		key := rng.Uint64N(ranges[rng.IntN(len(ranges))])
		switch op := rng.IntN(100); {
		case op < 40:
			s.tree.set(s.owner, key, &step)
			s.model[key] = &step
		case op < 50: // keys that grow, each gone before the next comes
			for range 5 {
				last++
				s.tree.set(s.owner, last, &step)
				s.tree.del(s.owner, last)
				delete(s.model, last)
			}
		case op < 85:
			keys := slices.Collect(maps.Keys(s.model))
			if len(keys) > 0 {
				slices.Sort(keys)
				key = keys[rng.IntN(len(keys))]
			}
			s.tree.del(s.owner, key)
			delete(s.model, key)
		case op < 87:
			want := 0
			for k := range s.model {
				if k >= key {
					want++
					delete(s.model, k)
				}
			}
			got := 0
			s.tree.cut(s.owner, key, func(*int) { got++ })
			if got != want {
				t.Fatalf("step %d: cut from %d took %d out, want %d", step, key, got, want)
			}
		case op < 88 && len(sides) < 6:
			s.owner = new(owner)
			sides = append(sides, &side{s.tree, maps.Clone(s.model), new(owner)})
		}
		if step%100 != 0 {
			continue
		}
		for _, s := range sides {
			var got []uint64
			for key, v := s.tree.next(0); v != nil; key, v = s.tree.next(key + 1) {
				if s.model[key] != v || s.tree.get(key) != v {
					t.Fatalf("step %d: wrong value at %d", step, key)
				}
				got = append(got, key)
			}
			if len(got) != len(s.model) {
				t.Fatalf("step %d: %d keys, want %d", step, len(got), len(s.model))
			}
		}
	}
}

// TestTreeAtItsEdge does the same at random to trees that share pages and to maps, with keys that
// are counted and come and go near the last one.
func TestTreeAtItsEdge(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	type side struct {
		tree  tree[int]
		model map[uint64]*int
		owner *owner
	}
	sides := []*side{{model: map[uint64]*int{}, owner: new(owner)}}
	last := uint64(0)
	for step := range 60_000 {
		s := sides[rng.IntN(len(sides))]
		near := last - min(last, uint64(rng.IntN(150)))
		switch op := rng.IntN(1000); {
		case op < 400:
			last += uint64(1 + rng.IntN(3)*rng.IntN(40))
			s.tree.set(s.owner, last, &step)
			s.model[last] = &step
		case op < 600:
			s.tree.set(s.owner, near, &step)
			s.model[near] = &step
		case op < 980:
			s.tree.del(s.owner, near)
			delete(s.model, near)
		case op < 985:
			s.tree.cut(s.owner, near, func(*int) {})
			maps.DeleteFunc(s.model, func(k uint64, _ *int) bool { return k >= near })
		default:
			s.owner = new(owner)
			twin := &side{s.tree, maps.Clone(s.model), new(owner)}
			if len(sides) < 4 {
				sides = append(sides, twin)
			} else {
				*sides[rng.IntN(len(sides))] = *twin
			}
		}
		for i, s := range sides {
			if s.tree.edge != nil {
				p, key := s.tree.root, uint64(0)
				for range s.tree.height - 1 {
					i := bits.Len64(p.used) - 1
					p, key = p.kids[i], key<<fanBits|uint64(i)
				}
				if s.tree.edge != p || s.tree.edgeAt != key {
					t.Fatalf("step %d: the edge of tree %d is not its last page", step, i)
				}
			}
			if v := s.tree.get(near); v != s.model[near] {
				t.Fatalf("step %d: tree %d has %v at %d, want %v", step, i, v, near, s.model[near])
			}
		}
		if step%500 != 0 {
			continue
		}
		for i, s := range sides {
			n := 0
			for key, v := s.tree.next(0); v != nil; key, v = s.tree.next(key + 1) {
				if n++; s.model[key] != v {
					t.Fatalf("step %d: tree %d has a wrong value at %d", step, i, key)
				}
			}
			if n != len(s.model) {
				t.Fatalf("step %d: tree %d has %d keys, want %d", step, i, n, len(s.model))
			}
		}
	}
}

// TestTreeStaysSmall: keys that come and go leave no pages behind.
func TestTreeStaysSmall(t *testing.T) {
	var tr tree[int]
	o := new(owner)
	v := 0
	for key := range uint64(1 << 20) {
		tr.set(o, key, &v)
		tr.del(o, key)
	}
	pages := 0
	var count func(p *page[int])
	count = func(p *page[int]) {
		pages++
		for _, k := range p.kids {
			if k != nil {
				count(k)
			}
		}
	}
	count(tr.root)
	if pages > 8 {
		t.Errorf("%d pages for nothing", pages)
	}
}

// TestTreeOfLongPast: keys long past that are still there keep no more pages than they need.
func TestTreeOfLongPast(t *testing.T) {
	var tr tree[int]
	v := 0
	for key := uint64(1); key < 100_000; key++ {
		tr.set(nobody, key, &v)
		if tr.get(key) != &v {
			t.Fatalf("key %d is lost", key)
		}
		if key%1000 != 0 {
			tr.del(nobody, key)
		}
		if key > 1000 && tr.get(key/1000*1000) == nil {
			t.Fatalf("after %d: key %d is lost", key, key/1000*1000)
		}
	}
	leaves := 0
	var count func(p *page[int], height int)
	count = func(p *page[int], height int) {
		if height == 1 {
			leaves++
		}
		for _, k := range p.kids {
			if k != nil {
				count(k, height-1)
			}
		}
	}
	count(tr.root, tr.height)
	if leaves > 101 {
		t.Errorf("%d pages for 99 keys", leaves)
	}
}

// However large the keys are, the tree takes what their count needs.
func TestTreeOfNumbersFarApart(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() {
		var tr tree[int]
		v := 0
		for _, key := range []uint64{2, 1 << 30, 1 << 62, 1<<64 - 1} {
			tr.set(nobody, key, &v)
			if tr.get(key) != &v {
				t.Fatalf("key %d is lost", key)
			}
		}
		for _, key := range []uint64{2, 1 << 62, 1 << 30, 1<<64 - 1} {
			tr.del(nobody, key)
			if tr.get(key) != nil {
				t.Fatalf("key %d is there still", key)
			}
		}
	}); n > 200 {
		t.Errorf("%v allocations for four keys", n)
	}
}

func TestTreeThatIsFilledAndCutTakesNoMemory(t *testing.T) {
	var tr tree[int]
	o, v, got := new(owner), 1, 0
	if n := testing.AllocsPerRun(20, func() {
		for key := range uint64(fan) {
			tr.set(o, key, &v)
		}
		got = 0
		tr.cut(o, 0, func(*int) { got++ })
		if k, v := tr.next(0); v != nil || got != fan {
			t.Fatalf("%d of %d cut, key %d is left", got, fan, k)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
