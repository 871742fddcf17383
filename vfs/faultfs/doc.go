// Package faultfs makes any [vfs.FS] fail on demand: by rule, and by losing power.
//
//	rule, err := faultfs.ParseRule("path_open:/data/*:nth=3:EIO")
//	disk, err := faultfs.New(memfs.New(), []faultfs.Rule{rule})
//
// # Rules
//
// A [Rule] names an operation, a pattern for the path, when it applies (always, the nth time, from
// the nth time on, or with a probability drawn from a seed) and what happens then: an errno, a
// transfer of fewer bytes, a delay, wrong bytes in what is read, or the power going off. All rules
// that apply act together; of several errnos the first counts. Each rule counts the calls that its
// operation and pattern match. With one thread at a time all is repeatable.
//
// Paths start at the root of the file system ([WithDir] says where guests see that) and are those by
// which a file was reached: they do not follow when a directory above is renamed. What was opened
// while there were no rules goes by the path that was asked for, links included.
//
// # Delays
//
// An operation of a file system has no task that could be parked. A delay waits on the Host's clock
// until the time has come ([clock.Virtual] jumps there if it advances by itself), and is not ended
// by a guest's context. [WithSleep] sets another way to wait.
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
// So the usual journal (write a new file, sync it, rename it over the old one) never loses what it
// has renamed, and one that leaves out the sync does. While this is tracked changes take turns, and
// what could be lost is kept in memory.
package faultfs
