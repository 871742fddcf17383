package virt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The hostile values. Memory is one page.
var (
	hostile32 = []uint64{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 4, 1 << 31, 1<<32 - 1}
	hostile64 = []uint64{0, 1, 1 << 31, 1<<32 - 1, 1 << 63, 1<<64 - 1}
)

// What an argument's hostile values are answered with, in the order of hostile32 or hostile64.
type answers []wasip1.Errno

// The descriptors and addresses of the calls that are fine.
const (
	rootFd     = 3
	listenerFd = 4
	socketFd   = 5
	fileFd     = 6
	dirFd      = 7

	fileAddr  = 256 // "file", a file
	newAddr   = 264 // "new", which is not there
	dirAddr   = 272 // "dir", an empty directory
	linkAddr  = 280 // "link", a symbolic link to it
	iovAddr   = 512 // one iovec: the eight bytes at bufAddr
	subAddr   = 768 // a subscription: the monotonic clock, now
	bufAddr   = 1024
	resAddr   = 2048
	otherAddr = 4096
)

// argument is one parameter: its value in a call that is fine, and what is answered to others.
type argument struct {
	name string
	fine uint64
	want answers
}

// hostileCall is a function with a call that is fine.
type hostileCall struct {
	name string
	args []argument
}

// ends is in place of an errno where the call ends the guest.
const ends wasip1.Errno = 0xff

// hostileCalls has every function of preview1, in the order of the specification.
var hostileCalls = hostileTable()

