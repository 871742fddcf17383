package names

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/wasip1"
)

type entry struct {
	Mark
	name string
}

func after(o *Order[*entry], cookie uint64) (names []string) {
	for e := range o.After(cookie) {
		names = append(names, e.name)
	}
	return names
}

func TestOrder(t *testing.T) {
	var o Order[*entry]
	all := make(map[string]*entry)
	add := func(name string) *entry {
		e := &entry{name: name}
		all[name] = e
		o.Add(e)
		return e
	}
	is := func(cookie uint64, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, after(&o, cookie)); d != "" {
			t.Errorf("after %d (-want +got):\n%s", cookie, d)
		}
	}
	is(0)
	for _, name := range []string{"a", "b", "c", "d"} {
		add(name)
	}
	is(0, "a", "b", "c", "d")
	is(all["b"].Cookie(), "c", "d")
	if !o.Remove(all["b"]) || o.Remove(all["b"]) {
		t.Error("an entry can be removed once")
	}
	is(all["b"].Cookie(), "c", "d")
	o.KeepPlace(add("new b"), all["b"])
	is(0, "a", "new b", "c", "d")
	is(all["new b"].Cookie(), "c", "d")

	// Whatever is removed between, cookies stay good, and so do places.
	for i := range 100 {
		add(fmt.Sprint(i))
	}
	for i := range 99 {
		o.Remove(all[fmt.Sprint(i)])
	}
	if o.Len() != 5 {
		t.Errorf("there are %d, want 5", o.Len())
	}
	is(all["50"].Cookie(), "99")
	o.KeepPlace(add("new 50"), all["50"])
	is(all["d"].Cookie(), "new 50", "99")
}

func TestRestoredEntriesHaveTheirPlaces(t *testing.T) {
	var o Order[*entry]
	all := make(map[string]*entry)
	for _, name := range []string{"a", "b", "c", "d"} {
		all[name] = &entry{name: name}
		o.Add(all[name])
	}
	var again Order[*entry]
	again.Continue(o.Last())
	for _, name := range []string{"c", "a", "d"} {
		e := &entry{name: name}
		again.Restore(e, all[name].Cookie())
		all[name] = e
	}
	again.Remove(all["c"])
	e := &entry{name: "new"}
	again.Add(e)
	again.KeepPlace(e, all["b"])
	again.Add(&entry{name: "last"})
	if d := cmp.Diff([]string{"a", "new", "d", "last"}, after(&again, 0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := again.Len(); got != 4 {
		t.Errorf("there are %d, want 4", got)
	}
}

func TestReplaceable(t *testing.T) {
	for _, c := range []struct {
		dir, onto, empty bool
		want             error
	}{
		{false, false, false, nil},
		{true, false, false, wasip1.ENOTDIR},
		{false, true, true, wasip1.EISDIR},
		{true, true, false, wasip1.ENOTEMPTY},
		{true, true, true, nil},
	} {
		if err := Replaceable(c.dir, c.onto, func() (bool, error) { return c.empty, nil }); err != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := Empty(false, wasip1.EIO); err != wasip1.EIO {
		t.Error(err)
	}
}
