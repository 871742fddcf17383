package quotafs

import (
	"math"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
)

// Limits says how much there may be. 0 is no limit.
type Limits struct {
	// Bytes is how many bytes all files may grow by together. It implies a budget of metadata
	// (names, inodes): as many bytes again, at least [vfs.MinMetadata].
	Bytes int64
	// Inodes is how many files, directories and links may be made.
	Inodes int64
	// FileSize is the largest size of a file in bytes.
	FileSize int64
	// DirEntries is the largest number of names in a directory, "." and ".." not among them.
	DirEntries int64
}

// Usage tells how much is in use and how much is free; both add up to the limit. Without a limit
// the free amount is what is missing to [math.MaxInt64].
type Usage struct {
	Bytes, FreeBytes       int64
	Inodes, FreeInodes     int64
	Metadata, FreeMetadata int64 // bytes that names and inodes are charged
}

// Quota is an amount of bytes, of inodes and of metadata that any number of file systems take from.
// All its methods may be called from any goroutine.
type Quota struct {
	mu                     sync.Mutex
	bytes, inodes, meta    int64 // in use
	limitB, limitI, limitM int64
	parent                 *Quota // which all that is taken is taken from too
}

// NewQuota returns a quota of bytes, with the metadata that [Limits] says, and of inodes; 0 is no
// limit.
func NewQuota(bytes, inodes int64) *Quota {
	b := orUnlimited(bytes)
	return &Quota{limitB: b, limitI: orUnlimited(inodes), limitM: vfs.MetadataLimit(b)}
}

func orUnlimited(n int64) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

// Usage returns what is used and free at one moment.
func (q *Quota) Usage() Usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Usage{q.bytes, q.limitB - q.bytes, q.inodes, q.limitI - q.inodes, q.meta, q.limitM - q.meta}
}

// takeBytes takes as much of n as there is and returns it.
func (q *Quota) takeBytes(n int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, q.limitB-q.bytes)
	if q.parent != nil {
		n = q.parent.takeBytes(n)
	}
	q.bytes += n
	return n
}

func (q *Quota) giveBytes(n int64) { q.give(Usage{Bytes: n}) }

// give gives back what u says is in use.
func (q *Quota) give(u Usage) {
	q.mu.Lock()
	q.bytes -= u.Bytes
	q.inodes -= u.Inodes
	q.meta -= u.Metadata
	parent := q.parent
	q.mu.Unlock()
	if parent != nil {
		parent.give(u)
	}
}

// takeAll takes what u says is in use, all of it or nothing.
func (q *Quota) takeAll(u Usage) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if u.Bytes > q.limitB-q.bytes || u.Inodes > q.limitI-q.inodes || u.Metadata > q.limitM-q.meta {
		return false
	}
	if q.parent != nil && !q.parent.takeAll(u) {
		return false
	}
	q.bytes += u.Bytes
	q.inodes += u.Inodes
	q.meta += u.Metadata
	return true
}

// Share returns a quota without a limit of its own that takes from q, and knows what was taken by
// way of it.
func (q *Quota) Share() *Quota {
	s := NewQuota(0, 0)
	s.parent = q
	return s
}

// Return gives back to the quota that q is a share of what is in use by way of q. File systems that
// count to q are not to be changed any more.
func (q *Quota) Return() {
	q.mu.Lock()
	u := Usage{Bytes: q.bytes, Inodes: q.inodes, Metadata: q.meta}
	q.bytes, q.inodes, q.meta = 0, 0, 0
	parent := q.parent
	q.parent = nil
	q.mu.Unlock()
	if parent != nil {
		parent.give(u)
	}
}

// takeInode takes one inode if there is one.
func (q *Quota) takeInode() bool { return q.takeAll(Usage{Inodes: 1}) }

func (q *Quota) giveInode() { q.give(Usage{Inodes: 1}) }

// takeMeta takes n bytes of metadata if there are as many.
func (q *Quota) takeMeta(n int64) bool { return q.takeAll(Usage{Metadata: n}) }

func (q *Quota) giveMeta(n int64) { q.give(Usage{Metadata: n}) }

// empty returns a quota with the same limits of which nothing is in use.
func (q *Quota) empty() *Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	return &Quota{limitB: q.limitB, limitI: q.limitI, limitM: q.limitM, parent: q.parent}
}
