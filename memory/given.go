package memory

import (
	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/wasip1"
)

func init() {
	memlink.SetGiven = func(v any, g *memlink.Given) {
		v.(*View).given = g
		if g != nil {
			g.Asked = 0
		}
	}
}

// givenPath returns what is given for the path that is asked for next.
func givenPath(g *memlink.Given) (memlink.Path, bool) {
	i := g.Asked
	g.Asked++
	if i >= len(g.Paths) || !g.Paths[i].Set {
		return memlink.Path{}, false
	}
	return g.Paths[i], true
}

// givenContent answers instead of Iovecs if ok.
func givenContent(g *memlink.Given, s *Scratch, w bool) (list IovecList, ok bool) {
	if g.Data == nil || w {
		return list, false
	}
	if len(s.bufs) == 0 {
		s.bufs = make([][]byte, 8)
	}
	s.bufs[0] = g.Data
	s.use = iovecUse{iovs: s.use.iovs[:0], total: uint64(len(g.Data))}
	return IovecList{s.bufs[:1], &s.use}, true
}

// givenIovecs is Iovecs of a View that has a Given.
func (v *View) givenIovecs(ptr, count uint32, s *Scratch, w bool) (IovecList, wasip1.Errno) {
	g := v.given
	list, ok := givenContent(g, s, w)
	if !ok {
		v.given = nil
		var errno wasip1.Errno
		list, errno = v.Iovecs(ptr, count, s, w)
		if v.given = g; errno != wasip1.ESUCCESS {
			return list, errno
		}
	}
	return cut(g, list), wasip1.ESUCCESS
}

// cut leaves out what is over the limit.
func cut(g *memlink.Given, l IovecList) IovecList {
	if !g.Limited || l.use.total <= g.Limit {
		return l
	}
	left := g.Limit
	for i, b := range l.Bufs {
		n := min(left, uint64(len(b)))
		l.Bufs[i] = b[:n:n]
		left -= n
	}
	l.use.total = g.Limit
	return l
}
