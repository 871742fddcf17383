package virt

import (
	"math"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// function is one row of the table of what a Host answers.
type function struct {
	abi.Function
	call   handler
	hosted *hostFunction // nil for the Host's own
}

// handler answers a call of a guest thread, whose WebAssembly parameters are in p.
type handler func(t *thread, p []uint64) wasip1.Errno

// u is the i32 at position i.
func u(p []uint64, i int) uint32 { return uint32(p[i]) }

// preview1 is all of wasi_snapshot_preview1: package abi describes the functions, answers has what
// they do. Registration, tracing, recording, replay, faults and the import audit read it.
var preview1 = func() (all [spawnRow]function) {
	for i, f := range abi.Functions() {
		all[i] = function{Function: f, call: answers[f.Name]}
	}
	return all
}()

// answers are the functions' implementations, in the order of the specification.
var answers = map[string]handler{
	"args_get": func(t *thread, p []uint64) wasip1.Errno { return process.ArgsGet(t.args, &t.view, u(p, 0), u(p, 1)) },
	"args_sizes_get": func(t *thread, p []uint64) wasip1.Errno {
		return process.ArgsSizesGet(t.args, &t.view, u(p, 0), u(p, 1))
	},
	"environ_get": func(t *thread, p []uint64) wasip1.Errno {
		return process.EnvironGet(t.env, &t.view, u(p, 0), u(p, 1))
	},
	"environ_sizes_get": func(t *thread, p []uint64) wasip1.Errno {
		return process.EnvironSizesGet(t.env, &t.view, u(p, 0), u(p, 1))
	},
	"clock_res_get": func(t *thread, p []uint64) wasip1.Errno { return clock.ResGet(&t.times, &t.view, u(p, 0), u(p, 1)) },
	"clock_time_get": func(t *thread, p []uint64) wasip1.Errno {
		return clock.TimeGet(&t.times, &t.view, u(p, 0), p[1], u(p, 2))
	},
	"fd_advise": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdAdvise(&t.files, u(p, 0), p[1], p[2], u(p, 3))
	},
	"fd_allocate":         func(t *thread, p []uint64) wasip1.Errno { return vfs.FdAllocate(&t.files, u(p, 0), p[1], p[2]) },
	"fd_close":            func(t *thread, p []uint64) wasip1.Errno { return vfs.FdClose(&t.files, u(p, 0)) },
	"fd_datasync":         func(t *thread, p []uint64) wasip1.Errno { return vfs.FdDatasync(&t.files, u(p, 0)) },
	"fd_fdstat_get":       func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFdstatGet(&t.files, u(p, 0), u(p, 1)) },
	"fd_fdstat_set_flags": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFdstatSetFlags(&t.files, u(p, 0), u(p, 1)) },
	"fd_fdstat_set_rights": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdFdstatSetRights(&t.files, u(p, 0), p[1], p[2])
	},
	"fd_filestat_get":      func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFilestatGet(&t.files, u(p, 0), u(p, 1)) },
	"fd_filestat_set_size": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdFilestatSetSize(&t.files, u(p, 0), p[1]) },
	"fd_filestat_set_times": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdFilestatSetTimes(&t.files, u(p, 0), p[1], p[2], u(p, 3))
	},
	"fd_pread": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdPread(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
	},
	"fd_prestat_get": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdPrestatGet(&t.files, u(p, 0), u(p, 1)) },
	"fd_prestat_dir_name": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdPrestatDirName(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	"fd_pwrite": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdPwrite(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
	},
	"fd_read": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdRead(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
	},
	"fd_readdir": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdReaddir(&t.files, u(p, 0), u(p, 1), u(p, 2), p[3], u(p, 4))
	},
	"fd_renumber": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdRenumber(&t.files, u(p, 0), u(p, 1)) },
	"fd_seek": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdSeek(&t.files, u(p, 0), p[1], u(p, 2), u(p, 3))
	},
	"fd_sync": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdSync(&t.files, u(p, 0)) },
	"fd_tell": func(t *thread, p []uint64) wasip1.Errno { return vfs.FdTell(&t.files, u(p, 0), u(p, 1)) },
	"fd_write": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.FdWrite(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
	},
	"path_create_directory": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathCreateDirectory(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	"path_filestat_get": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathFilestatGet(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
	},
	"path_filestat_set_times": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathFilestatSetTimes(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), p[4], p[5], u(p, 6))
	},
	"path_link": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathLink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5), u(p, 6))
	},
	"path_open": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathOpen(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), p[5], p[6], u(p, 7), u(p, 8))
	},
	"path_readlink": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathReadlink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
	},
	"path_remove_directory": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathRemoveDirectory(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	"path_rename": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathRename(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
	},
	"path_symlink": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathSymlink(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
	},
	"path_unlink_file": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.PathUnlinkFile(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	"poll_oneoff": func(t *thread, p []uint64) wasip1.Errno {
		return poll.Oneoff(&t.poller, &t.view, u(p, 0), u(p, 1), u(p, 2), u(p, 3))
	},
	"proc_exit": func(t *thread, p []uint64) wasip1.Errno { return t.end(process.ProcExit(t.guest.hooks, u(p, 0))) },
	"proc_raise": func(t *thread, p []uint64) wasip1.Errno {
		if u(p, 0) > math.MaxUint8 {
			return wasip1.EINVAL // a signal has 8 bits
		}
		return t.end(process.ProcRaise(t.guest.hooks, wasip1.Signal(u(p, 0))))
	},
	"sched_yield": func(t *thread, _ []uint64) wasip1.Errno { return t.schedYield() },
	"random_get": func(t *thread, p []uint64) wasip1.Errno {
		return random.RandomGet(t.random(), &t.view, u(p, 0), u(p, 1))
	},
	"sock_accept": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.SockAccept(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	"sock_recv": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.SockRecv(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5))
	},
	"sock_send": func(t *thread, p []uint64) wasip1.Errno {
		return vfs.SockSend(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
	},
	"sock_shutdown": func(t *thread, p []uint64) wasip1.Errno { return vfs.SockShutdown(&t.files, u(p, 0), u(p, 1)) },
}
