package wasip1

// Oflags say how path_open opens (preview1: oflags).
type Oflags uint16

const (
	OCreat     Oflags = 1 << iota // create the file if it does not exist
	ODirectory                    // fail with ENOTDIR if it is not a directory
	OExcl                         // fail with EEXIST if it exists
	OTrunc                        // cut the file to size 0

	// OflagsAll has all bits that preview1 defines.
	OflagsAll Oflags = 1<<4 - 1
)

var oflagsNames = [...]string{"O_CREAT", "O_DIRECTORY", "O_EXCL", "O_TRUNC"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Oflags) String() string { return flagString(uint64(f), oflagsNames[:]) }

// Fdflags are the flags of an open file description (preview1: fdflags).
type Fdflags uint16

const (
	FdAppend   Fdflags = 1 << iota // each write goes to the end of the file
	FdDsync                        // a write returns when its data is stored
	FdNonblock                     // EAGAIN instead of waiting
	FdRsync                        // reads wait for pending writes to be stored
	FdSync                         // a write returns when data and times are stored

	// FdflagsAll has all bits that preview1 defines.
	FdflagsAll Fdflags = 1<<5 - 1
)

var fdflagsNames = [...]string{"O_APPEND", "O_DSYNC", "O_NONBLOCK", "O_RSYNC", "O_SYNC"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Fdflags) String() string { return flagString(uint64(f), fdflagsNames[:]) }

// Lookupflags say how a path is resolved (preview1: lookupflags).
type Lookupflags uint32

const (
	LookupSymlinkFollow Lookupflags = 1 << iota // follow a symbolic link in the last component

	// LookupflagsAll has all bits that preview1 defines.
	LookupflagsAll Lookupflags = 1<<1 - 1
)

var lookupflagsNames = [...]string{"SYMLINK_FOLLOW"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Lookupflags) String() string { return flagString(uint64(f), lookupflagsNames[:]) }

// Fstflags say which times *_set_times sets (preview1: fstflags). A call that sets a time both to a
// given value and to now is EINVAL.
type Fstflags uint16

const (
	FstAtim    Fstflags = 1 << iota // set the time of last access to the given one
	FstAtimNow                      // set the time of last access to now
	FstMtim                         // set the time of last modification to the given one
	FstMtimNow                      // set the time of last modification to now

	// FstflagsAll has all bits that preview1 defines.
	FstflagsAll Fstflags = 1<<4 - 1
)

var fstflagsNames = [...]string{"ATIM", "ATIM_NOW", "MTIM", "MTIM_NOW"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Fstflags) String() string { return flagString(uint64(f), fstflagsNames[:]) }

// Subclockflags are the flags of a clock subscription (preview1: subclockflags).
type Subclockflags uint16

const (
	SubclockAbstime Subclockflags = 1 << iota // the timeout is a time of the clock, not a duration

	// SubclockflagsAll has all bits that preview1 defines.
	SubclockflagsAll Subclockflags = 1<<1 - 1
)

var subclockflagsNames = [...]string{"ABSTIME"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Subclockflags) String() string { return flagString(uint64(f), subclockflagsNames[:]) }

// Eventrwflags describe a descriptor that is ready (preview1: eventrwflags).
type Eventrwflags uint16

const (
	EventFdReadwriteHangup Eventrwflags = 1 << iota // the peer has closed

	// EventrwflagsAll has all bits that preview1 defines.
	EventrwflagsAll Eventrwflags = 1<<1 - 1
)

var eventrwflagsNames = [...]string{"HANGUP"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Eventrwflags) String() string { return flagString(uint64(f), eventrwflagsNames[:]) }

// Riflags are the flags of sock_recv (preview1: riflags).
type Riflags uint16

const (
	RecvPeek    Riflags = 1 << iota // leave the data in the queue
	RecvWaitall                     // wait until the buffers are full

	// RiflagsAll has all bits that preview1 defines.
	RiflagsAll Riflags = 1<<2 - 1
)

var riflagsNames = [...]string{"RECV_PEEK", "RECV_WAITALL"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Riflags) String() string { return flagString(uint64(f), riflagsNames[:]) }

// Roflags are flags that sock_recv returns (preview1: roflags).
type Roflags uint16

const (
	RecvDataTruncated Roflags = 1 << iota // a message was longer than the buffers

	// RoflagsAll has all bits that preview1 defines.
	RoflagsAll Roflags = 1<<1 - 1
)

var roflagsNames = [...]string{"RECV_DATA_TRUNCATED"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Roflags) String() string { return flagString(uint64(f), roflagsNames[:]) }

// Siflags are the flags of sock_send (preview1: siflags). None is defined.
type Siflags uint16

// SiflagsAll has all bits that preview1 defines: none.
const SiflagsAll Siflags = 0

// String returns "0", or the bits in hexadecimal.
func (f Siflags) String() string { return flagString(uint64(f), nil) }

// Sdflags say which directions sock_shutdown ends (preview1: sdflags).
type Sdflags uint8

const (
	ShutRd Sdflags = 1 << iota // no more receives
	ShutWr                     // no more sends

	// SdflagsAll has all bits that preview1 defines.
	SdflagsAll Sdflags = 1<<2 - 1
)

var sdflagsNames = [...]string{"SHUT_RD", "SHUT_WR"}

// String returns the names of the bits that are set, as "A|B" does.
func (f Sdflags) String() string { return flagString(uint64(f), sdflagsNames[:]) }
