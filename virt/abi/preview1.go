package abi

// ModuleName is the module that guests import preview1 from.
const ModuleName = "wasi_snapshot_preview1"

// ThreadsModule is the module that guests import thread-spawn from (wasi-threads).
const ThreadsModule = "wasi"

// Functions returns the functions of [ModuleName], in the order of the specification.
func Functions() []Function { return append([]Function(nil), preview1[:]...) }

// ThreadSpawn returns the one function of [ThreadsModule].
func ThreadSpawn() Function {
	return Function{Name: "thread-spawn", Subsystem: SubsystemSched, Params: params(param("start_arg", KindSize))}
}

// SubsystemOf returns the subsystem that answers an import, or "" if the embedder has to provide
// it.
func SubsystemOf(module, name string) Subsystem {
	switch module {
	case ModuleName:
		for i := range preview1 {
			if preview1[i].Name == name {
				return preview1[i].Subsystem
			}
		}
		for i := range extensions {
			if extensions[i].Name == name {
				return extensions[i].Subsystem
			}
		}
	case ThreadsModule:
		if name == "thread-spawn" {
			return SubsystemSched
		}
	}
	return ""
}

// The parameters that recur.
var (
	fd       = param("fd", KindFd)
	pathname = param("path", KindPath)
	iovs     = param("iovs", KindIovs)
	ciovs    = param("iovs", KindCiovs)
	offset   = param("offset", KindFilesize)
	length   = param("len", KindFilesize)
	lookup   = param("flags", KindLookupflags)
	atim     = param("atim", KindTimestamp)
	mtim     = param("mtim", KindTimestamp)
	fstf     = param("fst_flags", KindFstflags)
	nread    = param("nread", KindOutSize)
	nwrit    = param("nwritten", KindOutSize)
)

func params(p ...Param) []Param { return p }

func param(name string, k Kind) Param { return Param{Name: name, Kind: k} }

