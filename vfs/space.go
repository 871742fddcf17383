package vfs

// The charges for metadata: what a file and its names cost beside the file's content. File systems
// and wrappers with a limit of bytes (memfs, quotafs) charge a budget of metadata before they make
// the file or the name. They return the charge when the file or the name is gone. The numbers are
// the memory that memfs needs for each, bookkeeping of a wrapper included.
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

// MetadataLimit returns the budget of metadata that a limit of bytes for contents implies: the same
// number of bytes, at least [MinMetadata].
func MetadataLimit(bytes int64) int64 { return max(bytes, MinMetadata) }
