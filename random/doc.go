// Package random is where the random bytes of guests come from.
//
// A Source fills a slice with bytes, all of it or an error. System draws from the
// operating system. Seeded is the same in every run: ChaCha8 keyed by a seed, and from
// one Seeded any number of independent streams, one a guest, so that starting another
// guest changes nothing for the others. Scripted says what a test wrote down, Failing
// fails, and Limited puts a budget on any of them.
//
//	world := random.Seeded(42)
//	a, b := world.Stream(1), world.Stream(2) // of guest 1 and guest 2
//
// There is no global state and no default seed. All Sources here are safe for
// concurrent use: the threads of a guest share one.
//
// RandomGet is the function of preview1 on top of a Source.
package random
