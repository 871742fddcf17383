package virt

import (
	"math"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ModuleName is the module that guests import preview1 from.
const ModuleName = "wasi_snapshot_preview1"

// Subsystem is the part of the Host that answers a function.
type Subsystem string

// The subsystems, named as the packages that implement them.
const (
	SubsystemProcess Subsystem = "process"
	SubsystemClock   Subsystem = "clock"
	SubsystemFiles   Subsystem = "vfs"
	SubsystemPoll    Subsystem = "poll"
	SubsystemSched   Subsystem = "sched"
	SubsystemRandom  Subsystem = "random"
)

// Function is one row of the table of what a Host answers.
type Function struct {
	// Name is the function's name in the specification.
	Name string
	// Subsystem answers it.
	Subsystem Subsystem
	// Params are the parameters in order. A parameter of some kinds, such as a path, stands for two
	// WebAssembly parameters: a pointer and a length.
	Params []Param
	// NoResult is set for the one function that never returns.
	NoResult bool

	call handler
}

// handler answers a call of a guest thread, whose WebAssembly parameters are in p.
type handler func(t *thread, p []uint64) wasip1.Errno

// Functions returns the functions that a Host answers for [ModuleName], in the order of
// the specification.
func Functions() []Function { return append([]Function(nil), preview1[:]...) }

// The parameters that recur.
var (
	fd       = Param{"fd", KindFd}
	pathname = Param{"path", KindPath}
	iovs     = Param{"iovs", KindIovs}
	ciovs    = Param{"iovs", KindCiovs}
	offset   = Param{"offset", KindFilesize}
	length   = Param{"len", KindFilesize}
	lookup   = Param{"flags", KindLookupflags}
	atim     = Param{"atim", KindTimestamp}
	mtim     = Param{"mtim", KindTimestamp}
	fstf     = Param{"fst_flags", KindFstflags}
	nread    = Param{"nread", KindOutSize}
	nwrit    = Param{"nwritten", KindOutSize}
)

func params(p ...Param) []Param { return p }

// u is the i32 at position i.
func u(p []uint64, i int) uint32 { return uint32(p[i]) }

// preview1 is the whole of wasi_snapshot_preview1. Registration, tracing, recording, replay, faults and the
// import audit all read it.
var preview1 = [...]Function{
	{Name: "args_get", Subsystem: SubsystemProcess,
		Params: params(Param{"argv", KindOutPointers}, Param{"argv_buf", KindOutBytes}),
		call:   func(t *thread, p []uint64) wasip1.Errno { return process.ArgsGet(t.args, &t.view, u(p, 0), u(p, 1)) }},
	{Name: "args_sizes_get", Subsystem: SubsystemProcess,
		Params: params(Param{"argc", KindOutSize}, Param{"argv_buf_size", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return process.ArgsSizesGet(t.args, &t.view, u(p, 0), u(p, 1))
		}},
	{Name: "environ_get", Subsystem: SubsystemProcess,
		Params: params(Param{"environ", KindOutPointers}, Param{"environ_buf", KindOutBytes}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return process.EnvironGet(t.env, &t.view, u(p, 0), u(p, 1))
		}},
	{Name: "environ_sizes_get", Subsystem: SubsystemProcess,
		Params: params(Param{"environc", KindOutSize}, Param{"environ_buf_size", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return process.EnvironSizesGet(t.env, &t.view, u(p, 0), u(p, 1))
		}},

	{Name: "clock_res_get", Subsystem: SubsystemClock,
		Params: params(Param{"id", KindClockID}, Param{"resolution", KindOutTimestamp}),
		call:   func(t *thread, p []uint64) wasip1.Errno { return clock.ResGet(&t.times, &t.view, u(p, 0), u(p, 1)) }},
	{Name: "clock_time_get", Subsystem: SubsystemClock,
		Params: params(Param{"id", KindClockID}, Param{"precision", KindTimestamp}, Param{"time", KindOutTimestamp}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return clock.TimeGet(&t.times, &t.view, u(p, 0), p[1], u(p, 2))
		}},

	{Name: "fd_advise", Subsystem: SubsystemFiles,
		Params: params(fd, offset, length, Param{"advice", KindAdvice}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdAdvise(&t.files, u(p, 0), p[1], p[2], u(p, 3))
		}},
	{Name: "fd_allocate", Subsystem: SubsystemFiles,
		Params: params(fd, offset, length),
		call:   func(t *thread, p []uint64) wasip1.Errno { return vfs.FdAllocate(&t.files, u(p, 0), p[1], p[2]) }},
	{Name: "fd_close", Subsystem: SubsystemFiles, Params: params(fd),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdClose(&t.files, u(p, 0)) }},
	{Name: "fd_datasync", Subsystem: SubsystemFiles, Params: params(fd),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdDatasync(&t.files, u(p, 0)) }},
	{Name: "fd_fdstat_get", Subsystem: SubsystemFiles, Params: params(fd, Param{"stat", KindOutFdstat}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFdstatGet(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_fdstat_set_flags", Subsystem: SubsystemFiles, Params: params(fd, Param{"flags", KindFdflags}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFdstatSetFlags(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_fdstat_set_rights", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"fs_rights_base", KindRights}, Param{"fs_rights_inheriting", KindRights}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdFdstatSetRights(&t.files, u(p, 0), p[1], p[2])
		}},
	{Name: "fd_filestat_get", Subsystem: SubsystemFiles, Params: params(fd, Param{"buf", KindOutFilestat}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFilestatGet(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_filestat_set_size", Subsystem: SubsystemFiles, Params: params(fd, Param{"size", KindFilesize}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFilestatSetSize(&t.files, u(p, 0), p[1]) }},
	{Name: "fd_filestat_set_times", Subsystem: SubsystemFiles, Params: params(fd, atim, mtim, fstf),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdFilestatSetTimes(&t.files, u(p, 0), p[1], p[2], u(p, 3))
		}},
	{Name: "fd_pread", Subsystem: SubsystemFiles, Params: params(fd, iovs, offset, nread),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdPread(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
		}},
	{Name: "fd_prestat_get", Subsystem: SubsystemFiles, Params: params(fd, Param{"buf", KindOutPrestat}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdPrestatGet(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_prestat_dir_name", Subsystem: SubsystemFiles, Params: params(fd, Param{"path", KindOutBuffer}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdPrestatDirName(&t.files, u(p, 0), u(p, 1), u(p, 2))
		}},
	{Name: "fd_pwrite", Subsystem: SubsystemFiles, Params: params(fd, ciovs, offset, nwrit),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdPwrite(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
		}},
	{Name: "fd_read", Subsystem: SubsystemFiles, Params: params(fd, iovs, nread),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdRead(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
		}},
	{Name: "fd_readdir", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"buf", KindOutBuffer}, Param{"cookie", KindCookie}, Param{"bufused", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdReaddir(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
		}},
	{Name: "fd_renumber", Subsystem: SubsystemFiles, Params: params(fd, Param{"to", KindFd}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdRenumber(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_seek", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"offset", KindFiledelta}, Param{"whence", KindWhence}, Param{"newoffset", KindOutFilesize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdSeek(&t.files, u(p, 0), p[1], u(p, 2), u(p, 3))
		}},
	{Name: "fd_sync", Subsystem: SubsystemFiles, Params: params(fd),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdSync(&t.files, u(p, 0)) }},
	{Name: "fd_tell", Subsystem: SubsystemFiles, Params: params(fd, Param{"offset", KindOutFilesize}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.FdTell(&t.files, u(p, 0), u(p, 1)) }},
	{Name: "fd_write", Subsystem: SubsystemFiles, Params: params(fd, ciovs, nwrit),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.FdWrite(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
		}},

	{Name: "path_create_directory", Subsystem: SubsystemFiles, Params: params(fd, pathname),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathCreateDirectory(&t.files, u(p, 0), u(p, 1), u(p, 2))
		}},
	{Name: "path_filestat_get", Subsystem: SubsystemFiles, Params: params(fd, lookup, pathname, Param{"buf", KindOutFilestat}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathFilestatGet(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
		}},
	{Name: "path_filestat_set_times", Subsystem: SubsystemFiles, Params: params(fd, lookup, pathname, atim, mtim, fstf),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathFilestatSetTimes(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), p[4], p[5], u(p, 6))
		}},
	{Name: "path_link", Subsystem: SubsystemFiles,
		Params: params(Param{"old_fd", KindFd}, Param{"old_flags", KindLookupflags}, Param{"old_path", KindPath},
			Param{"new_fd", KindFd}, Param{"new_path", KindPath}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathLink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5), u(p, 6))
		}},
	{Name: "path_open", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"dirflags", KindLookupflags}, pathname, Param{"oflags", KindOflags},
			Param{"fs_rights_base", KindRights}, Param{"fs_rights_inheriting", KindRights},
			Param{"fdflags", KindFdflags}, Param{"opened_fd", KindOutFd}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathOpen(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), p[5], p[6], u(p, 7), u(p, 8))
		}},
	{Name: "path_readlink", Subsystem: SubsystemFiles,
		Params: params(fd, pathname, Param{"buf", KindOutBuffer}, Param{"bufused", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathReadlink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
		}},
	{Name: "path_remove_directory", Subsystem: SubsystemFiles, Params: params(fd, pathname),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathRemoveDirectory(&t.files, u(p, 0), u(p, 1), u(p, 2))
		}},
	{Name: "path_rename", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"old_path", KindPath}, Param{"new_fd", KindFd}, Param{"new_path", KindPath}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathRename(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
		}},
	{Name: "path_symlink", Subsystem: SubsystemFiles,
		Params: params(Param{"old_path", KindPath}, fd, Param{"new_path", KindPath}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathSymlink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
		}},
	{Name: "path_unlink_file", Subsystem: SubsystemFiles, Params: params(fd, pathname),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.PathUnlinkFile(&t.files, u(p, 0), u(p, 1), u(p, 2))
		}},

	{Name: "poll_oneoff", Subsystem: SubsystemPoll,
		Params: params(Param{"in", KindSubscriptions}, Param{"out", KindOutEvents}, Param{"nsubscriptions", KindSize}, Param{"nevents", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return poll.Oneoff(&t.poller, &t.view, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
		}},

	{Name: "proc_exit", Subsystem: SubsystemProcess, NoResult: true, Params: params(Param{"rval", KindExitcode}),
		call: func(t *thread, p []uint64) wasip1.Errno { return t.end(process.ProcExit(t.guest.hooks, u(p, 0))) }},
	{Name: "proc_raise", Subsystem: SubsystemProcess, Params: params(Param{"sig", KindSignal}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			if u(p, 0) > math.MaxUint8 {
				return wasip1.EINVAL // a signal has 8 bits
			}
			return t.end(process.ProcRaise(t.guest.hooks, wasip1.Signal(u(p, 0))))
		}},

	{Name: "sched_yield", Subsystem: SubsystemSched,
		call: func(t *thread, _ []uint64) wasip1.Errno { return t.schedYield() }},

	{Name: "random_get", Subsystem: SubsystemRandom, Params: params(Param{"buf", KindOutBuffer}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return random.RandomGet(t.guest.random, &t.view, u(p, 0), u(p, 1))
		}},

	{Name: "sock_accept", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"flags", KindFdflags}, Param{"ro_fd", KindOutFd}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.SockAccept(&t.files, u(p, 0), u(p, 1), u(p, 2))
		}},
	{Name: "sock_recv", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"ri_data", KindIovs}, Param{"ri_flags", KindRiflags}, Param{"ro_datalen", KindOutSize}, Param{"ro_flags", KindOutRoflags}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.SockRecv(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
		}},
	{Name: "sock_send", Subsystem: SubsystemFiles,
		Params: params(fd, Param{"si_data", KindCiovs}, Param{"si_flags", KindSiflags}, Param{"so_datalen", KindOutSize}),
		call: func(t *thread, p []uint64) wasip1.Errno {
			return vfs.SockSend(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
		}},
	{Name: "sock_shutdown", Subsystem: SubsystemFiles, Params: params(fd, Param{"how", KindSdflags}),
		call: func(t *thread, p []uint64) wasip1.Errno { return vfs.SockShutdown(&t.files, u(p, 0), u(p, 1)) }},
}
