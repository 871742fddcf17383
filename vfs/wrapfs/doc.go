// Package wrapfs is what a file system that wraps another one is made of. The wrapper embeds these
// types in its own and writes only the methods in which it differs; the quota and the faults of
// this module (quotafs, faultfs) are made so.
//
// A wrapper has one function that makes its nodes, [Wrapper.Wrap]. It gives nodes of the types that
// matter to it types of its own, which embed [Dir] or [RegularFile], and leaves the others to
// [Plain]. All nodes that come from below pass through it, those that are handed in (to Link and
// Rename) are unwrapped with [Below].
//
//	func (f *myFS) Wrap(n vfs.Node) vfs.Node {
//		if n.Type() == wasip1.FiletypeRegularFile {
//			return &myFile{wrapfs.RegularFile{Node: wrapfs.Node{Below: n, Of: f}}}
//		}
//		return wrapfs.Plain(n, f)
//	}
//
// # Optional interfaces
//
// A [File] has the methods of all that a [vfs.File] may have besides, and does them in simple steps
// where the file below does not have them. So a wrapper that changes WriteAt has to change
// WriteVector and Append too: they do not come back to it.
//
// What a directory has costs the walker something even if it is of no use: [Root] hides from it
// what the root below does not have. A [Dir] does not pass paths through ([vfs.PathOpener]), since
// that would go around the Lookup and the Open of the wrapper; one that can afford it writes
// OpenPath and AttrPath itself, with [OpenPath] and [AttrPath].
package wrapfs