// preview1 is all of wasi_snapshot_preview1.
var preview1 = [...]Function{
	{Name: "args_get", Subsystem: SubsystemProcess, Params: params(param("argv", KindOutPointers), param("argv_buf", KindOutBytes))},
	{Name: "args_sizes_get", Subsystem: SubsystemProcess, Params: params(param("argc", KindOutSize), param("argv_buf_size", KindOutSize))},

	{Name: "environ_get", Subsystem: SubsystemProcess, Params: params(param("environ", KindOutPointers), param("environ_buf", KindOutBytes))},
	{Name: "environ_sizes_get", Subsystem: SubsystemProcess, Params: params(param("environc", KindOutSize), param("environ_buf_size", KindOutSize))},

	{Name: "clock_res_get", Subsystem: SubsystemClock, Params: params(param("id", KindClockID), param("resolution", KindOutTimestamp))},
	{Name: "clock_time_get", Subsystem: SubsystemClock, Params: params(param("id", KindClockID), param("precision", KindTimestamp), param("time", KindOutTimestamp))},

	{Name: "fd_advise", Subsystem: SubsystemFiles, Params: params(fd, offset, length, param("advice", KindAdvice))},
	{Name: "fd_allocate", Subsystem: SubsystemFiles, Params: params(fd, offset, length)},
	{Name: "fd_close", Subsystem: SubsystemFiles, Params: params(fd)},
	{Name: "fd_datasync", Subsystem: SubsystemFiles, Params: params(fd)},
	{Name: "fd_fdstat_get", Subsystem: SubsystemFiles, Params: params(fd, param("stat", KindOutFdstat))},
	{Name: "fd_fdstat_set_flags", Subsystem: SubsystemFiles, Params: params(fd, param("flags", KindFdflags))},
	{Name: "fd_fdstat_set_rights", Subsystem: SubsystemFiles, Params: params(fd, param("fs_rights_base", KindRights), param("fs_rights_inheriting", KindRights))},
	{Name: "fd_filestat_get", Subsystem: SubsystemFiles, Params: params(fd, param("buf", KindOutFilestat))},
	{Name: "fd_filestat_set_size", Subsystem: SubsystemFiles, Params: params(fd, param("size", KindFilesize))},
	{Name: "fd_filestat_set_times", Subsystem: SubsystemFiles, Params: params(fd, atim, mtim, fstf)},
	{Name: "fd_pread", Subsystem: SubsystemFiles, Params: params(fd, iovs, offset, nread)},
	{Name: "fd_prestat_get", Subsystem: SubsystemFiles, Params: params(fd, param("buf", KindOutPrestat))},
	{Name: "fd_prestat_dir_name", Subsystem: SubsystemFiles, Params: params(fd, param("path", KindOutBuffer))},
	{Name: "fd_pwrite", Subsystem: SubsystemFiles, Params: params(fd, ciovs, offset, nwrit)},
	{Name: "fd_read", Subsystem: SubsystemFiles, Params: params(fd, iovs, nread)},
	{Name: "fd_readdir", Subsystem: SubsystemFiles, Params: params(fd, param("buf", KindOutBuffer), param("cookie", KindCookie), param("bufused", KindOutSize))},
	{Name: "fd_renumber", Subsystem: SubsystemFiles, Params: params(fd, param("to", KindFd))},
	{Name: "fd_seek", Subsystem: SubsystemFiles, Params: params(fd, param("offset", KindFiledelta), param("whence", KindWhence), param("newoffset", KindOutFilesize))},
	{Name: "fd_sync", Subsystem: SubsystemFiles, Params: params(fd)},
	{Name: "fd_tell", Subsystem: SubsystemFiles, Params: params(fd, param("offset", KindOutFilesize))},
	{Name: "fd_write", Subsystem: SubsystemFiles, Params: params(fd, ciovs, nwrit)},

	{Name: "path_create_directory", Subsystem: SubsystemFiles, Params: params(fd, pathname)},
	{Name: "path_filestat_get", Subsystem: SubsystemFiles, Params: params(fd, lookup, pathname, param("buf", KindOutFilestat))},
	{Name: "path_filestat_set_times", Subsystem: SubsystemFiles, Params: params(fd, lookup, pathname, atim, mtim, fstf)},
	{Name: "path_link", Subsystem: SubsystemFiles, Params: params(param("old_fd", KindFd), param("old_flags", KindLookupflags), param("old_path", KindPath),
		param("new_fd", KindFd), param("new_path", KindPath))},
	{Name: "path_open", Subsystem: SubsystemFiles, Params: params(fd, param("dirflags", KindLookupflags), pathname, param("oflags", KindOflags),
		param("fs_rights_base", KindRights), param("fs_rights_inheriting", KindRights),
		param("fdflags", KindFdflags), param("opened_fd", KindOutFd))},
	{Name: "path_readlink", Subsystem: SubsystemFiles, Params: params(fd, pathname, param("buf", KindOutBuffer), param("bufused", KindOutSize))},
	{Name: "path_remove_directory", Subsystem: SubsystemFiles, Params: params(fd, pathname)},
	{Name: "path_rename", Subsystem: SubsystemFiles, Params: params(fd, param("old_path", KindPath), param("new_fd", KindFd), param("new_path", KindPath))},
	{Name: "path_symlink", Subsystem: SubsystemFiles, Params: params(param("old_path", KindPath), fd, param("new_path", KindPath))},
	{Name: "path_unlink_file", Subsystem: SubsystemFiles, Params: params(fd, pathname)},

	{Name: "poll_oneoff", Subsystem: SubsystemPoll, Params: params(param("in", KindSubscriptions), param("out", KindOutEvents), param("nsubscriptions", KindSize), param("nevents", KindOutSize))},

	{Name: "proc_exit", Subsystem: SubsystemProcess, NoResult: true, Params: params(param("rval", KindExitcode))},
	{Name: "proc_raise", Subsystem: SubsystemProcess, Params: params(param("sig", KindSignal))},

	{Name: "sched_yield", Subsystem: SubsystemSched},

	{Name: "random_get", Subsystem: SubsystemRandom, Params: params(param("buf", KindOutBuffer))},

	{Name: "sock_accept", Subsystem: SubsystemFiles, Params: params(fd, param("flags", KindFdflags), param("ro_fd", KindOutFd))},
	{Name: "sock_recv", Subsystem: SubsystemFiles, Params: params(fd, param("ri_data", KindIovs), param("ri_flags", KindRiflags), param("ro_datalen", KindOutSize), param("ro_flags", KindOutRoflags))},
	{Name: "sock_send", Subsystem: SubsystemFiles, Params: params(fd, param("si_data", KindCiovs), param("si_flags", KindSiflags), param("so_datalen", KindOutSize))},
	{Name: "sock_shutdown", Subsystem: SubsystemFiles, Params: params(fd, param("how", KindSdflags))},
}
