// Package faultfs makes any [vfs.FS] fail on demand: by rule, and by losing power.
//
//	rule, err := faultfs.ParseRule("path_open:/data/*:nth=3:EIO")
//	disk, err := faultfs.New(memfs.New(), []faultfs.Rule{rule})
//
// # Rules
//
// A [Rule] names an operation, a pattern for the path, when it applies (always, the nth time, from the nth time on, or with
// a probability drawn from a seed) and what happens then: an errno, a transfer of fewer bytes, a delay, wrong bytes in
// what is read, or the power going off. All rules that apply act together; of several errnos the first counts.
// Each rule counts the calls that its operation and pattern match. With one thread at a time all is repeatable.
//
// Paths start at the root of the file system ([At] says where guests see that) and are those by which a file was
// reached: they do not follow when a directory above is renamed.
//
// # Delays
//
// An operation of a file system has no task that could be parked. A delay waits on the Host's clock until the time has
// come ([clock.Virtual] jumps there if it advances by itself), and is not ended by a guest's context. [Sleep] sets
// another way to wait.
//
// # Losing power
//
// With [TrackDurability], [FS.CutPower] takes the file system back to what was durable, and everything answers EIO until
// [FS.RestorePower]; files that were open before never work again. What is durable follows the journalling file
// systems that guests meet on real machines:
//
//   - Content is durable when its file was synced (fd_sync, fd_datasync, or a file opened with FdSync or FdDsync) after it
//     was written. What was not is lost as a whole: the content is what it was at the last sync, or empty.
//   - Changes of names are journalled in order. Syncing any file or directory makes all of them so far durable. So does
//     renaming a file whose content is synced. A rename is there completely or not at all.
//   - Times and permissions are not part of the model.
//
// So the usual journal (write a new file, sync it, rename it over the old one) never loses what it has renamed, and one that
// leaves out the sync does. What was there when the FS was made is durable. While this is tracked all changes
// take turns, and what could be lost is kept in memory.
package faultfs
