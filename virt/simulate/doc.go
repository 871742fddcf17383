// Package simulate runs systems of several guests in simulated worlds and explains what went wrong.
// Machines crash, lose power and are slow, clocks jump, disks fail and networks are cut. A seed
// decides when.
//
//	sim := simulate.Simulation{
//		Nodes:   []simulate.Node{{Name: "n1", Wasm: server, Ports: []string{"80"}}, {Name: "n2", Wasm: server, Ports: []string{"80"}}},
//		Clients: []simulate.Client{{Name: "alice", Run: alice}},
//		Nemesis: simulate.Nemesis{Kinds: simulate.Kinds()},
//		Check:   func(w *simulate.World) error { return simulate.CheckRegisters(w.History()) },
//	}
//
// [Node] says what a guest finds in its world; clients are Go functions (see [Actor]).
// virttest.Simulate runs a simulation over seeds in a Go test. It fails with the story of the
// lowest seed that fails: what happened when, which faults are needed, and the command that repeats
// it. Runner does the steps one by one.
//
// # What a seed decides
//
// All threads of all guests and clients take turns, in an order that is drawn from the seed; time
// is virtual; randomness, faults, and the delays of the network come from the seed. The same seed
// has the same events and the same [Result.Hash], on any machine and with any number of workers.
//
// # Faults
//
// A [Nemesis] draws a [Plan] from the seed: a Go value, and a text with one [Fault] a line, in the
// language of package faultfs with operations for nodes and links. A run can be repeated with
// another plan; [Runner.Shrink] leaves out what is not needed.
//
// The network carries connections, as TCP does: bytes arrive once and in order. So a lost packet is
// seen as a delay, and packets are reordered between connections, never within one; a duplicated
// packet is seen by nobody.
package simulate