func hostileTable() []hostileCall {
	// The errnos by short names, so that the table below can be read.
	const (
		ok      = wasip1.ESUCCESS
		badf    = wasip1.EBADF
		fault   = wasip1.EFAULT
		fbig    = wasip1.EFBIG
		inval   = wasip1.EINVAL
		long    = wasip1.ENAMETOOLONG
		noent   = wasip1.ENOENT
		notcap  = wasip1.ENOTCAPABLE
		notdir  = wasip1.ENOTDIR
		notsock = wasip1.ENOTSOCK
		spipe   = wasip1.ESPIPE
	)

	// The answers that recur, each written out.
	var (
		// pointer: two bytes or more lie there. At 0 and 1 there is memory as anywhere.
		pointer = answers{ok, ok, fault, fault, fault, fault, fault}
		// pathPtr: where a path lies. At 0 and 1 there are NULs.
		pathPtr = answers{inval, inval, fault, fault, fault, fault, fault}
		// pathLen: how long it is, and its first letter alone is the name of nothing; newLen: the
		// name of what is to be made.
		pathLen = answers{noent, noent, fault, fault, fault, fault, fault}
		newLen  = answers{noent, ok, fault, fault, fault, fault, fault}
		// length: of a buffer that may be short.
		length = answers{ok, ok, fault, fault, fault, fault, fault}
		// iovecs: how many. POSIX: more than IOV_MAX are EINVAL.
		iovecs = answers{ok, ok, inval, inval, inval, inval, inval}
		// flag: 0, or the lowest bit, or bits that there are not; noFlag: there is not even a
		// lowest bit that fits.
		flag   = answers{ok, ok, inval, inval, inval, inval, inval}
		noFlag = answers{ok, inval, inval, inval, inval, inval, inval}
		// anything: 64 bits that cannot be wrong.
		anything = answers{ok, ok, ok, ok, ok, ok}
		// offset: POSIX: a negative one is EINVAL.
		offset = answers{ok, ok, ok, ok, inval, inval}
	)

	// fd is the answers for a descriptor: 0 is standard input, 1 standard output, others are not
	// open.
	fd := func(stdin, stdout wasip1.Errno) answers {
		return answers{stdin, stdout, badf, badf, badf, badf, badf}
	}
	return []hostileCall{
		{"args_get", []argument{{"argv", bufAddr, pointer}, {"argv_buf", resAddr, pointer}}},
		{"args_sizes_get", []argument{{"argc", bufAddr, pointer}, {"argv_buf_size", resAddr, pointer}}},
		{"environ_get", []argument{{"environ", bufAddr, pointer}, {"environ_buf", resAddr, pointer}}},
		{"environ_sizes_get", []argument{{"environc", bufAddr, pointer}, {"environ_buf_size", resAddr, pointer}}},

		{"clock_res_get", []argument{{"id", 1, answers{ok, ok, inval, inval, inval, inval, inval}}, {"resolution", resAddr, pointer}}},
		{"clock_time_get", []argument{{"id", 1, answers{ok, ok, inval, inval, inval, inval, inval}}, {"precision", 0, anything}, {"time", resAddr, pointer}}},

		{"fd_advise", []argument{{"fd", fileFd, fd(spipe, spipe)}, {"offset", 0, offset}, {"len", 0, offset}, {"advice", 0, flag}}},
		{"fd_allocate", []argument{{"fd", fileFd, fd(spipe, spipe)},
			{"offset", 0, answers{ok, ok, ok, ok, fbig, fbig}}, {"len", 1, answers{inval, ok, ok, ok, fbig, fbig}}}},
		{"fd_close", []argument{{"fd", fileFd, fd(ok, ok)}}},
		{"fd_datasync", []argument{{"fd", fileFd, fd(inval, inval)}}},
		{"fd_fdstat_get", []argument{{"fd", fileFd, fd(ok, ok)}, {"stat", resAddr, pointer}}},
		{"fd_fdstat_set_flags", []argument{{"fd", fileFd, fd(ok, ok)}, {"flags", 0, flag}}},
		{"fd_fdstat_set_rights", []argument{{"fd", fileFd, fd(ok, ok)},
			{"fs_rights_base", 0, answers{ok, ok, notcap, notcap, notcap, notcap}},
			{"fs_rights_inheriting", 0, answers{ok, ok, notcap, notcap, notcap, notcap}}}},
		{"fd_filestat_get", []argument{{"fd", fileFd, fd(ok, ok)}, {"buf", resAddr, pointer}}},
		{"fd_filestat_set_size", []argument{{"fd", fileFd, fd(inval, inval)}, {"size", 4, answers{ok, ok, ok, ok, fbig, fbig}}}},
		{"fd_filestat_set_times", []argument{{"fd", fileFd, fd(notcap, notcap)}, {"atim", 1, anything}, {"mtim", 1, anything},
			{"fst_flags", uint64(wasip1.FstAtim | wasip1.FstMtim), flag}}},
		{"fd_pread", []argument{{"fd", fileFd, fd(spipe, spipe)}, {"iovs", iovAddr, pointer}, {"iovs_len", 1, iovecs}, {"offset", 0, offset}, {"nread", resAddr, pointer}}},
		{"fd_prestat_get", []argument{{"fd", rootFd, fd(badf, badf)}, {"buf", resAddr, pointer}}},
		{"fd_prestat_dir_name", []argument{{"fd", rootFd, fd(badf, badf)},
			// The name "/" has one byte; no more are touched, whatever the length.
			{"path", bufAddr, answers{ok, ok, ok, fault, fault, fault, fault}},
			{"path_len", 1, answers{long, ok, ok, ok, ok, ok, ok}}}},
		{"fd_pwrite", []argument{{"fd", fileFd, fd(spipe, spipe)}, {"iovs", iovAddr, pointer}, {"iovs_len", 1, iovecs}, {"offset", 0, offset}, {"nwritten", resAddr, pointer}}},
		{"fd_read", []argument{{"fd", fileFd, fd(ok, notcap)}, {"iovs", iovAddr, pointer}, {"iovs_len", 1, iovecs}, {"nread", resAddr, pointer}}},
		{"fd_readdir", []argument{{"fd", rootFd, fd(badf, badf)}, {"buf", bufAddr, pointer}, {"buf_len", 256, length},
			// A cookie behind the last entry is the end.
			{"cookie", 0, anything}, {"bufused", resAddr, pointer}}},
		{"fd_renumber", []argument{{"fd", fileFd, fd(ok, ok)}, {"to", dirFd, fd(ok, ok)}}},
		{"fd_seek", []argument{{"fd", fileFd, fd(spipe, spipe)}, {"offset", 0, offset}, {"whence", 0, flag}, {"newoffset", resAddr, pointer}}},
		{"fd_sync", []argument{{"fd", fileFd, fd(inval, inval)}}},
		{"fd_tell", []argument{{"fd", fileFd, fd(spipe, spipe)}, {"offset", resAddr, pointer}}},
		{"fd_write", []argument{{"fd", fileFd, fd(notcap, ok)}, {"iovs", iovAddr, pointer}, {"iovs_len", 1, iovecs}, {"nwritten", resAddr, pointer}}},

		{"path_create_directory", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"path", newAddr, pathPtr}, {"path_len", 3, newLen}}},
		{"path_filestat_get", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"flags", 0, flag}, {"path", fileAddr, pathPtr}, {"path_len", 4, pathLen}, {"buf", resAddr, pointer}}},
		{"path_filestat_set_times", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"flags", 0, flag}, {"path", fileAddr, pathPtr}, {"path_len", 4, pathLen},
			{"atim", 1, anything}, {"mtim", 1, anything}, {"fst_flags", uint64(wasip1.FstAtim | wasip1.FstMtim), flag}}},
		{"path_link", []argument{{"old_fd", rootFd, fd(notdir, notdir)}, {"old_flags", 0, flag}, {"old_path", fileAddr, pathPtr}, {"old_path_len", 4, pathLen},
			{"new_fd", rootFd, fd(notdir, notdir)}, {"new_path", newAddr, pathPtr}, {"new_path_len", 3, newLen}}},
		{"path_open", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"dirflags", 0, flag}, {"path", fileAddr, pathPtr}, {"path_len", 4, pathLen},
			{"oflags", 0, flag},
			// Rights that there are not, or not for a file, are not given.
			{"fs_rights_base", uint64(wasip1.RightFdRead), anything}, {"fs_rights_inheriting", 0, anything},
			{"fdflags", 0, flag}, {"opened_fd", resAddr, pointer}}},
		{"path_readlink", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"path", linkAddr, pathPtr}, {"path_len", 4, pathLen},
			{"buf", bufAddr, pointer}, {"buf_len", 64, length}, {"bufused", resAddr, pointer}}},
		{"path_remove_directory", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"path", dirAddr, pathPtr}, {"path_len", 3, pathLen}}},
		{"path_rename", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"old_path", fileAddr, pathPtr}, {"old_path_len", 4, pathLen},
			{"new_fd", rootFd, fd(notdir, notdir)}, {"new_path", newAddr, pathPtr}, {"new_path_len", 3, newLen}}},
		{"path_symlink", []argument{{"old_path", fileAddr, pathPtr}, {"old_path_len", 4, newLen},
			{"fd", rootFd, fd(notdir, notdir)}, {"new_path", newAddr, pathPtr}, {"new_path_len", 3, newLen}}},
		{"path_unlink_file", []argument{{"fd", rootFd, fd(notdir, notdir)}, {"path", fileAddr, pathPtr}, {"path_len", 4, pathLen}}},

		// At 0 and 1 there is a subscription of zeros: the realtime clock, now.
		{"poll_oneoff", []argument{{"in", subAddr, pointer}, {"out", otherAddr, pointer},
			{"nsubscriptions", 1, answers{inval, ok, inval, inval, inval, inval, inval}}, {"nevents", resAddr, pointer}}},

		// It does not return: see TestHostileExit.
		{"proc_exit", []argument{{"rval", 0, nil}}},
		// SIGHUP, 1, ends the guest: see TestHostileExit too.
		{"proc_raise", []argument{{"sig", 0, answers{ok, ends, inval, inval, inval, inval, inval}}}},

		{"sched_yield", nil},
		{"random_get", []argument{{"buf", bufAddr, pointer}, {"buf_len", 8, length}}},

		// Of the flags only FdNonblock, which is not the lowest, can be set on a new socket.
		{"sock_accept", []argument{{"fd", listenerFd, fd(notsock, notsock)}, {"flags", 0, noFlag}, {"ro_fd", resAddr, pointer}}},
		{"sock_recv", []argument{{"fd", socketFd, fd(notsock, notsock)}, {"ri_data", iovAddr, pointer}, {"ri_data_len", 1, iovecs},
			{"ri_flags", 0, flag}, {"ro_datalen", resAddr, pointer}, {"ro_flags", resAddr + 8, pointer}}},
		{"sock_send", []argument{{"fd", socketFd, fd(notsock, notsock)}, {"si_data", iovAddr, pointer}, {"si_data_len", 1, iovecs},
			{"si_flags", 0, noFlag}, {"so_datalen", resAddr, pointer}}},
		{"sock_shutdown", []argument{{"fd", socketFd, fd(notsock, notsock)}, {"how", 1, answers{inval, ok, inval, inval, inval, inval, inval}}}},
	}
}

