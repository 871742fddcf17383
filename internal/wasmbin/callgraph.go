package wasmbin

import "slices"

// wasiModules never call back into the guest that calls them, but for memory
// and start functions, which run as guests of their own.
var wasiModules = []string{"wasi_snapshot_preview1", "wasi_unstable", "wasi"}

// summary is what callers have to know of a function. It says nothing of a function with a check at
// its entry, which pays for itself, but what remains at its end.
type summary struct {
	// head is the most that a path weighs from the entry to the first check, or to the end.
	head uint32
	// through is the most that a path from the entry to the end weighs that meets no check, -1 if
	// there is none.
	through int32
	// rest is the most that a path to the end weighs, from anywhere, that meets no check.
	rest uint32
}

// calls is what is known of the module's calls. Behind the functions, each slice has an element for
// a call that can reach any function, and for the indirect calls of each type.
type calls struct {
	indirect []uint32 // of each type: the element of its indirect calls
	// component numbers the strongly connected components of the call graph.
	component []uint32
	// cyclic tells of every function whether it can be part of a cycle of calls.
	cyclic []bool
	// checked tells of every function whether there is a check at its entry: every one on a cycle,
	// and every one that would run too long before its first.
	checked []bool
	// stacked tells of every function whether its calls count for the stack: every one on a cycle,
	// and every one that with those that it calls could take more than maxUncounted.
	stacked []bool
	// chain is the most that functions which are not stacked take of the stack in a call, in bytes.
	chain   []int32
	summary []summary
}

// to is the function that an instruction calls, or the element that stands for those that it may
// call.
func (c *calls) to(in *instr) uint32 {
	if in.op == opCall || in.op == opReturnCall {
		return in.index
	}
	return c.indirect[in.index]
}

// callGraph says who may call whom. Behind the functions stands a node for a call of any of them,
// and nodes for the indirect calls of each type.
type callGraph struct {
	edges    [][]uint32
	indirect []uint32 // the node of each type; equal types have the same
	bodies   []uint32 // where the size of each function's body stands
	// referenced tells of each function whether a valid ref.func of the code names it.
	referenced []bool
	any        bool // references to functions come from outside, or go there
	tries      bool // there is a try_table

	growsTables bool // there is a table.grow
}

// newCallGraph makes the nodes.
func (r *rewriter) newCallGraph() *callGraph {
	nodes := len(r.funcs) + 1
	g := &callGraph{indirect: make([]uint32, len(r.Types)), bodies: make([]uint32, len(r.funcs)), referenced: make([]bool, len(r.funcs))}
	known := map[string]uint32{}
	for i := range r.Types {
		if r.opts.Turns {
			g.indirect[i] = uint32(len(r.funcs)) // a call of any
			continue
		}
		t := &r.Types[i]
		key := encodeTypes(t.Params) + encodeTypes(t.Results)
		node, ok := known[key]
		if !ok {
			node = uint32(nodes)
			nodes++
			known[key] = node
		}
		g.indirect[i] = node
	}
	g.edges = make([][]uint32, nodes)
	return g
}

