package wasmbin

import "github.com/wasivirt/wasivirt/internal/safetext"

// Subsections of the name section that are told apart here.
const (
	nameModule    = 0
	nameFunctions = 1
	nameLocals    = 2
	nameLabels    = 3
)

// names returns the new contents of the name section: functions and locals
// under their new indices, names for what was added, and everything else as it
// was but for the names of labels, which are counted through the code.
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
		var payload []byte
		switch id {
		case nameModule:
			p := &patcher{data: sub.data, last: sub.pos}
			r.shorten(p, sub, "module name")
			p.copyTo(sub.end)
			payload = p.out
		case nameFunctions:
			payload = r.functionNames(sub)
		case nameLocals:
			payload = r.localNames(sub)
		case nameLabels:
			continue
		default:
			payload = sub.data[sub.pos:sub.end]
		}
		out = appendU32(append(out, id), uint32(len(payload)), width)
		out = append(out, payload...)
	}
	return out
}

// shorten reads a name. Where Options.NameBytes is set it cuts what is over that, and escapes what
// is not printed as itself: the engine puts names into the text of its errors.
func (r *rewriter) shorten(p *patcher, c *cursor, what string) {
	at := c.pos
	name := c.name(what)
	if r.opts.NameBytes == 0 || c.err != nil {
		return
	}
	if shown := safetext.Cut(name, r.opts.NameBytes); shown != name {
		p.copyTo(at)
		p.out = appendName(p.out, shown)
		p.last = c.pos
	}
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
		r.shorten(p, c, "function name")
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
	p.copyTo(c.end)
	return p.out
}

// parseNames reads a name section for its errors. The format lets an engine
// overlook them; wazero does not, and allocates what the counts say.
func parseNames(c *cursor) {
	for c.pos < c.end && c.err == nil {
		id := c.byte()
		size := c.count("bytes of names", 1)
		sub := &cursor{data: c.data, pos: c.pos, end: c.pos + size, section: c.section}
		c.bytes(size)
		if c.err != nil {
			return
		}
		switch id {
		case nameModule:
			sub.name("module name")
		case nameFunctions:
			parseNameMap(sub)
		case nameLocals:
			n := sub.count("functions with named locals", 2)
			for i := 0; i < n && sub.err == nil; i++ {
				sub.u32()
				parseNameMap(sub)
			}
		default:
			sub.pos = sub.end
		}
		if sub.err == nil && sub.pos != sub.end {
			sub.fail(sub.pos, "%d bytes left over", sub.end-sub.pos)
		}
		c.err = sub.err
	}
}

func parseNameMap(c *cursor) {
	n := c.count("names", 2)
	for i := 0; i < n && c.err == nil; i++ {
		c.u32()
		c.name("name")
	}
}
