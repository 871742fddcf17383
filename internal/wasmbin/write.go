package wasmbin

import (
	"slices"
	"strings"
)

// write puts the module together again: the sections as they were, those that
// change written anew, and those that it had not but now needs in their places.
func (r *rewriter) write() error {
	codeChanges := r.shift > 0 || r.opts.CanonicalNaNs
	var code [][]byte
	if s := r.section(secCode); s != nil && (codeChanges || r.tune.force) {
		// First, because it adds types.
		var err error
		if code, err = r.code(s); err != nil {
			return err
		}
	} else if err := r.checkBodies(); err != nil {
		return err
	}
	missing := r.missing()
	r.out = make([]byte, 0, len(r.data)+size(code)+1024)
	r.out = append(r.out, r.data[:8]...)
	for i := range r.sections {
		s := &r.sections[i]
		for s.id != secCustom && len(missing) > 0 && sectionRank[missing[0]] < sectionRank[s.id] {
			r.create(missing[0])
			missing = missing[1:]
		}
		payload, err := r.rewriteSection(s, codeChanges)
		if err != nil {
			return err
		}
		switch {
		case s.id == secCode && code != nil:
			r.out = appendU32(append(r.out, s.id), uint32(size(code)), s.pos-s.size)
			for _, part := range code {
				r.out = append(r.out, part...)
			}
		case s.id == secStart && r.captured != nil: // the host calls it
		case codeChanges && s.id == secCustom && (s.pos == s.end || payload != nil && len(payload) == 0):
			// wazero does not read an empty one at the end of the file, where
			// leaving others out may have put it.
			r.report.Dropped = append(r.report.Dropped, s.name)
		case payload != nil:
			r.out = append(r.out, s.id)
			body := s.pos
			if s.id == secCustom { // its name stands first
				c := cursor{data: r.data, pos: s.size, end: s.pos}
				c.u32()
				body = c.pos
				payload = append(slices.Clone(r.data[body:s.pos]), payload...)
			}
			r.out = appendU32(r.out, uint32(len(payload)), body-s.size)
			r.out = append(r.out, payload...)
		case codeChanges && s.id == secCustom && namesOffsets(s.name):
			r.report.Dropped = append(r.report.Dropped, s.name)
		default:
			r.out = append(r.out, r.data[s.at:s.end]...)
		}
	}
	for _, id := range missing {
		r.create(id)
	}
	if r.opts.Offsets != "" {
		r.writeDebug()
	}
	return nil
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// namesOffsets reports whether a custom section speaks of the code by offsets
// or indices that a rewriting changes: DWARF, source maps, branch hints,
// relocations. wazero uses DWARF for the lines in stack traces only.
func namesOffsets(name string) bool {
	switch name {
	case "sourceMappingURL", "external_debug_info", "linking":
		return true
	}
	return strings.HasPrefix(name, ".debug_") ||
		strings.HasPrefix(name, "metadata.code.") ||
		strings.HasPrefix(name, "reloc.")
}

// missing lists the sections that are needed and not there, in order.
func (r *rewriter) missing() (ids []byte) {
	needs := func(id byte, needed bool) {
		if needed && r.section(id) == nil {
			ids = append(ids, id)
		}
	}
	needs(secType, len(r.types)+len(r.imports) > 0)
	needs(secImport, len(r.imports) > 0)
	needs(secFunction, len(r.helpers) > 0)
	needs(secGlobal, len(r.globals) > 0)
	needs(secExport, len(r.report.Globals) > 0 || r.captured != nil && len(r.captured.exports) > 0)
	needs(secCode, len(r.helpers) > 0)
	return ids
}

// create writes a section that the module has not.
func (r *rewriter) create(id byte) {
	n, entries := r.added(id)
	payload := append(appendU32(nil, uint32(n), 1), entries...)
	r.out = appendU32(append(r.out, id), uint32(len(payload)), 1)
	r.out = append(r.out, payload...)
}

// added is what a section gets at its end: how many entries, and they.
func (r *rewriter) added(id byte) (n int, entries []byte) {
	switch id {
	case secType:
		for _, i := range r.imports {
			r.typeOf(encodeTypes(i.Params), encodeTypes(i.Results))
		}
		for _, t := range r.types {
			entries = append(entries, typeFunc)
			entries = append(append(entries, t.params...), t.results...)
		}
		return len(r.types), entries
	case secImport:
		for _, i := range r.imports {
			entries = appendName(appendName(entries, r.opts.ImportModule), i.Name)
			entries = append(entries, byte(KindFunc))
			entries = appendU32(entries, r.typeOf(encodeTypes(i.Params), encodeTypes(i.Results)), 1)
		}
		return len(r.imports), entries
	case secFunction:
		for _, h := range r.helpers {
			entries = appendU32(entries, h.typ, 1)
		}
		return len(r.helpers), entries
	case secGlobal:
		for _, g := range r.globals {
			a := asm{code: append(entries, byte(g.typ))}
			switch g.typ {
			case ValueRef:
				f := uint32(g.init)
				a.code = append(appendS64(a.code, int64(r.funcs[f])), 0) // its type; immutable
				a.op(opRefFunc, r.fn(f))
			case ValueI64:
				a.byte(1)
				a.i64Const(g.init)
			default:
				a.byte(1)
				a.i32Const(int32(g.init))
			}
			a.ops(opEnd)
			entries = a.code
		}
		return len(r.globals), entries
	case secExport:
		for _, g := range r.report.Globals {
			entries = append(appendName(entries, g.Export), byte(KindGlobal))
			entries = appendU32(entries, g.Index, 1)
		}
		n = len(r.report.Globals)
		if r.captured != nil {
			for _, f := range r.captured.exports {
				entries = append(appendName(entries, f.name), byte(KindFunc))
				entries = appendU32(entries, f.index, 1)
			}
			n += len(r.captured.exports)
		}
		return n, entries
	case secCode:
		for _, h := range r.helpers {
			entries = append(appendU32(entries, uint32(len(h.code)), 1), h.code...)
		}
		return len(r.helpers), entries
	}
	return 0, nil
}

// rewriteSection returns the new contents of a section, nil if they stay.
func (r *rewriter) rewriteSection(s *section, codeChanges bool) ([]byte, error) {
	shifts := r.shift > 0 || r.tune.force
	p := &patcher{data: r.data, last: s.pos}
	switch s.id {
	case secCustom:
		if s.name == "name" && (codeChanges || r.opts.NameBytes > 0) {
			return r.names(s), nil
		}
		return nil, nil
	case secStart:
		if !shifts {
			return nil, nil
		}
		p.u32(s.pos, s.end, r.fn(*r.Start))
		return p.out, nil
	case secType, secImport, secFunction, secTable, secGlobal, secExport, secElement:
	case secData:
		if r.captured != nil && r.captured.lifted != nil {
			return r.liftedData(s), nil
		}
		return nil, nil
	default:
		return nil, nil
	}
	n, entries := r.added(s.id)
	var hasRefs, renames bool
	switch s.id {
	case secImport:
		renames = r.opts.MemoryModule != "" && r.memoryFrom.end > 0
	case secTable, secGlobal, secExport, secElement:
		hasRefs = shifts || s.id == secTable && r.capsTables()
	}
	if n == 0 && !hasRefs && !renames && !r.tune.force {
		return nil, nil
	}
	c := cursor{data: r.data, pos: s.pos, end: s.end}
	p.u32(s.pos, s.vector, c.u32()+uint32(n))
	if renames {
		p.skip(r.memoryFrom.at, r.memoryFrom.end)
		p.out = appendName(p.out, r.opts.MemoryModule)
	}
	if hasRefs {
		err := r.visitRefs(s, &refs{
			global: func(int, uint32) {},
			fn: func(at, end int, index uint32) error {
				p.u32(at, end, r.fn(index))
				return nil
			},
			table: func(t *Table, limits span) {
				if r.capped(t) {
					p.copyTo(limits.at)
					p.out = appendU32(append(p.out, 1), uint32(t.Min), 1)
					p.out = appendU32(p.out, uint32(t.Min+r.room), 1)
					p.last = limits.end
				}
			},
		})
		if err != nil {
			return nil, err
		}
	}
	p.copyTo(s.end)
	return append(p.out, entries...), nil
}

// visitRefs tells refs of the functions and globals that a section names in
// constant expressions, element segments and exports.
func (r *rewriter) visitRefs(s *section, refs *refs) error {
	c := r.cursor(s)
	n := int(c.u32())
	for i := 0; i < n && c.err == nil; i++ {
		switch s.id {
		case secTable:
			new(Module).parseTable(c, refs)
		case secGlobal:
			parseGlobalType(c)
			parseConstExpr(c, refs)
		case secElement:
			parseElement(c, refs)
		case secExport:
			c.name("export name")
			if Kind(c.byte()) == KindFunc {
				refs.visitFunc(c)
			} else {
				c.u32()
			}
		}
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// code returns the new contents of the code section, in parts.
func (r *rewriter) code(s *section) ([][]byte, error) {
	n, added := r.added(secCode)
	all, wrong := r.batches()
	parts := make([][]byte, 1, len(all)+2)
	parts[0] = appendU32(nil, uint32(r.bodies+n), s.vector-s.pos)
	if t := r.tune.trace; t != nil {
		t.m.section, t.m.imported, t.base = s.pos, uint32(r.importedFuncs), len(parts[0])
	}
	parts = parts[:len(all)+1]
	err := r.eachBatch(all, func(w *worker, i int) (err error) {
		parts[i+1], err = r.writeBatch(w, all[i])
		return err
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	for _, w := range r.workers {
		r.report.count(&w.emitter.counts)
	}
	return append(parts, added), nil
}

// count adds what was counted in some bodies.
func (r *Report) count(c *Report) {
	r.Loops += c.Loops
	r.Entries += c.Entries
	r.Waits += c.Waits
	r.Grows += c.Grows
	r.Accesses += c.Accesses
}

// writeBatch writes the bodies of a batch.
func (r *rewriter) writeBatch(w *worker, bodies batch) ([]byte, error) {
	p := &patcher{data: r.data, last: bodies.at, out: make([]byte, 0, bodies.bytes*9/8+64)}
	for range bodies.n {
		b, _, err := w.bodies.next()
		if err != nil {
			return nil, err
		}
		t := r.tune.trace
		if t != nil {
			t.begin()
		}
		var code []byte
		if r.tune.emit != nil {
			code = r.tune.emit(r, b)
		} else {
			code = w.emitter.emit(b)
		}
		p.u32(b.at, b.locals, uint32(len(code)))
		if t != nil {
			t.end(len(p.out), len(p.out)+len(code))
		}
		p.out = append(p.out, code...)
		p.last = b.end
	}
	if t := r.tune.trace; t != nil {
		t.base += len(p.out)
	}
	return p.out, nil
}
