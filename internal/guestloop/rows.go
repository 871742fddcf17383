package guestloop

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Row is an operation that is timed.
type Row struct {
	Name string
	// Before is called once, to open a file for the calls.
	Before []Call
	Calls  []Call
	// Per is how many times an iteration makes the operation that the row is named for.
	Per int
	// Changes says that files are changed.
	Changes bool

	path, path2 string
	n, size     int
}

// Root is the descriptor of the preopened directory that rows use.
const Root = 3

// Deep is a file eight components below the root.
const Deep = "d/d/d/d/d/d/d/file"

// Files are what the root must hold, all zeros, by size in bytes.
func (r *Row) Files() map[string]int64 {
	files := map[string]int64{"file": 65536, Deep: 65536, "one": 0}
	switch r.path {
	case "big":
		files["big"] = 64 << 20 // more than a run reads byte by byte
	case "many":
		for i := range 1000 {
			files[fmt.Sprint("many/", i)] = 0
		}
	}
	return files
}

// Args and Env are what guests must be given behind their name.
func Args() []string { return []string{"first", "second"} }

// Env is ten variables.
func Env() (env [][2]string) {
	for _, c := range "0123456789" {
		env = append(env, [2]string{"VARIABLE_" + string(c), "value"})
	}
	return env
}

// Where things are in the memory of a guest.
const (
	resultAt = 0x100  // results of 8 bytes or less
	statAt   = 0x140  // a filestat
	iovAt    = 0x200  // iovecs
	pathAt   = 0x400  // a path
	path2At  = 0x600  // another
	subAt    = 0x800  // a subscription
	eventAt  = 0x900  // an event
	bufferAt = 0x1000 // 64 KiB and more
)

// Module is the module that calls the row in a loop.
func (r *Row) Module() []byte { return Module("wasi_snapshot_preview1", r.data(), r.Before, r.Calls) }

// Floor is a module with the same calls, to functions of a module that is called "floor".
func (r *Row) Floor() []byte { return Module("floor", nil, nil, r.Calls) }

// data is memory from 0 on: paths, iovecs, and a subscription for a timeout of 0.
func (r *Row) data() []byte {
	data := make([]byte, bufferAt)
	copy(data[pathAt:], r.path)
	copy(data[path2At:], r.path2)
	for i := range r.n {
		wasip1.Iovec{Buf: uint32(bufferAt + i*r.size), Len: uint32(r.size)}.Encode(data[iovAt+i*wasip1.SizeIovec:])
	}
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic}}
	s.Encode(data[subAt:])
	return data
}