// preview1Types has the parameters of the functions in the order of hostileCalls: i for i32, I for
// i64 (preview1: witx).
var preview1Types = strings.Fields(`
	ii ii ii ii
	ii iIi
	iIIi iII i i ii ii iII ii iI iIIi iiiIi ii iii iiiIi iiii iiiIi ii iIii i ii iiii
	iii iiiii iiiiIIi iiiiiii iiiiiIIii iiiiii iii iiiiii iiiii iii
	iiii
	i i
	- ii
	iii iiiiii iiiii ii`)

func signatureOf(i int) string { return strings.Trim(preview1Types[i], "-") }

// passing is a module that exports each function of preview1 by its name, the functions of more,
// and a memory of one page.
func passing(more ...handFunc) []byte {
	m := handModule{memory: 1}
	for i, c := range hostileCalls {
		m.funcs = append(m.funcs, imported(c.name, signatureOf(i)))
	}
	m.funcs = append(m.funcs, more...)
	for i, f := range m.funcs {
		m.funcs = append(m.funcs, handFunc{name: f.name, signature: f.signature, body: calling(i, len(f.params))})
	}
	return m.encode()
}

// hostileWorld is a guest with everything that the calls that are fine need.
type hostileWorld struct {
	*virt.Guest
	files *memfs.FS
	peer  *netmem.Conn // the other end of the socket
}

