package memory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestGivenPathsTakeThePlaceOfMemory(t *testing.T) {
	v := NewView([]byte("onetwo"))
	var s Scratch
	g := &memlink.Given{Paths: [2]memlink.Path{{}, {Set: true, Path: "other"}}}
	for range 2 { // a Given starts over each time it is set
		memlink.SetGiven(v, g)
		first, errno := v.Path(0, 3, &s)
		if first != "one" || errno != wasip1.ESUCCESS {
			t.Errorf("the path that is not given: %q, %v", first, errno)
		}
		if second, errno := v.Path(3, 3, &s); second != "other" || errno != wasip1.ESUCCESS {
			t.Errorf("the path that is given: %q, %v", second, errno)
		}
	}
	memlink.SetGiven(v, &memlink.Given{Paths: [2]memlink.Path{{Set: true, Errno: wasip1.EILSEQ}}})
	if _, errno := v.Path(0, 3, &s); errno != wasip1.EILSEQ {
		t.Errorf("a given errno: %v", errno)
	}
	memlink.SetGiven(v, nil)
	if p, _ := v.Path(3, 3, &s); p != "two" {
		t.Errorf("after the end of the Given: %q", p)
	}
}

func TestGivenContentTakesThePlaceOfIovecs(t *testing.T) {
	mem := make([]byte, 64)
	copy(mem[32:], "abcdefgh")
	wasip1.Iovec{Buf: 32, Len: 4}.Encode(mem)
	wasip1.Iovec{Buf: 36, Len: 4}.Encode(mem[8:])
	v, log := NewView(mem), new(Log)
	v.SetLog(log)
	var s Scratch
	text := func(write bool) (all []string) {
		l, errno := v.Iovecs(0, 2, &s, write)
		if errno != wasip1.ESUCCESS {
			t.Fatal(errno)
		}
		l.Note(l.Total())
		for _, b := range l.Bufs {
			all = append(all, string(b))
		}
		return all
	}
	for _, tc := range []struct {
		name  string
		given memlink.Given
		write bool
		want  []string
	}{
		{"content", memlink.Given{Data: []byte("other")}, false, []string{"other"}},
		{"no content", memlink.Given{Data: []byte{}}, false, []string{""}},
		{"content and limit", memlink.Given{Data: []byte("other"), Limit: 2, Limited: true}, false, []string{"ot"}},
		{"content is for writers", memlink.Given{Data: []byte("other")}, true, []string{"abcd", "efgh"}},
		{"limit within the first", memlink.Given{Limit: 3, Limited: true}, true, []string{"abc", ""}},
		{"limit within the second", memlink.Given{Limit: 5, Limited: true}, false, []string{"abcd", "e"}},
		{"limit beyond", memlink.Given{Limit: 9, Limited: true}, false, []string{"abcd", "efgh"}},
	} {
		memlink.SetGiven(v, &tc.given)
		if diff := cmp.Diff(tc.want, text(tc.write)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	memlink.SetGiven(v, nil)
	text(false)
}
