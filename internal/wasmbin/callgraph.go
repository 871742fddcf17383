package wasmbin

import "slices"

// wasiModules never call back into the guest that calls them, but for memory
// and start functions, which run as guests of their own.
var wasiModules = []string{"wasi_snapshot_preview1", "wasi_unstable", "wasi"}

// cyclic tells of every function whether it can be part of a cycle of calls.
// Only there a check at entry is needed: without it a path through the call
// graph ends after as many calls as there are functions.
//
// Indirect calls, and imported functions unless they are known not to, call
// every function that has been put where they could find it: an element segment,
// ref.func, an export.
func (r *rewriter) cyclic() ([]bool, error) {
	n := len(r.funcs)
	indirect := uint32(n) // the node that stands for such a call
	g := graph{edges: make([][]uint32, n+1)}

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
		edges, calls := []uint32(nil), false
		for i := range b.instrs {
			switch in := &b.instrs[i]; {
			case in.op == opRefFunc:
				find(in.index)
			case in.op == opCall || in.op == opReturnCall:
				edges = append(edges, in.index)
			case in.op.isCall() && !calls:
				edges, calls = append(edges, indirect), true
			}
		}
		slices.Sort(edges)
		g.edges[b.fn] = slices.Clip(slices.Compact(edges))
	}
	return g.cyclic()[:n], nil
}

// graph is a directed graph: the successors of each node.
type graph struct{ edges [][]uint32 }

// cyclic tells of every node whether it is on a cycle: Tarjan's strongly
// connected components, without recursion because a guest chooses the depth.
func (g *graph) cyclic() []bool {
	n := len(g.edges)
	const unvisited = 0
	var (
		result  = make([]bool, n)
		order   = make([]uint32, n) // when a node was first seen, from 1
		low     = make([]uint32, n)
		onStack = make([]bool, n)
		stack   []uint32
		path    []struct{ node, edge uint32 }
		counter uint32
	)
	visit := func(v uint32) {
		counter++
		order[v], low[v], onStack[v] = counter, counter, true
		stack = append(stack, v)
		path = append(path, struct{ node, edge uint32 }{v, 0})
	}
	for root := range uint32(n) {
		if order[root] != unvisited {
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
					result[v] = true
				case order[w] == unvisited:
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
			size := 0
			for w := v + 1; w != v; size++ {
				w = stack[len(stack)-1-size]
			}
			for _, w := range stack[len(stack)-size:] {
				onStack[w] = false
				result[w] = result[w] || size > 1
			}
			stack = stack[:len(stack)-size]
		}
	}
	return result
}
