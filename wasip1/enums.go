package wasip1

// Filetype is the type of a descriptor or directory entry (preview1: filetype).
type Filetype uint8

const (
	FiletypeUnknown         Filetype = iota // unknown, or none of the others, such as a pipe
	FiletypeBlockDevice                     // a block device
	FiletypeCharacterDevice                 // a character device, such as a terminal
	FiletypeDirectory                       // a directory
	FiletypeRegularFile                     // a regular file
	FiletypeSocketDgram                     // a datagram socket
	FiletypeSocketStream                    // a byte-stream socket
	FiletypeSymbolicLink                    // a symbolic link
)

var filetypeNames = [...]string{"UNKNOWN", "BLOCK_DEVICE", "CHARACTER_DEVICE", "DIRECTORY", "REGULAR_FILE", "SOCKET_DGRAM", "SOCKET_STREAM", "SYMBOLIC_LINK"}

// String returns the name, or Filetype(n) for a value that preview1 does not define.
func (e Filetype) String() string { return enumString("Filetype", uint64(e), filetypeNames[:]) }

// Valid reports whether preview1 defines the value.
func (e Filetype) Valid() bool { return uint64(e) < uint64(len(filetypeNames)) }

// Whence is what the offset of fd_seek counts from (preview1: whence).
type Whence uint8

const (
	WhenceSet Whence = iota // the start of the file
	WhenceCur               // the current position
	WhenceEnd               // the end of the file
)

var whenceNames = [...]string{"SEEK_SET", "SEEK_CUR", "SEEK_END"}

// String returns the name, or Whence(n) for a value that preview1 does not define.
func (e Whence) String() string { return enumString("Whence", uint64(e), whenceNames[:]) }

// Valid reports whether preview1 defines the value.
func (e Whence) Valid() bool { return uint64(e) < uint64(len(whenceNames)) }

// ClockID names a clock (preview1: clockid).
type ClockID uint32

const (
	ClockRealtime       ClockID = iota // nanoseconds since 1970-01-01T00:00:00Z
	ClockMonotonic                     // nanoseconds since some point; never goes back
	ClockProcessCPUTime                // nanoseconds that the guest has computed
	ClockThreadCPUTime                 // nanoseconds that the thread has computed
)

var clockIDNames = [...]string{"CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID"}

// String returns the name, or ClockID(n) for a value that preview1 does not define.
func (e ClockID) String() string { return enumString("ClockID", uint64(e), clockIDNames[:]) }

// Valid reports whether preview1 defines the value.
func (e ClockID) Valid() bool { return uint64(e) < uint64(len(clockIDNames)) }

// Eventtype is what a subscription waits for (preview1: eventtype).
type Eventtype uint8

const (
	EventtypeClock   Eventtype = iota // a clock reaching a time
	EventtypeFdRead                   // a descriptor having data, or its end, to read
	EventtypeFdWrite                  // a descriptor having room to write
)

var eventtypeNames = [...]string{"CLOCK", "FD_READ", "FD_WRITE"}

// String returns the name, or Eventtype(n) for a value that preview1 does not define.
func (e Eventtype) String() string { return enumString("Eventtype", uint64(e), eventtypeNames[:]) }

// Valid reports whether preview1 defines the value.
func (e Eventtype) Valid() bool { return uint64(e) < uint64(len(eventtypeNames)) }

// Advice is how a file will be used, for fd_advise (preview1: advice).
type Advice uint8

const (
	AdviceNormal     Advice = iota // nothing special
	AdviceSequential               // from lower offsets to higher
	AdviceRandom                   // in random order
	AdviceWillneed                 // soon
	AdviceDontneed                 // not soon
	AdviceNoreuse                  // once
)

var adviceNames = [...]string{"NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED", "NOREUSE"}

// String returns the name, or Advice(n) for a value that preview1 does not define.
func (e Advice) String() string { return enumString("Advice", uint64(e), adviceNames[:]) }

// Valid reports whether preview1 defines the value.
func (e Advice) Valid() bool { return uint64(e) < uint64(len(adviceNames)) }

// Preopentype is the type of a preopened descriptor (preview1: preopentype).
type Preopentype uint8

const (
	PreopentypeDir Preopentype = iota // a directory
)

var preopentypeNames = [...]string{"DIR"}

// String returns the name, or Preopentype(n) for a value that preview1 does not define.
func (e Preopentype) String() string {
	return enumString("Preopentype", uint64(e), preopentypeNames[:])
}

// Valid reports whether preview1 defines the value.
func (e Preopentype) Valid() bool { return uint64(e) < uint64(len(preopentypeNames)) }

// Signal is a condition that proc_raise raises (preview1: signal). The numbers are
// preview1's own.
type Signal uint8

const (
	SIGNONE   Signal = iota // no signal
	SIGHUP                  // hangup
	SIGINT                  // terminal interrupt
	SIGQUIT                 // terminal quit
	SIGILL                  // illegal instruction
	SIGTRAP                 // trap
	SIGABRT                 // abort
	SIGBUS                  // access to an undefined part of memory
	SIGFPE                  // erroneous arithmetic
	SIGKILL                 // kill
	SIGUSR1                 // user-defined 1
	SIGSEGV                 // invalid memory reference
	SIGUSR2                 // user-defined 2
	SIGPIPE                 // write to a pipe that nobody reads
	SIGALRM                 // alarm clock
	SIGTERM                 // termination
	SIGCHLD                 // a child ended, stopped or went on
	SIGCONT                 // go on
	SIGSTOP                 // stop
	SIGTSTP                 // terminal stop
	SIGTTIN                 // background read from a terminal
	SIGTTOU                 // background write to a terminal
	SIGURG                  // urgent data on a socket
	SIGXCPU                 // limit of CPU time exceeded
	SIGXFSZ                 // limit of file size exceeded
	SIGVTALRM               // virtual timer expired
	SIGPROF                 // profiling timer expired
	SIGWINCH                // terminal window changed its size
	SIGPOLL                 // I/O possible
	SIGPWR                  // power failure
	SIGSYS                  // bad system call
)

var signalNames = [...]string{"SIGNONE", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGPOLL", "SIGPWR", "SIGSYS"}

// String returns the name, or Signal(n) for a value that preview1 does not define.
func (e Signal) String() string { return enumString("Signal", uint64(e), signalNames[:]) }

// Valid reports whether preview1 defines the value.
func (e Signal) Valid() bool { return uint64(e) < uint64(len(signalNames)) }

// Dircookie is a position in a directory, opaque to the guest (preview1: dircookie).
type Dircookie uint64

// DircookieStart is the position before the first entry.
const DircookieStart Dircookie = 0
