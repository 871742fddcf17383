package virt_test

import (
	"reflect"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
	"github.com/wasivirt/wasivirt/virt/pool"
)

// The compiler tells options of a Host from options of a guest: what NewBuilder and Run take
// accepts both, what Instantiate, Host.Run and Snapshot.Start take accepts those of a guest only.
func TestKindsOfOptions(t *testing.T) {
	ofHost, ofGuest := reflect.TypeOf(virt.WithClock(clock.Real())), reflect.TypeOf(virt.WithArgs())
	for name, tc := range map[string]struct {
		f           any
		host, guest bool
	}{
		"NewBuilder":       {virt.NewBuilder, true, true},
		"Run":              {virt.Run, true, true},
		"Host.Sibling":     {(*virt.Host).Sibling, true, true},
		"Host.Run":         {(*virt.Host).Run, false, true},
		"Host.RunModule":   {(*virt.Host).RunModule, false, true},
		"Host.Instantiate": {(*virt.Host).Instantiate, false, true},
		"Snapshot.Start":   {(*virt.Snapshot).Start, false, true},
		"pool.New":         {pool.New, false, true},
		"WithOptions":      {dropin.WithOptions, false, true},
	} {
		f := reflect.TypeOf(tc.f)
		opts := f.In(f.NumIn() - 1).Elem()
		if host, guest := ofHost.AssignableTo(opts), ofGuest.AssignableTo(opts); host != tc.host || guest != tc.guest {
			t.Errorf("%s: options of a Host %t, options of a guest %t; want %t, %t", name, host, guest, tc.host, tc.guest)
		}
	}
}
