// Package simulate runs systems of several guests in simulated worlds, in which machines crash,
// lose power and are slow, clocks jump, disks fail and networks are cut. A seed decides when. If a
// run fails, the package explains why.
//
//	sim := simulate.Simulation{
//		Nodes:   []simulate.Node{{Name: "n1", Wasm: server, Ports: []string{"80"}}, {Name: "n2", Wasm: server, Ports: []string{"80"}}},
//		Clients: []simulate.Client{{Name: "alice", Run: alice}},
//		Nemesis: simulate.Nemesis{Kinds: simulate.Kinds()},
//		Check:   func(w *simulate.World) error { return simulate.CheckRegisters(w.History()) },
//	}
//
// [Node] says what a guest finds in its world. Clients are Go functions (see [Actor]).
// virttest.Simulate runs a simulation over seeds in a Go test. The test fails with the story of the
// lowest seed that fails: what happened when, which faults are needed, and the command that repeats
// it. [Runner] does the steps one by one.
//
// # What a seed decides
//
// All threads of all guests and clients take turns, in an order that is drawn from the seed.
// Randomness, faults and the delays of the network are drawn from it too. Time is virtual. The same
// seed has the same events and the same Result.Hash, on any machine and with any number of workers.
//
// # Guided search
//
// With [Simulation].Guided every second run of [Runner.Find] varies an earlier one that did
// something new. It keeps the seed, most often, and adds faults, mostly at moments at which the
// other run did something, takes some away, moves them, lets them last for another time or befall
// another node, draws them again, lets nodes change places, or goes on with the faults of a third
// run. It stays within the [Nemesis].
//
// What is new: a line that a node or a client writes (or an operation) after the one before, or a
// node's call of WASI after the one before, with its answer, for the first time or twice, four
// times and so on as often; a line while other kinds of faults hold; a fault that befalls a node
// after other calls, after another line or while other faults hold; a start of a node in another
// state; a crash after more or fewer calls than before. So it helps a search to write a line where
// something seldom happens.
//
// What is varied depends on the seeds. A run that was varied has [Result.Varied] set: its seed and
// its [Plan] repeat it, by [Runner.RunPlan].
//
// # Faults
//
// A [Nemesis] draws a [Plan] from the seed: a list of faults. As text it has one [Fault] a line;
// see [ParseFault]. [Runner.RunPlan] repeats a run with another plan. [Runner.Shrink] finds the
// faults that a failure needs.
//
// The network carries connections, as TCP does: bytes arrive once and in order. A guest sees a lost
// packet as a delay. Packets are reordered between connections, never within one. Duplicated
// packets are never seen.
package simulate