// crowd is a listener that always has another connection, which its other end has closed.
type crowd struct {
	*netmem.Listener
	network *netmem.Network
}

func (c crowd) Poll(want poll.Events) poll.State { return poll.State{Ready: want & poll.Readable} }

func (c crowd) Accept() (vfs.Socket, error) {
	conn, err := c.network.Dial(context.Background(), string(c.Addr()))
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	return c.Listener.Accept()
}

func newHostileWorld(tb testing.TB, host *virt.Host, m *virt.Module, opts ...virt.GuestOption) hostileWorld {
	tb.Helper()
	check := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	files := memfs.New()
	check(files.WriteFile("file", []byte("0123456789")))
	check(files.MkdirAll("dir"))
	check(linkToFile(files))

	network := netmem.New(host.Clock())
	listener, err := network.Listen("guest:80", 8)
	check(err)
	peer, err := network.Listen("peer:80", 8)
	check(err)
	conn, err := network.Dial(context.Background(), "peer:80")
	check(err)
	_, err = conn.Write([]byte("received"))
	check(err)
	socket, err := peer.Accept()
	check(err)

	g, err := host.Instantiate(context.Background(), m, append([]virt.GuestOption{
		virt.WithArgs("a"), virt.WithEnv("A", "1"), virt.WithStdin(strings.NewReader("typed")), virt.WithStdout(new(bytes.Buffer)),
		virt.WithMount("/", files), virt.WithPreopened(crowd{listener, network}), virt.WithPreopened(socket),
	}, opts...)...)
	check(err)

	mem := g.Instance().Memory()
	write := func(at uint32, b []byte) { mem.Write(at, b) }
	write(fileAddr, []byte("file"))
	write(newAddr, []byte("new"))
	write(dirAddr, []byte("dir"))
	write(linkAddr, []byte("link"))
	write(iovAddr, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, bufAddr), 8))
	write(subAddr+16, []byte{1})

	for i, name := range []uint64{fileAddr, dirAddr} {
		rights, n := uint64(wasip1.RightsAll), uint64(4)
		if i == 1 {
			rights, n = uint64(wasip1.RightsDirectoryBase), 3
		}
		results, err := g.Call(context.Background(), "path_open", rootFd, 0, name, n, 0, rights, uint64(wasip1.RightsAll), 0, resAddr)
		check(err)
		if got, _ := mem.ReadUint32Le(resAddr); results[0] != 0 || got != uint32(fileFd+i) {
			tb.Fatalf("path_open: %v, descriptor %d", wasip1.Errno(results[0]), got)
		}
	}
	return hostileWorld{g, files, conn}
}

