package memory

import "github.com/wasivirt/wasivirt/wasip1"

// Given is what a call gets in place of what it asks guest memory for. Who looks at a call before it is made, and
// decides by a path or by content, has to be sure that the call then uses what was looked at: guest memory may be
// changed by another thread between the two. It is also how a call is made with another path or content without
// writing to guest memory.
//
// The zero Given gives nothing. It serves one call, see [View.SetGiven].
type Given struct {
	// Paths are what the View's Path answers, in the order in which the call asks. What lies in guest memory is
	// not looked at.
	Paths [2]GivenPath
	// Data, where not nil, is the content that Iovecs answers to a call that writes, as one buffer.
	Data []byte
	// Limit, where Limited, is the most bytes that Iovecs answers in all, by leaving out the end.
	Limit   uint64
	Limited bool

	asked int
}

// GivenPath is one path of a [Given].
type GivenPath struct {
	Set   bool
	Path  string
	Errno wasip1.Errno // answered instead, where not ESUCCESS
}

// SetGiven makes the View answer what g says, from the beginning; nil ends it.
func (v *View) SetGiven(g *Given) {
	v.given = g
	if g != nil {
		g.asked = 0
	}
}

// path returns what is given for the path that is asked for next.
func (g *Given) path() (GivenPath, bool) {
	i := g.asked
	g.asked++
	if i >= len(g.Paths) || !g.Paths[i].Set {
		return GivenPath{}, false
	}
	return g.Paths[i], true
}

// iovecs answers in the place of Iovecs where ok says so.
func (g *Given) iovecs(s *Scratch, w bool) (list IovecList, ok bool) {
	if g.Data == nil || w {
		return list, false
	}
	if len(s.bufs) == 0 {
		s.bufs = make([][]byte, 8)
	}
	s.bufs[0] = g.Data
	s.use = IovecUse{iovs: s.use.iovs[:0], Total: uint64(len(g.Data))}
	return IovecList{s.bufs[:1], &s.use}, true
}

// givenIovecs is Iovecs of a View that has a Given.
func (v *View) givenIovecs(ptr, count uint32, s *Scratch, w bool) (IovecList, wasip1.Errno) {
	g := v.given
	list, ok := g.iovecs(s, w)
	if !ok {
		v.given = nil
		var errno wasip1.Errno
		list, errno = v.Iovecs(ptr, count, s, w)
		if v.given = g; errno != wasip1.ESUCCESS {
			return list, errno
		}
	}
	return g.cut(list), wasip1.ESUCCESS
}

// cut leaves the end of what is over the limit out.
func (g *Given) cut(l IovecList) IovecList {
	if !g.Limited || l.Total <= g.Limit {
		return l
	}
	left := g.Limit
	for i, b := range l.Bufs {
		n := min(left, uint64(len(b)))
		l.Bufs[i] = b[:n:n]
		left -= n
	}
	l.Total = g.Limit
	return l
}
