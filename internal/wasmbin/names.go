package wasmbin

// Subsections of the name section that are told apart here.
const (
	nameFunctions = 1
	nameLocals    = 2
	nameLabels    = 3
)

// names returns the new contents of the name section: functions and locals
// under their new indices, names for what was added, and everything else as it
// was but for the names of labels, which are counted through the code. A section
// that cannot be read has no contents any more: names are for people, and the
// module runs without.
func (r *rewriter) names(s *section) []byte {
	c := r.cursor(s)
	out := []byte{}
	for c.pos < c.end && c.err == nil {
		id := c.byte()
		sizeAt := c.pos
		size := c.count("bytes of names", 1)
		width := c.pos - sizeAt
		sub := &cursor{data: c.data, pos: c.pos, end: c.pos + size, section: c.section}
		c.bytes(size)
		if c.err != nil {
			return []byte{}
		}
		var payload []byte
		switch id {
		case nameFunctions:
			payload = r.functionNames(sub)
		case nameLocals:
			payload = r.localNames(sub)
		case nameLabels:
			continue
		default:
			payload = sub.data[sub.pos:sub.end]
		}
		if sub.err != nil {
			return []byte{}
		}
		out = appendU32(append(out, id), uint32(len(payload)), width)
		out = append(out, payload...)
	}
	return out
}

func (r *rewriter) functionNames(c *cursor) []byte {
	at := c.pos
	n := c.count("names", 2)
	p := &patcher{data: c.data, last: c.pos}
	added := 0
	imports := func() {
		for i, imp := range r.imports {
			p.out = appendU32(p.out, uint32(r.importedFuncs+i), 1)
			p.out = appendName(p.out, r.opts.ImportModule+"."+imp.Name)
			added++
		}
	}
	for i := 0; i < n && c.err == nil; i++ {
		indexAt := c.pos
		index := c.u32()
		if int(index) >= r.importedFuncs && added == 0 {
			p.copyTo(indexAt)
			imports()
		}
		p.u32(indexAt, c.pos, r.fn(index))
		c.name("function name")
	}
	if c.err != nil || c.pos != c.end {
		c.fail(c.pos, "names left over")
		return nil
	}
	p.copyTo(c.end)
	if added == 0 {
		imports()
	}
	for i, h := range r.helpers {
		p.out = appendU32(p.out, uint32(len(r.funcs)+i)+r.shift, 1)
		p.out = appendName(p.out, r.opts.ImportModule+"."+h.name)
		added++
	}
	width := 1
	for b := at; c.data[b] >= 0x80; b++ {
		width++
	}
	return append(appendU32(nil, uint32(n+added), width), p.out...)
}

func (r *rewriter) localNames(c *cursor) []byte {
	p := &patcher{data: c.data, last: c.pos}
	n := c.count("functions with named locals", 2)
	for i := 0; i < n && c.err == nil; i++ {
		at := c.pos
		index := c.u32()
		p.u32(at, c.pos, r.fn(index))
		locals := c.count("names of locals", 2)
		for j := 0; j < locals && c.err == nil; j++ {
			c.u32()
			c.name("local name")
		}
	}
	if c.err != nil || c.pos != c.end {
		c.fail(c.pos, "names left over")
		return nil
	}
	p.copyTo(c.end)
	return p.out
}
