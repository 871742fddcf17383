// Package spawn lets guests start other guests: a shell that is a guest runs a pipeline of programs
// that are guests.
//
//	host, err := virt.NewBuilder(virt.WithMount("/", files),
//		spawn.Functions(spawn.Config{Programs: map[string][]byte{"sort": sortWasm}}),
//	).Build(ctx)
//
// It is off: a module that imports these functions is refused unless the Host has the option. A
// program is an open file of the guest that calls, so that its mounts, rights and policies decide
// what it can start, or a name that the embedder registered.
//
// A child is a process of the same Host. It sees the mounts of its parent, has the parent's options
// for calls (policy, network, middleware), and the descriptors that the parent gives it. What it
// uses counts as the parent's; see [virt.Guest.StartChild]. It ends when its parent ends. A program
// is compiled within the Host's limits of modules, one at a time; the Host keeps the 16 programs
// that were started last compiled, or as many as have together the bytes that one module may have.
// With those that children still run they may have twice as many bytes.
//
// Where threads take turns, children do too: a deterministic Host repeats a pipeline.
// [virt.WithRecording] of a parent records its calls of these functions; its children have no
// recordings.
//
// # The functions
//
// The module is "wasivirt_spawn". spawn.h declares the functions for C; every result is an errno of
// preview1, all numbers have 32 bits.
//
//	spawn(request, pid)      starts a program and stores its number
//	wait(pid, flags, status) waits until a child has ended, any one for pid 0, stores how, and forgets it; flag 1 does not wait
//	kill(pid, signal)        ends a child
//	pipe(fds)                makes a pipe and stores the descriptors for reading and for writing
//
// A request is 44 bytes: the descriptor of the program or -1, then pointer and length or count of
// its name, its arguments (each a pointer and a length; the first is its name), its environment
// (the same), its working directory (which the child finds in PWD), and its descriptors (each the
// child's number and the parent's). A status is 12 bytes: the child's number, how it ended (0
// exited, 1 by a signal, 2 trap, 3 a budget was used up, 4 otherwise), and its exit code or signal.
//
// Errors: EFAULT; EINVAL and E2BIG for a request that is malformed or too large; ENOENT for a name
// that nobody registered; EBADF; ENOEXEC for what is no command that the Host can run; EAGAIN for
// too many children or programs, or if no child has ended; ECHILD; ESRCH; EMFILE; ENOMEM.
package spawn