// state is what a call that failed must not have changed.
func (w hostileWorld) state() (s []string) {
	for _, d := range w.Files().List() {
		s = append(s, fmt.Sprintf("descriptor %d: %q %v %v %d", d.Fd, d.Path, d.Flags, d.Rights, d.Offset))
	}
	root, err := vfs.NewRoot(w.files)
	if err != nil {
		return append(s, err.Error())
	}
	entries, err := root.ReadDir(".")
	if err != nil {
		s = append(s, err.Error())
	}
	for _, e := range entries {
		s = append(s, fmt.Sprintf("entry %s %v %d", e.Name, e.Type, e.Ino))
	}
	content, err := w.files.ReadFile("file")
	return append(s, fmt.Sprintf("content %q %v", content, err))
}

// TestHostileArguments calls every function with every argument hostile in turn, and compares the
// errno with the table.
func TestHostileArguments(t *testing.T) {
	for engine, opts := range map[string][]virt.Option{"compiler": nil, "interpreter": {virt.WithInterpreter()}} {
		t.Run(engine, func(t *testing.T) {
			host := newHost(t, append(opts, virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())))...)
			m := compiled(t, host, passing())
			cells := 0
			for i, c := range hostileCalls {
				if want := abi.Functions()[i].Name; c.name != want {
					t.Fatalf("function %d is %s, want %s: the order of the specification", i, c.name, want)
				}
				if len(c.args) != len(signatureOf(i)) {
					t.Fatalf("%s has %d parameters in one table and %d in the other", c.name, len(c.args), len(signatureOf(i)))
				}
				args := make([]uint64, len(c.args))
				for j, a := range c.args {
					args[j] = a.fine
				}
				if c.name != "proc_exit" {
					testHostileCell(t, host, m, c.name, "fine", args, wasip1.ESUCCESS)
				}
				for j, a := range c.args {
					values := hostile32
					if signatureOf(i)[j] == 'I' {
						values = hostile64
					}
					if a.want != nil && len(a.want) != len(values) {
						t.Fatalf("%s %s: %d answers for %d values", c.name, a.name, len(a.want), len(values))
					}
					for k := range a.want {
						if a.want[k] == ends {
							continue
						}
						hostile := slices.Clone(args)
						hostile[j] = values[k]
						testHostileCell(t, host, m, c.name, fmt.Sprintf("%s = %#x", a.name, values[k]), hostile, a.want[k])
						cells++
					}
				}
			}
			if n := len(abi.Functions()); n != 46 || n != len(hostileCalls) {
				t.Errorf("%d functions, %d in the table, want 46", n, len(hostileCalls))
			}
			t.Logf("%d cells", cells)
		})
	}
}

