package wasip1

// Rights are what a descriptor may be used for (preview1: rights). A descriptor has base rights,
// for calls on itself, and inheriting rights, which limit the rights of descriptors opened through
// it. A call that lacks its right returns ENOTCAPABLE.
type Rights uint64

const (
	RightFdDatasync           Rights = 1 << iota // fd_datasync; path_open with O_DSYNC
	RightFdRead                                  // fd_read and sock_recv; with FdSeek, fd_pread
	RightFdSeek                                  // fd_seek; implies FdTell
	RightFdFdstatSetFlags                        // fd_fdstat_set_flags
	RightFdSync                                  // fd_sync; path_open with O_RSYNC or O_SYNC
	RightFdTell                                  // fd_tell, and fd_seek that does not move
	RightFdWrite                                 // fd_write and sock_send; with FdSeek, fd_pwrite
	RightFdAdvise                                // fd_advise
	RightFdAllocate                              // fd_allocate
	RightPathCreateDirectory                     // path_create_directory
	RightPathCreateFile                          // with PathOpen, path_open with O_CREAT
	RightPathLinkSource                          // path_link with the descriptor as source
	RightPathLinkTarget                          // path_link with the descriptor as target
	RightPathOpen                                // path_open
	RightFdReaddir                               // fd_readdir
	RightPathReadlink                            // path_readlink
	RightPathRenameSource                        // path_rename with the descriptor as source
	RightPathRenameTarget                        // path_rename with the descriptor as target
	RightPathFilestatGet                         // path_filestat_get
	RightPathFilestatSetSize                     // path_open with O_TRUNC
	RightPathFilestatSetTimes                    // path_filestat_set_times
	RightFdFilestatGet                           // fd_filestat_get
	RightFdFilestatSetSize                       // fd_filestat_set_size
	RightFdFilestatSetTimes                      // fd_filestat_set_times
	RightPathSymlink                             // path_symlink
	RightPathRemoveDirectory                     // path_remove_directory
	RightPathUnlinkFile                          // path_unlink_file
	RightPollFdReadwrite                         // poll_oneoff on the descriptor
	RightSockShutdown                            // sock_shutdown
	RightSockAccept                              // sock_accept

	// RightsAll has all bits that preview1 defines.
	RightsAll Rights = 1<<30 - 1
)

// The rights of descriptors of each kind, unless they were restricted.
const (
	// RightsFile are the base rights of a regular file.
	RightsFile = RightFdDatasync | RightFdRead | RightFdSeek | RightFdFdstatSetFlags |
		RightFdSync | RightFdTell | RightFdWrite | RightFdAdvise | RightFdAllocate |
		RightFdFilestatGet | RightFdFilestatSetSize | RightFdFilestatSetTimes |
		RightPollFdReadwrite

	// RightsDirectoryBase are the base rights of a directory. They do not include seeking, because
	// a position in a directory is the cookie of fd_readdir.
	RightsDirectoryBase = RightFdFdstatSetFlags | RightFdSync | RightFdAdvise |
		RightPathCreateDirectory | RightPathCreateFile | RightPathLinkSource |
		RightPathLinkTarget | RightPathOpen | RightFdReaddir | RightPathReadlink |
		RightPathRenameSource | RightPathRenameTarget | RightPathFilestatGet |
		RightPathFilestatSetSize | RightPathFilestatSetTimes | RightFdFilestatGet |
		RightFdFilestatSetTimes | RightPathSymlink | RightPathRemoveDirectory |
		RightPathUnlinkFile | RightPollFdReadwrite

	// RightsDirectoryInheriting are the rights of directories, files and sockets that are opened
	// through a directory.
	RightsDirectoryInheriting = RightsDirectoryBase | RightsFile

	// RightsStream are the base rights of a terminal, a pipe or another stream. C programs treat a
	// character device without the rights to seek and tell as a terminal (wasi-libc: isatty).
	RightsStream = RightFdRead | RightFdWrite | RightFdFdstatSetFlags |
		RightFdFilestatGet | RightPollFdReadwrite

	// RightsSocket are the base rights of a socket.
	RightsSocket = RightsStream | RightSockShutdown | RightSockAccept
)

var rightsNames = [...]string{
	"FD_DATASYNC",
	"FD_READ",
	"FD_SEEK",
	"FD_FDSTAT_SET_FLAGS",
	"FD_SYNC",
	"FD_TELL",
	"FD_WRITE",
	"FD_ADVISE",
	"FD_ALLOCATE",
	"PATH_CREATE_DIRECTORY",
	"PATH_CREATE_FILE",
	"PATH_LINK_SOURCE",
	"PATH_LINK_TARGET",
	"PATH_OPEN",
	"FD_READDIR",
	"PATH_READLINK",
	"PATH_RENAME_SOURCE",
	"PATH_RENAME_TARGET",
	"PATH_FILESTAT_GET",
	"PATH_FILESTAT_SET_SIZE",
	"PATH_FILESTAT_SET_TIMES",
	"FD_FILESTAT_GET",
	"FD_FILESTAT_SET_SIZE",
	"FD_FILESTAT_SET_TIMES",
	"PATH_SYMLINK",
	"PATH_REMOVE_DIRECTORY",
	"PATH_UNLINK_FILE",
	"POLL_FD_READWRITE",
	"SOCK_SHUTDOWN",
	"SOCK_ACCEPT",
}

// String returns the names of the bits that are set, such as "FD_READ|FD_SEEK".
func (r Rights) String() string { return flagString(uint64(r), rightsNames[:]) }

// Has reports whether r has all rights of want.
func (r Rights) Has(want Rights) bool { return r&want == want }