// findCalls builds the call graph. Imported functions, unless they are known not to, call every
// function that has been put where they could find it: an element segment, ref.func, an export.
// Indirect calls call those of them that have their type, and any if references come from outside.
// It notes the bulk instructions in passing.
func (r *rewriter) findCalls() (*callGraph, error) {
	n := len(r.funcs)
	anyOf := uint32(n) // the node that stands for a call of any of them
	g := r.newCallGraph()

	fn := uint32(0)
	for _, i := range r.Imports {
		switch i.Kind {
		case KindFunc:
			if !r.isHost(i.Module) {
				g.edges[fn] = []uint32{anyOf}
			}
			g.any = g.any || hasReference(r.Types[r.funcs[fn]].Results)
			fn++
		case KindTable, KindGlobal:
			g.any = g.any || i.Kind == KindTable || i.Global.Type < ValueV128
		}
	}
	found := make([]bool, n)
	find := func(index uint32) {
		if !found[index] {
			found[index] = true
			g.edges[anyOf] = append(g.edges[anyOf], index)
			if typed := g.indirect[r.funcs[index]]; typed != anyOf {
				g.edges[typed] = append(g.edges[typed], index)
			}
		}
	}
	for _, e := range r.Exports {
		if e.Kind == KindFunc {
			find(e.Index)
			g.any = g.any || hasReference(r.Types[r.funcs[e.Index]].Params)
		}
		g.any = g.any || e.Kind == KindTable
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
	all, wrong := r.batches()
	batches := make([]batchCalls, len(all))
	err := r.eachBatch(all, func(w *worker, i int) error { return r.findCallsOf(w, all[i], g, &batches[i]) })
	if err == nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	declared := slices.Clone(found) // what a ref.func may name
	for i := range batches {
		b := &batches[i]
		for _, index := range b.references {
			find(index)
			g.referenced[index] = declared[index]
		}
		for k := range b.bulk {
			r.noteBulk(&b.bulk[k])
		}
		r.noteCapture(&b.capture)
		g.tries, g.growsTables = g.tries || b.tries, g.growsTables || b.growsTables
	}
	for node := n + 1; g.any && node < len(g.edges); node++ {
		g.edges[node] = append(g.edges[node], anyOf)
	}
	return g, nil
}

// hasReference reports whether one of the types is that of a reference.
func hasReference(types []ValueType) bool {
	return slices.ContainsFunc(types, func(t ValueType) bool { return t < ValueV128 })
}

// batchCalls is what bodies of a batch do that concerns the whole module.
type batchCalls struct {
	references []uint32 // of ref.func
	bulk       []instr  // bulk instructions and memory.grow
	capture    codeChanges
	tries      bool // there is a try_table

	growsTables bool // there is a table.grow
}

// findCallsOf reads the bodies of a batch.
func (r *rewriter) findCallsOf(w *worker, bodies batch, g *callGraph, found *batchCalls) error {
	var edges []uint32
	for range bodies.n {
		b, _, err := w.bodies.next()
		if err != nil {
			return err
		}
		g.bodies[b.fn] = uint32(b.at)
		edges = edges[:0]
		for i := range b.instrs {
			in := &b.instrs[i]
			to := in.index
			switch {
			case in.op == opRun:
				continue
			case in.op == opRefFunc:
				if n := len(found.references); n == 0 || found.references[n-1] != in.index {
					found.references = append(roomFor(found.references, 1), in.index)
				}
				continue
			case in.op == opCall || in.op == opReturnCall:
			case in.op.isCall():
				to = g.indirect[in.index]
			default:
				found.growsTables = found.growsTables || in.op == opTableGrow
				if in.op.isBulk() || in.op == opMemoryGrow {
					found.noteBulk(in)
				}
				found.tries = found.tries || in.op == opTryTable
				found.capture.note(r.data, b.fn, in)
				continue
			}
			if len(edges) == 0 || edges[len(edges)-1] != to {
				edges = append(roomFor(edges, 1), to)
			}
		}
		g.edges[b.fn] = slices.Clone(edges)
	}
	return nil
}

// noteBulk keeps a bulk instruction, unless it is as the one before, which stands for all that need
// the same function.
func (c *batchCalls) noteBulk(in *instr) {
	if n := len(c.bulk); n > 0 && c.bulk[n-1].op == in.op {
		switch in.op {
		case opMemoryCopy, opMemoryFill, opMemoryGrow:
			return
		}
	}
	c.bulk = append(roomFor(c.bulk, 1), *in)
}

// isHost reports whether an import module's functions never call back.
func (r *rewriter) isHost(module string) bool {
	if r.opts.HostModules == nil {
		return slices.Contains(wasiModules, module)
	}
	return slices.Contains(r.opts.HostModules, module)
}

// maxUncounted is how much calls may take of the stack that are not counted, in bytes.
const maxUncounted = 1 << 14

// solveCalls decides where entries are checked: it plans every function, those that it calls first.
func (r *rewriter) solveCalls(g *callGraph) error {
	n := len(r.funcs)
	nodes := len(g.edges)
	c := &calls{indirect: g.indirect, component: make([]uint32, nodes), cyclic: make([]bool, nodes), checked: make([]bool, nodes),
		summary: make([]summary, nodes), stacked: make([]bool, nodes), chain: make([]int32, nodes)}
	r.calls = c
	if len(r.workers) == 0 {
		r.addWorkers(1)
	}
	// The one that has read the largest body has the room for it.
	w := slices.MaxFunc(r.workers, func(a, b *worker) int { return cap(a.bodies.body.instrs) - cap(b.bodies.body.instrs) })
	e, bodies := &w.emitter, w.bodies
	components := uint32(0)
	var err error
	g.visit(func(component []uint32, cyclic bool) bool {
		for _, f := range component {
			c.component[f], c.cyclic[f] = components, cyclic
			if cyclic {
				c.summary[f].through = -1
			}
		}
		components++
		chain := int32(0)
		for _, f := range component {
			for _, to := range g.edges[f] {
				chain = max(chain, c.chain[to])
			}
		}
		for _, f := range component {
			c.chain[f] = chain
		}
		c.anyOf(g, component, n)
		for _, f := range component {
			if int(f) >= r.importedFuncs && int(f) < n {
				bodies.seek(f, int(g.bodies[f]))
				var b *body
				if b, _, err = bodies.next(); err != nil {
					return false
				}
				e.planBody(b)
				r.looksByCall = r.looksByCall || manyPoints(e.points) && (r.opts.Stop || r.opts.Fuel)
				s := e.summary
				if c.checked[f] = cyclic || s.head > maxHead; c.checked[f] {
					s.head, s.through = 0, -1
				}
				c.summary[f] = s
				if c.stacked[f] = cyclic || chain+frameBytes(b) > maxUncounted; !c.stacked[f] {
					c.chain[f] = chain + frameBytes(b)
				}
			}
		}
		c.anyOf(g, component, n) // what remains at the end of those on the cycle too
		return true
	})
	return err
}

// anyOf computes the summaries of the nodes of a component that stand for calls of several
// functions, which are those from n on. That of a call of any comes first, because the others may
// lead to it.
func (c *calls) anyOf(g *callGraph, component []uint32, n int) {
	for _, first := range []bool{true, false} {
		for _, node := range component {
			if int(node) < n || (int(node) == n) != first {
				continue
			}
			s := summary{through: -1}
			if g.any { // a function of another module, of which is known what holds of all
				s = summary{head: maxHead, through: maxHead, rest: maxPiece}
			}
			for _, f := range g.edges[node] {
				t := &c.summary[f]
				s.head, s.through, s.rest = max(s.head, t.head), max(s.through, t.through), max(s.rest, t.rest)
			}
			c.summary[node] = s
		}
	}
}

// visit calls f with each strongly connected component, a component that is called before those
// that call it: Tarjan's algorithm, without recursion because a guest chooses the depth. It stops
// when f returns false.
func (g *callGraph) visit(f func(component []uint32, cyclic bool) bool) {
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
			}
			if !f(component, len(component) > 1 || slices.Contains(g.edges[v], v)) {
				return
			}
		}
	}
}
