package vfs

// What a file and its names take of a file system beside contents. File systems and wrappers with a
// limit of bytes (memfs, quotafs) charge it to a budget of metadata before they make the file or
// the name, and give it back when the file or the name has gone. The numbers are what memfs keeps
// for each, bookkeeping of a wrapper included.
const (
	// InodeBytes is the charge for a file, directory or symbolic link, in bytes. The target of a
	// symbolic link comes on top.
	InodeBytes = 256
	// NameBytes is the charge for a name in a directory, in bytes. The length of the name comes on
	// top.
	NameBytes = 96
	// MinMetadata is the smallest budget of metadata that a limit of bytes implies.
	MinMetadata = 64 << 10
)

// NameCost returns the charge for one name in a directory, in bytes.
func NameCost(name string) int64 { return NameBytes + int64(len(name)) }

// MetadataLimit returns the budget of metadata, in bytes, that a limit of bytes for contents
// implies: as much again, at least [MinMetadata].
func MetadataLimit(bytes int64) int64 { return max(bytes, MinMetadata) }
