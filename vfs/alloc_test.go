package vfs_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Calls allocate nothing, except those that open or make something.
func TestAllocations(t *testing.T) {
	ns := newNS(t)
	mustMount(t, ns, "/m/n", memfs.New())
	g := newGuest(t, ns)
	g.mkdir("dir")
	g.create("dir/file", "0123456789")
	g.symlink("dir", "link")
	c := &g.Caller
	fd := g.mustOpen("dir/file", 0, rw)
	stream := g.insert(vfs.NewStream("s", discard{}, vfs.OpenWrite))
	q := &queueStream{room: 1 << 30}
	sock := g.insert(vfs.NewStream("q", q, vfs.OpenRead|vfs.OpenWrite))
	p, n := g.path("link/../dir/./file")
	p2, n2 := g.path2("link")
	iovs, k := g.iovs(4, 2)
	const ok = wasip1.ESUCCESS
	for _, tt := range []struct {
		name  string
		do    func() wasip1.Errno
		want  wasip1.Errno
		alloc float64
	}{
		{"fd_advise", func() wasip1.Errno { return vfs.FdAdvise(c, fd, 0, 0, 0) }, ok, 0},
		{"fd_allocate", func() wasip1.Errno { return vfs.FdAllocate(c, fd, 0, 1) }, ok, 0},
		{"fd_datasync", func() wasip1.Errno { return vfs.FdDatasync(c, fd) }, ok, 0},
		{"fd_fdstat_get", func() wasip1.Errno { return vfs.FdFdstatGet(c, fd, resultAt) }, ok, 0},
		{"fd_fdstat_set_flags", func() wasip1.Errno { return vfs.FdFdstatSetFlags(c, fd, 0) }, ok, 0},
		{"fd_fdstat_set_rights", func() wasip1.Errno { return vfs.FdFdstatSetRights(c, stream, 0, 0) }, ok, 0},
		{"fd_filestat_get", func() wasip1.Errno { return vfs.FdFilestatGet(c, fd, resultAt) }, ok, 0},
		{"fd_filestat_set_size", func() wasip1.Errno { return vfs.FdFilestatSetSize(c, fd, 10) }, ok, 0},
		{"fd_filestat_set_times", func() wasip1.Errno { return vfs.FdFilestatSetTimes(c, fd, 0, 0, 10) }, ok, 0},
		{"fd_pread", func() wasip1.Errno { return vfs.FdPread(c, fd, iovs, k, 0, resultAt) }, ok, 0},
		{"fd_prestat_get", func() wasip1.Errno { return vfs.FdPrestatGet(c, root, resultAt) }, ok, 0},
		{"fd_prestat_dir_name", func() wasip1.Errno { return vfs.FdPrestatDirName(c, root, bufAt, 1) }, ok, 0},
		{"fd_pwrite", func() wasip1.Errno { return vfs.FdPwrite(c, fd, iovs, k, 0, resultAt) }, ok, 0},
		{"fd_read", func() wasip1.Errno { return vfs.FdRead(c, fd, iovs, k, resultAt) }, ok, 0},
		{"fd_readdir", func() wasip1.Errno { return vfs.FdReaddir(c, root, bufAt, 4096, 0, resultAt) }, ok, 0},
		{"fd_renumber", func() wasip1.Errno { return vfs.FdRenumber(c, fd, fd) }, ok, 0},
		{"fd_seek", func() wasip1.Errno { return vfs.FdSeek(c, fd, 0, 0, resultAt) }, ok, 0},
		{"fd_sync", func() wasip1.Errno { return vfs.FdSync(c, fd) }, ok, 0},
		{"fd_tell", func() wasip1.Errno { return vfs.FdTell(c, fd, resultAt) }, ok, 0},
		{"fd_write", func() wasip1.Errno { return vfs.FdWrite(c, fd, iovs, 1, resultAt) }, ok, 0},
		{"fd_write to a stream", func() wasip1.Errno { return vfs.FdWrite(c, sock, iovs, k, resultAt) }, ok, 0},
		{"fd_read of an empty stream", func() wasip1.Errno { return vfs.FdRead(c, sock, iovs, k, resultAt) }, wasip1.EAGAIN, 0},
		{"path_filestat_get", func() wasip1.Errno { return vfs.PathFilestatGet(c, root, 1, p, n, resultAt) }, ok, 0},
		{"path_filestat_set_times", func() wasip1.Errno { return vfs.PathFilestatSetTimes(c, root, 1, p, n, 0, 0, 10) }, ok, 0},
		{"path_readlink", func() wasip1.Errno { return vfs.PathReadlink(c, root, p2, n2, bufAt, 9, resultAt) }, ok, 0},
		{"path_create_directory of what is there", func() wasip1.Errno { return vfs.PathCreateDirectory(c, root, p2, n2) }, wasip1.EEXIST, 0},
		{"path_open of what is missing", func() wasip1.Errno { return vfs.PathOpen(c, root, 0, p2, n2-1, 0, 0, 0, 0, resultAt) }, wasip1.ENOENT, 0},
		{"path_open and fd_close", func() wasip1.Errno {
			if e := vfs.PathOpen(c, root, 1, p, n, 0, uint64(ro), 0, 0, resultAt); e != ok {
				return e
			}
			return vfs.FdClose(c, g.u32())
		}, ok, 1},
		{"sock_send", func() wasip1.Errno { return vfs.SockSend(c, sock, iovs, k, 0, resultAt) }, ok, 0},
		{"sock_recv", func() wasip1.Errno { return vfs.SockRecv(c, sock, iovs, k, 0, resultAt, resultAt+4) }, wasip1.EAGAIN, 0},
		{"sock_shutdown", func() wasip1.Errno { return vfs.SockShutdown(c, sock, 1) }, ok, 0},
	} {
		for range 3 {
			expectErrno(t, tt.name, tt.do(), tt.want)
		}
		q.got = q.got[:0]
		q.got = append(q.got, make([]byte, 4096)...)[:0]
		if got := testing.AllocsPerRun(50, func() { tt.do() }); got > tt.alloc {
			t.Errorf("%s allocates %v times, want %v", tt.name, got, tt.alloc)
		}
	}
}
