package process

import (
	"fmt"
	"math"
	"strings"
)

// Strings are the arguments or the environment of one guest, encoded: every string with
// its NUL, one behind the other. They never change. A nil *Strings has none.
type Strings struct {
	buf  []byte
	offs []uint32 // where in buf each string starts
}

// encode makes Strings of list. what names the strings in errors.
func encode(what string, list []string) (*Strings, error) {
	size := uint64(0)
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			return nil, fmt.Errorf("%s %d: %q has a NUL in it", what, i, s)
		}
		size += uint64(len(s)) + 1
	}
	if size > math.MaxUint32 || uint64(len(list)) > math.MaxUint32/4 {
		return nil, fmt.Errorf("%d bytes of %ss do not fit a guest's memory", size, what)
	}
	e := &Strings{buf: make([]byte, 0, size), offs: make([]uint32, 0, len(list))}
	for _, s := range list {
		e.offs = append(e.offs, uint32(len(e.buf)))
		e.buf = append(append(e.buf, s...), 0)
	}
	return e, nil
}

// Count returns the number of strings.
func (s *Strings) Count() int {
	if s == nil {
		return 0
	}
	return len(s.offs)
}

// Size returns the number of bytes of all strings with their NULs.
func (s *Strings) Size() int {
	if s == nil {
		return 0
	}
	return len(s.buf)
}

// List returns a copy of the strings.
func (s *Strings) List() []string {
	list := make([]string, s.Count())
	for i := range list {
		end := len(s.buf)
		if i+1 < len(list) {
			end = int(s.offs[i+1])
		}
		list[i] = string(s.buf[s.offs[i] : end-1])
	}
	return list
}
