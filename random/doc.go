// Package random has the sources of the random bytes of guests.
//
// A [Source] fills a slice with bytes, or fails. There are five:
//
//   - [System] draws from the operating system.
//
//   - [Seeded] gives the same bytes in every run: ChaCha8 keyed by a seed. It has any number of
//     independent streams, one for each guest. Starting another guest changes nothing for the
//     others.
//
//   - [Scripted] gives the bytes that a test wrote down.
//
//   - [Failing] fails.
//
//   - [Limited] puts a budget on another Source.
//
// Two guests of one world get a stream each:
//
//	world := random.Seeded(42)
//	a, b := world.Stream(1), world.Stream(2)
//
// There is no global state and no default seed. All Sources here are safe for concurrent use,
// because the threads of a guest share one.
//
// [RandomGet] is preview1's random_get on top of a Source.
package random
