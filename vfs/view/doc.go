// Package view shows the files of guests to host code in the two forms that Go programs know:
// [Afero] makes any [vfs.FS] an afero.Fs, [FS] makes it an io/fs.FS. So a test prepares a world
// with afero.WriteFile, and looks at what came out with fs.WalkDir, while guests run or after.
//
// Paths are resolved by the walker that resolves those of guests: the same links, the same mounts,
// the same errors. A name may start with a slash or not; ".." leads no further up than the root.
// Symbolic links are followed, the last component's included where package os does so; absolute
// targets start at the root.
//
// Errors are *fs.PathError or *os.LinkError around a [wasip1.Errno], so that errors.Is(err,
// fs.ErrNotExist) and errors.Is(err, wasip1.ENOTEMPTY) both work. The Sys of a FileInfo is the
// [vfs.Attr]. All may be used by many goroutines, one open file by one at a time where its position
// matters.
//
// A file system that is a single file has no names: everything answers ENOTDIR.
package view
