package simulate_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/virt/simulate"
)

func ExampleParsePlan() {
	plan, err := simulate.ParsePlan(`
		# n1 is alone for a second, and n2 loses power meanwhile
		n1-n2 link:at=1s:cut:for=1s
		n1-n3 link:at=1s:cut:for=1s
		n2 node:at=1500ms:powerloss:for=200ms
	`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range plan {
		fmt.Println(f.Kind, f.Node, f.Peer, f.At, f.For)
	}
	// Output:
	// cut n1 n2 1s 1s
	// cut n1 n3 1s 1s
	// powerloss n2  1.5s 200ms
}

// Two nodes hold the same numbers. A search that varies faults finds that one can lose some, and
// which faults that takes.
func ExampleSimulation_guided() {
	ctx := context.Background()
	wasm, err := os.ReadFile("testdata/worlds/copy.wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := simulate.New(ctx, simulate.Simulation{
		Nodes:   []simulate.Node{{Name: "a", Wasm: wasm, Ports: []string{"7"}}, {Name: "b", Wasm: wasm, Ports: []string{"7"}}},
		Clients: []simulate.Client{{Name: "client", Run: arbiter}},
		Length:  time.Second,
		Nemesis: simulate.Nemesis{Kinds: []simulate.Kind{simulate.PowerLoss, simulate.Cut}},
		Guided:  true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close(ctx)
	failed, _, err := r.Find(ctx, 401, 1400, 0)
	if err != nil || failed == nil {
		fmt.Println(failed, err)
		return
	}
	shrunk, err := r.Shrink(ctx, failed)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range shrunk.Plan {
		fmt.Println(f.Kind, f.Node)
	}
	// Output:
	// powerloss b
	// powerloss a
}

func ExampleCheckRegisters() {
	history := []simulate.Operation{
		{Client: "alice", Key: "x", Write: true, Value: "1", Call: 1 * time.Second, Return: 2 * time.Second},
		{Client: "bob", Key: "x", Value: "1", Call: 3 * time.Second, Return: 4 * time.Second},
		{Client: "alice", Key: "x", Value: "", Call: 5 * time.Second, Return: 6 * time.Second},
	}
	fmt.Println(simulate.CheckRegisters(history))
	// Output:
	// not linearizable: no order of the operations on x explains that alice reads x: "" (called at 5.0000s) and returns at 6.0000s
}
