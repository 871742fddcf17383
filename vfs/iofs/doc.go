// Package iofs mounts any [io/fs.FS], read-only: an embed.FS, a zip.Reader, an os.DirFS, a
// fstest.MapFS, the FS of an os.Root.
//
//	//go:embed testdata
//	var files embed.FS
//	ns.Mount("/data", iofs.New(files))
//
// Every change is answered with EROFS and nothing else.
//
// # What io/fs leaves open
//
//   - Inode numbers are given out per path when a path is first met, and remembered: two names of
//     one file have two. The root is 1.
//   - A name that io/fs calls invalid (it is not UTF-8) cannot exist: ENOENT.
//   - Symbolic links are links where the file system says what they are: where it implements
//     [io/fs.ReadLinkFS], and in archives, which keep a link's target as its content. They are then
//     resolved by the walker, inside the mount. Other file systems follow their links themselves,
//     wherever these lead: os.DirFS does confine nothing, and a process that swaps links below it
//     can lead a reader out. Mount directories with package hostfs.
//   - What has no modification time has 0.
//
// # Reading at any offset
//
// A file that implements [io.ReaderAt] or [io.Seeker] is read with that. Any other, such as an
// entry of a zip archive, is read from its start to its end. As soon as a guest reads it in any
// other order, its content is kept in memory if all such contents together stay within the buffer
// (see [WithBuffer]); else the file is opened again and skipped through, which is slow but bounded.
//
// The foreign file system is called by many goroutines at once, as io/fs demands of it. Each open
// file is used by one at a time, unless it has a ReadAt. A panic in it is not recovered: it is the
// embedder's code, and hiding its fault would leave it in an unknown state.
package iofs
