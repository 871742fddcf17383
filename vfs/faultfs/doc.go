// Package faultfs makes any vfs.FS fail on demand, by rules or by a loss of power.
//
//	rule, err := faultfs.ParseRule("path_open:/data/*:nth=3:EIO")
//	disk, err := faultfs.New(memfs.New(), []faultfs.Rule{rule})
//
// # Rules
//
// A [Rule] names an operation, a pattern for the path, when it applies (always, the nth time, from
// the nth time on, or with a probability drawn from a seed) and what happens then: an errno, a
// transfer of fewer bytes, a delay, wrong bytes in what is read, or the power going off. All rules
// that apply act together; if several have an errno, the first one counts. Each rule counts the
// calls that its operation and pattern match. If threads run one at a time, all of this is
// repeatable.
//
// Paths start at the root of the file system ([WithDir] says where guests see that) and are the
// paths by which a file was reached. They do not change if a directory above is renamed. Files that
// were opened while there were no rules have the path that the guest named, links included.
//
// # Delays
//
// A delay waits on the Host's clock (clock.Virtual jumps there if it advances by itself). A guest's
// context does not end the wait, because operations of file systems have no context. [WithSleep]
// sets another way to wait.
//
// # Losing power
//
// With [WithDurability], [FS.CutPower] takes the file system back to what was durable, and
// everything answers EIO until [FS.RestorePower]; files that were open before never work again.
// What was there when the FS was made is durable, and:
//
//   - Content, when its file was synced (fd_sync, fd_datasync, FdSync, FdDsync) after it was
//     written. What was not is lost as a whole: the content is what it was at the last sync, or
//     empty. With [WithTornWrites] some sectors of it are there.
//   - Names in a directory, when the directory was synced, together with those that lead to it.
//   - The names of a file or directory, when it was synced itself, and a rename at once if the
//     file's content is durable: journalling file systems see to that, and programs rely on it.
//     POSIX does not promise it: [WithStrictDurability] does without.
//   - A rename as a whole: after power was lost there is the old file or the new one, never none,
//     never half of one.
//   - Times and permissions are not part of the model.
//
// A program that writes a new file, syncs it and renames it over the old one therefore never loses
// data. A program that leaves out the sync does. With WithDurability changes take turns, and
// everything that could be lost is kept in memory.
package faultfs
