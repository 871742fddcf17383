package virt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Functions of the embedder's go through the layers of preview1, by module.name, and runs that meet
// them are replayed.
func TestHostFunctionsGoThroughTheLayers(t *testing.T) {
	i32 := []api.ValueType{api.ValueTypeI32}
	fault, err := virt.ParseFault("env.callback:nth=2:EIO")
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		Results []int32 // of nest(1), nest(2), nest(3), as far as the guest comes
		Calls   int     // that the function itself saw
		End     virt.Outcome
		Errno   wasip1.Errno // of the trap
	}
	add := func(c *virt.Call) wasip1.Errno {
		c.SetUint32("p0", c.Uint32("p0")+100)
		errno := c.Next()
		c.Raw()[0]++
		return errno
	}
	for _, tc := range []struct {
		name  string
		errno bool
		opts  []virt.GuestOption
		want  outcome
	}{
		{"nothing", false, nil, outcome{Results: []int32{10, 20, 30}, Calls: 3, End: virt.Exited}},
		{"middleware", false, []virt.GuestOption{virt.WithMiddleware("env.*", add)}, outcome{Results: []int32{1011, 1021, 1031}, Calls: 3, End: virt.Exited}},
		{"middleware for preview1", false, []virt.GuestOption{virt.WithMiddleware("*", add)}, outcome{Results: []int32{10, 20, 30}, Calls: 3, End: virt.Exited}},
		{"replacement", false, []virt.GuestOption{virt.WithReplacement("env.callback", func(c *virt.Call) wasip1.Errno {
			c.Raw()[0] = 7
			return wasip1.ESUCCESS
		})}, outcome{Results: []int32{7, 7, 7}, End: virt.Exited}},
		{"policy", false, []virt.GuestOption{virt.WithPolicy(virt.Deny("env.callback"))}, outcome{End: virt.Trapped, Errno: wasip1.ENOTCAPABLE}},
		{"policy, an errno", true, []virt.GuestOption{virt.WithPolicy(virt.Deny("env.callback"))},
			outcome{Results: []int32{int32(wasip1.ENOTCAPABLE), int32(wasip1.ENOTCAPABLE), int32(wasip1.ENOTCAPABLE)}, End: virt.Exited}},
		{"fault", false, []virt.GuestOption{virt.WithFaults(fault)}, outcome{Results: []int32{10}, Calls: 1, End: virt.Trapped, Errno: wasip1.EIO}},
		{"fault, an errno", true, []virt.GuestOption{virt.WithFaults(fault)}, outcome{Results: []int32{10, int32(wasip1.EIO), 30}, Calls: 2, End: virt.Exited}},
		{"budget", false, []virt.GuestOption{virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 2 }), virt.WithMiddleware("env.callback", (*virt.Call).Next)},
			outcome{Results: []int32{10, 20}, Calls: 2, End: virt.Exhausted}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got outcome
			host := newHost(t,
				virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: i32, Results: i32, Errno: tc.errno, Call: func(c *virt.HostCall, stack []uint64) {
					got.Calls++
					stack[0] *= 10
				}}))
			// The budget is of the calls after the guest has begun.
			tape, result := taped(t, host, hostedGuest(), func(g *virt.Guest) {
				for n := range 3 {
					r, err := g.Call(t.Context(), "nest", uint64(n+1))
					if err != nil {
						break
					}
					got.Results = append(got.Results, api.DecodeI32(r[0]))
				}
			}, tc.opts...)
			got.End = result.Outcome
			if got.End == virt.Canceled { // closed while it lived
				got.End = virt.Exited
			}
			if result.Trap != nil {
				if result.Trap.Kind != trap.Host {
					t.Error(result.Trap)
				}
				errors.As(result.Trap, &got.Errno)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := replay.Run(t.Context(), hostedGuest(), bytes.NewReader(tape))
			if err != nil || again.Outcome != result.Outcome {
				t.Errorf("the replay: %v, %v, want %v", again, err, result)
			}
		})
	}
}

// hostedGuest exports nest, which calls env.callback.
func hostedGuest() []byte {
	return handModule{memory: 1, funcs: []handFunc{
		{module: "env", name: "callback", signature: preview1Type("i")},
		{name: "nest", signature: preview1Type("i"), body: []byte{0x20, 0, 0x10, 0}},
	}}.encode()
}

func TestHostFunctionsAreTracedAndCounted(t *testing.T) {
	var text bytes.Buffer
	types := []api.ValueType{api.ValueTypeI32}
	host := newHost(t, virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: types, Results: types,
		Call: func(c *virt.HostCall, stack []uint64) { stack[0] = api.EncodeI32(-5) }}))
	g, err := host.Instantiate(t.Context(), compiled(t, host, hostedGuest()), virt.WithTrace(trace.Text(&text)), virt.WithUsage())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Call(t.Context(), "nest", api.EncodeI32(-3)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []virt.FunctionUsage{{Name: "env.callback", Calls: 2}}; !cmp.Equal(want, g.Usage().Functions) || g.Usage().Calls != 2 {
		t.Errorf("usage: %+v", g.Usage())
	}
	if n := strings.Count(text.String(), "env.callback(-3) = -5 "); n != 2 {
		t.Errorf("trace:\n%s", text.String())
	}
}

// An option that is about no function is a mistake, and the larger one in a policy.
func TestOptionsAboutHostFunctionsThatDoNotExist(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, nothing())
	for _, o := range []virt.GuestOption{virt.WithPolicy(virt.Deny("env.secret")), virt.WithMiddleware("env.secret", (*virt.Call).Next), virt.WithTrace(trace.Text(new(bytes.Buffer)), trace.WithCalls("env.secret"))} {
		if _, err := host.RunModule(t.Context(), m, o); err == nil || !strings.Contains(err.Error(), `"env.secret"`) {
			t.Errorf("%v", err)
		}
	}
	if _, err := host.RunModule(t.Context(), m, virt.WithMiddleware("env.*", (*virt.Call).Next)); err != nil {
		t.Error(err)
	}
}