// Rows are the operations of interest.
func Rows() []Row {
	file := From(resultAt)
	open := func(path string, oflags wasip1.Oflags, flags wasip1.Fdflags) Call {
		return Call{"path_open", []any{Root, 0, pathAt, len(path), int(oflags), uint64(wasip1.RightsFile), uint64(0), int(flags), resultAt}}
	}
	io := func(name string, fd any, n int) Call { return Call{name, []any{fd, iovAt, n, resultAt + 8}} }
	at := func(name string, n int) Call { return Call{name, []any{file, iovAt, n, uint64(0), resultAt + 8}} }
	closing := Call{"fd_close", []any{file}}
	stat := func(path string) Call { return Call{"path_filestat_get", []any{Root, 0, pathAt, len(path), statAt}} }
	rename := func(from, to int) Call { return Call{"path_rename", []any{Root, from, 3, Root, to, 3}} }
	one := func(c ...Call) []Call { return c }
	opened := one(open("file", 0, 0))
	appending := one(open("log", wasip1.OCreat, wasip1.FdAppend))

	return []Row{
		{Name: "sched_yield", Calls: one(Call{"sched_yield", nil})},
		{Name: "clock_time_get", Calls: one(Call{"clock_time_get", []any{1, uint64(0), resultAt}})},
		{Name: "random_get/32", Calls: one(Call{"random_get", []any{bufferAt, 32}})},
		{Name: "random_get/65536", Calls: one(Call{"random_get", []any{bufferAt, 65536}})},
		{Name: "args_get", Calls: one(Call{"args_get", []any{bufferAt, bufferAt + 100}})},
		{Name: "environ_get", Calls: one(Call{"environ_get", []any{bufferAt, bufferAt + 100}})},
		{Name: "fd_write/discarded", n: 1, size: 1, Calls: one(io("fd_write", 1, 1))},
		{Name: "fd_pwrite/1", n: 1, size: 1, Before: opened, path: "file", Calls: one(at("fd_pwrite", 1)), Changes: true},
		{Name: "fd_pread/1", n: 1, size: 1, Before: opened, path: "file", Calls: one(at("fd_pread", 1))},
		{Name: "fd_pread/4096", n: 1, size: 4096, Before: opened, path: "file", Calls: one(at("fd_pread", 1))},
		{Name: "fd_pread/65536", n: 1, size: 65536, Before: opened, path: "file", Calls: one(at("fd_pread", 1))},
		{Name: "fd_pread/8x512", n: 8, size: 512, Before: opened, path: "file", Calls: one(at("fd_pread", 8))},
		{Name: "fd_pwrite/8x512", n: 8, size: 512, Before: opened, path: "file", Calls: one(at("fd_pwrite", 8)), Changes: true},
		{Name: "fd_write/append/1", n: 1, size: 1, Before: appending, path: "log", Calls: bounded(io("fd_write", file, 1)), Per: bound, Changes: true},
		{Name: "fd_write/append/4096", n: 1, size: 4096, Before: appending, path: "log", Calls: bounded(io("fd_write", file, 1)), Per: bound, Changes: true},
		{Name: "fd_read/1", n: 1, size: 1, Before: one(open("big", 0, 0)), path: "big", Calls: one(io("fd_read", file, 1))},
		{Name: "path_open+fd_close/1", path: "file", Calls: one(open("file", 0, 0), closing)},
		{Name: "path_open+fd_close/8", path: Deep, Calls: one(open(Deep, 0, 0), closing)},
		{Name: "path_filestat_get/1", path: "file", Calls: one(stat("file"))},
		{Name: "path_filestat_get/8", path: Deep, Calls: one(stat(Deep))},
		{Name: "create+close+unlink", path: "new", Calls: one(open("new", wasip1.OCreat, 0), closing,
			Call{"path_unlink_file", []any{Root, pathAt, 3}}), Changes: true},
		{Name: "rename", path: "one", path2: "two", Calls: one(rename(pathAt, path2At), rename(path2At, pathAt)), Per: 2, Changes: true},
		{Name: "mkdir+rmdir", path: "new", Calls: one(Call{"path_create_directory", []any{Root, pathAt, 3}},
			Call{"path_remove_directory", []any{Root, pathAt, 3}}), Changes: true},
		{Name: "fd_filestat_get", Before: opened, path: "file", Calls: one(Call{"fd_filestat_get", []any{file, statAt}})},
		{Name: "fd_readdir/1000", path: "many",
			Before: one(Call{"path_open", []any{Root, 0, pathAt, 4, int(wasip1.ODirectory), uint64(wasip1.RightFdReaddir), uint64(0), 0, resultAt}}),
			Calls:  one(Call{"fd_readdir", []any{file, bufferAt, 65536, uint64(0), resultAt + 8}})},
		{Name: "poll_oneoff/due", Calls: one(Call{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}})},
	}
}

// Apart are operations on files in the directory dir, for guests that work in directories of their
// own: dir/file must be there.
func Apart(dir string) []Row {
	open := func(path string, oflags wasip1.Oflags) Call {
		return Call{"path_open", []any{Root, 0, pathAt, len(path), int(oflags), uint64(wasip1.RightsFile), uint64(0), 0, resultAt}}
	}
	at := func(name string) Call { return Call{name, []any{From(resultAt), iovAt, 1, uint64(0), resultAt + 8}} }
	closing := Call{"fd_close", []any{From(resultAt)}}
	there, fresh := dir+"/file", dir+"/new"
	return []Row{
		{Name: "read", path: there, n: 1, size: 4096, Before: []Call{open(there, 0)}, Calls: []Call{at("fd_pread")}},
		{Name: "open+read+close", path: there, n: 1, size: 4096, Calls: []Call{open(there, 0), at("fd_pread"), closing}},
		{Name: "write", path: there, n: 1, size: 4096, Before: []Call{open(there, 0)}, Calls: []Call{at("fd_pwrite")}, Changes: true},
		{Name: "create+write+close+unlink", path: fresh, n: 1, size: 4096, Changes: true, Calls: []Call{
			open(fresh, wasip1.OCreat), at("fd_pwrite"), closing, {"path_unlink_file", []any{Root, pathAt, len(fresh)}}}},
	}
}

// bound is how many writes go to a file before it is emptied, which would otherwise fill the
// machine's memory.
const bound = 100

func bounded(write Call) (calls []Call) {
	for range bound {
		calls = append(calls, write)
	}
	return append(calls, Call{"fd_filestat_set_size", []any{From(resultAt), uint64(0)}})
}

// UsesFiles reports whether the calls are about the files of the mount.
func (r *Row) UsesFiles() bool { return r.path != "" }

// Times is how many times an iteration makes the operation.
func (r *Row) Times() int { return max(r.Per, 1) }

// Directories are those that lead to Files.
func Directories() []string { return []string{strings.TrimSuffix(Deep, "/file"), "many"} }
