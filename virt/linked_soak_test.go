package virt_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/spawn"
)

// Many guests of one Host, most of them with libraries or plugs, and shells with pipelines of
// guests among them, compute, wait and call at once, and half of them are stopped at some moment.
// Nothing of any is left.
func TestManyLinkedGuestsLeaveNothing(t *testing.T) {
	guests := 100
	if os.Getenv("WASIVIRT_FULL") != "" {
		guests = 1000
	}
	limits := virt.Limits{Memory: uint64(guests) << 21, Descriptors: 16 * guests}
	shell, err := os.ReadFile("spawn/testdata/shell.wasm")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string][]byte{"gen": shell, "sort": shell, "uniq": shell, "spin": shell}
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { *l = limits }), spawn.Functions(spawn.Config{Programs: programs}))
	script, engine := linked(t, host)
	names := []string{"s1", "s2", "s3", "s4", "s5"}
	group, err := host.CompileLinked(t.Context(), program("loop", names...), names...)
	if err != nil {
		t.Fatal(err)
	}
	plug, err := host.CompilePlug(t.Context(), bareGuest(t, "plug_hostile"))
	if err != nil {
		t.Fatal(err)
	}
	plain, write, sh := compiled(t, host, bareGuest(t, "do")), compiled(t, host, writer()), compiled(t, host, shell)
	stopped := errors.New("stopped by the test")

	// life is that of guest i, with whether it goes on until it is stopped.
	life := func(i int) (g *virt.Guest, run func() error, endless bool, err error) {
		make := func(m *virt.Module, opts ...virt.GuestOption) { g, err = host.Instantiate(t.Context(), m, opts...) }
		call := func(name string, params ...uint64) func() error {
			return func() error { _, err := g.Call(context.Background(), name, params...); return err }
		}
		command := func() error { _, err := g.Run(context.Background()); return err }
		switch i % 100 {
		case 49:
			make(sh, virt.WithName("sh"), virt.WithArgs("gen 200 | sort | uniq -c"))
			return g, command, false, err
		case 99: // a pipeline that has no end
			make(sh, virt.WithName("sh"), virt.WithArgs("spin | gen 100 | sort"))
			return g, command, true, err
		}
		switch i % 6 {
		case 0:
			make(plain, virt.WithArgs("echo", "text"))
			return g, command, false, err
		case 1:
			make(plain, virt.WithArgs("loop"))
			return g, command, true, err
		case 2:
			make(script, engine)
			return g, call("greet"), false, err
		case 3: // five modules on one engine, which computes
			opts := []virt.GuestOption{engine}
			for _, name := range names {
				opts = append(opts, virt.WithLibrary(name, virt.Library{Module: script, World: []virt.GuestOption{}}))
			}
			make(group, opts...)
			return g, command, true, err
		case 4:
			make(write, virt.WithPlug(plug), virt.WithPlug(plug))
			return g, call("write", 1, 8, 0, 4), false, err
		default: // the plug computes
			make(write, virt.WithPlug(plug))
			return g, call("write", 106, 8, 0, 4), true, err
		}
	}
	var all sync.WaitGroup
	for i := range guests {
		g, run, endless, err := life(i)
		if err != nil {
			t.Fatalf("guest %d: %v", i, err)
		}
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			ended := make(chan error)
			go func() { ended <- run() }()
			if stop := endless || random.IntN(6) == 0; stop {
				if random.IntN(2) == 0 {
					g.Stop(stopped)
				} else if err := g.Close(context.Background()); err != nil {
					t.Errorf("guest %d: close: %v", i, err)
				}
				<-ended // it may have come to its end before
			} else if err := <-ended; err != nil {
				t.Errorf("guest %d: %v", i, err)
			}
			if err := g.Close(context.Background()); err != nil {
				t.Errorf("guest %d: close: %v", i, err)
			}
		})
	}
	all.Wait()
	if left := host.Guests(); len(left) != 0 {
		t.Errorf("%d guests are left", len(left))
	}
	if u := host.Usage(); u.Threads != 0 || u.Descriptors != 0 {
		t.Errorf("%d threads and %d descriptors are left", u.Threads, u.Descriptors)
	}
	if left := host.Lingering(); len(left) != 0 {
		t.Errorf("goroutines are left: %v", left)
	}
	// All that was charged has been given back: as much can be had again.
	for i := range guests {
		g, _, _, err := life(i)
		if err != nil {
			t.Fatalf("guest %d, after all others have gone: %v", i, err)
		}
		defer g.Close(context.Background())
	}
}
