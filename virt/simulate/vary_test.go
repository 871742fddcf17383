package simulate

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzVary varies plans over and over. Each stays valid, within what the Nemesis allows, and the
// same as a text.
func FuzzVary(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, seed, with uint64) {
		const length = 3 * time.Second
		nodes := []string{"a", "b", "c"}[:1+seed%3]
		n := Nemesis{Kinds: Kinds()[with%8:], Faults: 1 + int(seed%7), Longest: time.Duration(with%900) * time.Millisecond}
		b := n.bounds(length, nodes)
		of := &varied{plan: n.Draw(seed, length, nodes)}
		rng := rand.New(rand.NewPCG(seed, with))
		for at := time.Duration(0); at < length; at += time.Duration(1 + rng.Int64N(int64(length/8))) {
			m := moment{at, append(nodes, "client")[rng.IntN(len(nodes)+1)]}
			of.moments = append(of.moments, []moment{m})
			of.fresh = append(of.fresh, m)
		}
		for range 50 {
			limit := max(b.most, len(of.plan))
			plan := b.vary(rng, of, n.Draw(with, length, nodes))
			if err := plan.check(nodes); err != nil {
				t.Fatal(err)
			}
			if len(plan) > limit {
				t.Fatalf("%d faults, want at most %d", len(plan), limit)
			}
			for _, fault := range plan {
				if fault.At > length || fault.For > max(b.longest, time.Millisecond) || !slices.Contains(n.Kinds, fault.Kind) || fault.Node == fault.Peer {
					t.Fatalf("%v is not what %+v allows", fault, n)
				}
			}
			again, err := ParsePlan(plan.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plan, again, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("the plan as a text (-want +got):\n%s", diff)
			}
			of.plan = plan
		}
	})
}

// A run is the same whether or not what it does is noted, and the same is noted each time.
func TestSignatureDoesNotMatter(t *testing.T) {
	wasm, err := os.ReadFile("testdata/worlds/copy.wasm")
	if err != nil {
		t.Fatal(err)
	}
	s := Simulation{Length: time.Second, Nemesis: Nemesis{Kinds: Kinds()}}
	for _, name := range []string{"a", "b"} {
		s.Nodes = append(s.Nodes, Node{Name: name, Wasm: wasm, Ports: []string{"7"}, MayEnd: true})
	}
	s.Clients = []Client{{Name: "client", Run: func(a *Actor) error {
		for n := 1; ; n++ {
			if c, err := a.Dial("a:7", 60*time.Millisecond); err == nil {
				fmt.Fprintf(c, "w %d %d\n", n%8, n)
				line, err := bufio.NewReader(c).ReadString('\n')
				a.Log("%q %v", line, err)
				c.Close()
			}
			if err := a.Sleep(20 * time.Millisecond); err != nil {
				return err
			}
		}
	}}}
	r, err := New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	for seed := range uint64(10) {
		var results [3]*Result
		signatures := []*signature{nil, newSignature(), newSignature()}
		for i, sig := range signatures {
			if results[i], err = r.runPlan(t.Context(), seed, r.Plan(seed), sig); err != nil {
				t.Fatal(err)
			}
		}
		if results[0].Hash != results[1].Hash || results[0].Hash != results[2].Hash {
			t.Errorf("seed %d: the events are others where they are noted", seed)
		}
		if len(signatures[1].features) == 0 || !slices.Equal(signatures[1].features, signatures[2].features) {
			t.Errorf("seed %d: %d features, then %d others", seed, len(signatures[1].features), len(signatures[2].features))
		}
	}
}
