package wasmbin

import "slices"

// wasiModules never call back into the guest that calls them, but for memory
// and start functions, which run as guests of their own.
var wasiModules = []string{"wasi_snapshot_preview1", "wasi_unstable", "wasi"}

// calls is what is known of the module's calls.
type calls struct {
	// checked tells of every function whether it can be part of a cycle of
	// calls. Only there a check at entry is needed: without one a path through
	// the call graph ends after as many calls as there are functions.
	checked []bool
	// weight is at most how many instructions a call of each function runs
	// before it comes to a check: 0 if there is one at its entry. The last
	// element is that of a call that can reach any function.
	weight []uint32
}

// findCalls builds the call graph. Indirect calls, and imported functions unless
// they are known not to, call every function that has been put where they could
// find it: an element segment, ref.func, an export.
func (r *rewriter) findCalls() (*calls, error) {
	n := len(r.funcs)
	indirect := uint32(n) // the node that stands for such a call
	g := graph{edges: make([][]uint32, n+1), size: make([]uint32, n+1), limit: r.opts.Period}

	hosts := r.opts.HostModules
	if hosts == nil {
		hosts = wasiModules
	}
	fn := uint32(0)
	for _, i := range r.Imports {
		if i.Kind == KindFunc {
			if !slices.Contains(hosts, i.Module) {
				g.edges[fn] = []uint32{indirect}
			}
			fn++
		}
	}
	found := make([]bool, n)
	find := func(index uint32) {
		if !found[index] {
			found[index] = true
			g.edges[indirect] = append(g.edges[indirect], index)
		}
	}
	for _, e := range r.Exports {
		if e.Kind == KindFunc {
			find(e.Index)
		}
	}
	refs := &refs{
		global: func(int, uint32) {},
		fn:     func(_, _ int, index uint32) error { find(index); return nil },
	}
	for i := range r.sections {
		s := &r.sections[i]
		if s.id != secTable && s.id != secGlobal && s.id != secElement {
			continue
		}
		if err := r.visitRefs(s, refs); err != nil {
			return nil, err
		}
	}
	bodies := newBodyReader(r.Module)
	for {
		b, ok, err := bodies.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		var edges []uint32
		for i := range b.instrs {
			switch in := &b.instrs[i]; {
			case in.op == opRefFunc:
				find(in.index)
			case in.op == opCall || in.op == opReturnCall:
				edges = append(edges, in.index)
			case in.op.isCall():
				edges = append(edges, indirect)
			}
		}
		g.edges[b.fn] = slices.Clip(edges)
		g.size[b.fn] = uint32(len(b.instrs))
	}
	checked, weight := g.solve()
	return &calls{checked: checked[:n], weight: weight}, nil
}

// graph is a directed graph. Its last node stands for a call of one of its
// successors, every other one for a function that may call all of its.
type graph struct {
	edges [][]uint32
	size  []uint32 // instructions of each function
	limit uint32   // for weights
}

// solve tells of every node whether it is on a cycle, and what it weighs:
// Tarjan's strongly connected components, which come out successors first, and
// without recursion because a guest chooses the depth.
func (g *graph) solve() (cyclic []bool, weight []uint32) {
	type step struct{ node, edge uint32 }
	n := len(g.edges)
	var (
		order   = make([]uint32, n) // when a node was first seen, from 1
		low     = make([]uint32, n)
		onStack = make([]bool, n)
		stack   []uint32
		path    []step
		counter uint32
	)
	cyclic, weight = make([]bool, n), make([]uint32, n)
	visit := func(v uint32) {
		counter++
		order[v], low[v], onStack[v] = counter, counter, true
		stack = append(stack, v)
		path = append(path, step{v, 0})
	}
	for root := range uint32(n) {
		if order[root] != 0 {
			continue
		}
		visit(root)
		for len(path) > 0 {
			top := &path[len(path)-1]
			v := top.node
			if int(top.edge) < len(g.edges[v]) {
				w := g.edges[v][top.edge]
				top.edge++
				switch {
				case w == v:
					cyclic[v] = true
				case order[w] == 0:
					visit(w)
				case onStack[w]:
					low[v] = min(low[v], order[w])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1].node
				low[parent] = min(low[parent], low[v])
			}
			if low[v] != order[v] {
				continue
			}
			start := len(stack) - 1
			for stack[start] != v {
				start--
			}
			component := stack[start:]
			stack = stack[:start]
			for _, w := range component {
				onStack[w] = false
				cyclic[w] = cyclic[w] || len(component) > 1
			}
			for _, w := range component {
				weight[w] = g.weigh(w, cyclic, weight)
			}
		}
	}
	return cyclic, weight
}

func (g *graph) weigh(v uint32, cyclic []bool, weight []uint32) uint32 {
	any := int(v) == len(g.edges)-1
	if cyclic[v] && !any {
		return 0
	}
	sum := uint64(g.size[v])
	for _, w := range g.edges[v] {
		if any {
			sum = max(sum, uint64(weight[w]))
		} else {
			sum += uint64(weight[w])
		}
	}
	return uint32(min(sum, uint64(g.limit)))
}
