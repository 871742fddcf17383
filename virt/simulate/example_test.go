package simulate_test

import (
	"fmt"
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