import (
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ModuleName is the module that guests import the functions from.
const ModuleName = "wasivirt_spawn"

// Config says what guests may start. The zero value: programs of their own files, 16 children at
// once, 4 deep.
type Config struct {
	// Programs are modules by the names that guests start them by.
	Programs map[string][]byte
	// MaxChildren is how many children a guest may have that have not ended, or have not been
	// waited for. 0 stands for 16.
	MaxChildren int
	// MaxDepth is how deep children may start children: 1 is the children of guests that host code
	// made. 0 stands for 4.
	MaxDepth int
	// MaxProgram is the size of the largest program that guests start from a file, in bytes. 0
	// stands for 16 MiB.
	MaxProgram int64

	loading chan struct{} // holds one for each program that is read from a file and compiled
}

// maxLoading is how many programs are read from files, and kept until they are compiled, at one
// time: a guest can have many children that start others.
const maxLoading = 4

// Functions returns the option that answers the functions.
func Functions(c Config) virt.HostOption {
	if c.MaxChildren == 0 {
		c.MaxChildren = 16
	}
	if c.MaxDepth == 0 {
		c.MaxDepth = 4
	}
	if c.MaxProgram == 0 {
		c.MaxProgram = 16 << 20
	}
	c.loading = make(chan struct{}, maxLoading)
	function := func(name string, params int, call func(c *Config, h *virt.HostCall, p []uint64) wasip1.Errno) virt.HostFunction {
		types := make([]api.ValueType, params)
		for i := range types {
			types[i] = api.ValueTypeI32
		}
		return virt.HostFunction{Name: name, Params: types, Results: []api.ValueType{api.ValueTypeI32},
			Call: func(h *virt.HostCall, stack []uint64) { stack[0] = uint64(call(&c, h, stack)) }}
	}
	return virt.WithFunctions(ModuleName,
		function("spawn", 2, (*Config).spawn),
		function("wait", 3, (*Config).wait),
		function("kill", 2, (*Config).kill),
		function("pipe", 1, (*Config).pipe),
	)
}

// spawn starts a program.
func (c *Config) spawn(h *virt.HostCall, p []uint64) wasip1.Errno {
	v := h.View()
	r, errno := loadRequest(v, uint32(p[0]))
	switch {
	case errno != wasip1.ESUCCESS:
		return errno
	case !v.Has(uint32(p[1]), 4):
		return wasip1.EFAULT
	}
	if r.file {
		select {
		case c.loading <- struct{}{}:
			defer func() { <-c.loading }()
		case <-h.Context().Done():
			return wasip1.ECANCELED
		}
	}
	wasm, errno := c.program(h.Guest(), r)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	m, release, err := h.Guest().Program(h.Context(), wasm)
	if err != nil {
		return failed(err)
	}
	defer release()
	child, err := h.Guest().StartChild(m, virt.ChildConfig{Args: r.args, Env: r.env, Descriptors: r.descriptors,
		MaxChildren: c.MaxChildren, MaxDepth: c.MaxDepth})
	if err != nil {
		return failed(err)
	}
	return h.View().PutUint32(uint32(p[1]), child.PID())
}

// failed is the errno of a child that could not be made.
func failed(err error) wasip1.Errno {
	if e, ok := errors.AsType[wasip1.Errno](err); ok {
		return e
	}
	if _, ok := errors.AsType[*inspect.Error](err); ok {
		return wasip1.ENOEXEC
	}
	if _, ok := errors.AsType[*virt.ImportError](err); ok {
		return wasip1.ENOEXEC
	}
	return wasip1.FromError(err)
}

// program returns the module of a request.
func (c *Config) program(g *virt.Guest, r *request) ([]byte, wasip1.Errno) {
	if !r.file {
		wasm, ok := c.Programs[r.name]
		if !ok {
			return nil, wasip1.ENOENT
		}
		return wasm, wasip1.ESUCCESS
	}
	f := g.Files().Get(r.program)
	if f == nil {
		return nil, wasip1.EBADF
	}
	a, err := f.Attr()
	switch {
	case err != nil:
		return nil, wasip1.FromError(err)
	case a.Type != wasip1.FiletypeRegularFile:
		return nil, wasip1.EACCES
	case a.Size > uint64(c.MaxProgram):
		return nil, wasip1.EFBIG
	}
	wasm := make([]byte, a.Size)
	n, err := f.ReadAt(wasm, 0)
	if n < len(wasm) && err != nil {
		return nil, wasip1.FromError(err)
	}
	return wasm[:n], wasip1.ESUCCESS
}

// noHang is the flag of a wait that does not wait.
const noHang = 1

// statusSize is the size of what wait stores.
const statusSize = 12

// wait waits until a child has ended.
func (c *Config) wait(h *virt.HostCall, p []uint64) wasip1.Errno {
	pid, flags, status := uint32(p[0]), uint32(p[1]), uint32(p[2])
	switch {
	case flags&^noHang != 0:
		return wasip1.EINVAL
	case !h.View().Has(status, statusSize):
		return wasip1.EFAULT
	}
	for {
		var children []*virt.Child
		for _, k := range h.Guest().Children() {
			if pid == 0 || k.PID() == pid {
				children = append(children, k)
			}
		}
		if len(children) == 0 {
			return wasip1.ECHILD
		}
		for _, k := range children {
			if r := k.Result(); r != nil {
				h.Guest().Forget(k)
				return storeStatus(h.View(), status, k.PID(), r)
			}
		}
		if flags&noHang != 0 {
			return wasip1.EAGAIN
		}
		if _, err := h.Block(anyOf(children), poll.Readable, poll.Wait{Op: "wait", On: uint64(pid)}); err != nil {
			return wasip1.FromError(err)
		}
	}
}

// kill ends a child.
func (c *Config) kill(h *virt.HostCall, p []uint64) wasip1.Errno {
	sig := uint32(p[1])
	if sig == 0 || sig > uint32(wasip1.SIGSYS) {
		return wasip1.EINVAL
	}
	for _, k := range h.Guest().Children() {
		if k.PID() == uint32(p[0]) {
			k.Kill(wasip1.Signal(sig))
			return wasip1.ESUCCESS
		}
	}
	return wasip1.ESRCH
}

// pipe makes a pipe.
func (c *Config) pipe(h *virt.HostCall, p []uint64) wasip1.Errno {
	v, fds, table := h.View(), uint32(p[0]), h.Guest().Files()
	if !v.Has(fds, 8) {
		return wasip1.EFAULT
	}
	r, w := pipe.New(pipe.DefaultCapacity)
	in, out := vfs.NewStream("<pipe>", r, vfs.OpenRead), vfs.NewStream("<pipe>", w, vfs.OpenWrite)
	read, err := table.Insert(in)
	if err != nil {
		_, _ = in.Close(), out.Close() // nothing is in it
		return wasip1.FromError(err)
	}
	write, err := table.Insert(out)
	if err != nil {
		_, _ = table.Remove(read), out.Close()
		return wasip1.FromError(err)
	}
	if errno := v.PutUint32(fds, read); errno != wasip1.ESUCCESS {
		return errno
	}
	return v.PutUint32(fds+4, write)
}