func testHostileCell(t *testing.T, host *virt.Host, m *virt.Module, name, what string, args []uint64, want wasip1.Errno) {
	t.Helper()
	w := newHostileWorld(t, host, m)
	defer func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("%s: %s: close: %v", name, what, err)
		}
	}()
	before := w.state()
	results, err := w.Call(t.Context(), name, args...)
	if err != nil {
		t.Errorf("%s: %s: %v", name, what, err)
		return
	}
	if got := wasip1.Errno(results[0]); got != want {
		t.Errorf("%s: %s: %v, want %v", name, what, got, want)
	}
	if want != wasip1.ESUCCESS {
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("%s: %s: failed, and changed (-before +after):\n%s", name, what, diff)
		}
	}
}

// TestHostileExit has the two functions that end a guest.
func TestHostileExit(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, passing())
	for _, code := range hostile32 {
		w := newHostileWorld(t, host, m)
		_, err := w.Call(t.Context(), "proc_exit", code)
		if r := w.Result(); err == nil || r.Outcome != virt.Exited || uint64(r.ExitCode) != code {
			t.Errorf("proc_exit(%#x): %v, %v", code, r, err)
		}
	}
	w := newHostileWorld(t, host, m)
	_, err := w.Call(t.Context(), "proc_raise", uint64(wasip1.SIGHUP))
	if r := w.Result(); err == nil || r.Outcome != virt.Signaled || r.Signal != wasip1.SIGHUP {
		t.Errorf("proc_raise(SIGHUP): %v, %v", r, err)
	}
}

// FuzzCalls makes sequences of calls: each byte chooses a function, and then each argument, from
// values that are fine, hostile, or any.
func FuzzCalls(f *testing.F) {
	for i, c := range hostileCalls {
		seed := []byte{byte(i)}
		for range c.args {
			seed = append(seed, 0)
		}
		f.Add(append(seed, seed...))
		for j := range c.args {
			hostile := slices.Clone(seed)
			hostile[j+1] = byte(2 + j)
			f.Add(hostile)
		}
	}
	host, err := virt.NewBuilder(virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())), virt.WithSeed(1),
		virt.WithScheduler(sched.NewParallel(sched.Limits{}).DetectDeadlock())).Build(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	m, err := host.Compile(context.Background(), passing())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() (b byte) {
			if len(data) > 0 {
				b, data = data[0], data[1:]
			}
			return b
		}
		w := newHostileWorld(t, host, m, virt.WithTimeout(10*time.Second))
		// Nothing but a clock is to be waited for: what host code might do later, the Host cannot
		// know.
		if err := w.peer.Close(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		for n := 0; n < 64 && len(data) > 0; n++ {
			i := int(next()) % len(hostileCalls)
			c := hostileCalls[i]
			var args []uint64
			for j, a := range c.args {
				v := fuzzedArgument(next, a.fine)
				if signatureOf(i)[j] == 'i' {
					v = uint64(uint32(v))
				}
				args = append(args, v)
			}
			results, err := w.Call(context.Background(), c.name, args...)
			switch r := w.Result(); r.Outcome {
			case virt.Running:
			case virt.Exited, virt.Signaled, virt.Deadlocked:
				return
			default:
				t.Fatalf("%s%#x: %v: %v", c.name, args, r, err)
			}
			if err != nil || len(results) != 1 || results[0] > uint64(wasip1.ENOTCAPABLE) {
				t.Fatalf("%s%#x: %v, %v", c.name, args, results, err)
			}
		}
	})
}

func fuzzedArgument(next func() byte, fine uint64) uint64 {
	switch how := next(); {
	case how < 2:
		return fine
	case how < 16:
		return hostile32[int(how)%len(hostile32)]
	case how < 32:
		return hostile64[int(how)%len(hostile64)]
	case how < 64:
		return uint64(how - 32)
	case how < 128: // near what is there
		return fine + uint64(int8(next()))
	}
	var v uint64
	for range 4 {
		v = v<<8 | uint64(next())
	}
	return v
}
