package spawn

import (
	"encoding/binary"
	"strings"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	requestSize    = 44
	maxStrings     = 1024      // arguments, and variables of the environment
	maxText        = 128 << 10 // bytes of all strings of a request
	maxDescriptors = 64
)

// request is what a guest wants to start.
type request struct {
	file        bool // the program is an open file
	program     uint32
	name        string
	args, env   []string
	descriptors map[uint32]uint32
}

// loadRequest reads a request. Errors: EFAULT; E2BIG for more than a request may hold; EINVAL for a
// string with a zero byte and for a request without arguments.
func loadRequest(v *memory.View, ptr uint32) (*request, wasip1.Errno) {
	b, errno := v.Read(ptr, requestSize)
	if errno != wasip1.ESUCCESS {
		return nil, errno
	}
	field := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	d := decoder{view: v, left: maxText}
	r := &request{program: field(0), file: field(0) != 1<<32-1}
	name, dir := [2]uint32{field(1), field(2)}, [2]uint32{field(7), field(8)}
	args, env, fds := [2]uint32{field(3), field(4)}, [2]uint32{field(5), field(6)}, [2]uint32{field(9), field(10)}
	if !r.file {
		r.name = d.text(name[0], name[1])
	}
	r.args, r.env = d.strings(args[0], args[1]), d.strings(env[0], env[1])
	if pwd := d.text(dir[0], dir[1]); pwd != "" {
		r.env = append(r.env, "PWD="+pwd)
	}
	r.descriptors = d.descriptors(fds[0], fds[1])
	if d.errno == wasip1.ESUCCESS && len(r.args) == 0 {
		d.errno = wasip1.EINVAL
	}
	return r, d.errno
}

// decoder reads the parts of a request. After the first error it reads nothing.
type decoder struct {
	view  *memory.View
	left  uint32 // bytes of text that may still come
	errno wasip1.Errno
}

// read returns n bytes, or nil.
func (d *decoder) read(ptr, n uint32) []byte {
	if d.errno != wasip1.ESUCCESS {
		return nil
	}
	b, errno := d.view.Read(ptr, n)
	d.errno = errno
	return b
}

func (d *decoder) text(ptr, n uint32) string {
	if n > d.left && d.errno == wasip1.ESUCCESS {
		d.errno = wasip1.E2BIG
	}
	s := string(d.read(ptr, n))
	if strings.IndexByte(s, 0) >= 0 {
		d.errno = wasip1.EINVAL
	}
	d.left -= min(n, d.left)
	return s
}

// pairs returns n pairs of numbers, at most most.
func (d *decoder) pairs(ptr, n, most uint32) [][2]uint32 {
	if n > most && d.errno == wasip1.ESUCCESS {
		d.errno = wasip1.E2BIG
	}
	if d.errno != wasip1.ESUCCESS {
		return nil
	}
	b := d.read(ptr, 8*n)
	all := make([][2]uint32, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		all = append(all, [2]uint32{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])})
	}
	return all
}

func (d *decoder) strings(ptr, n uint32) (all []string) {
	for _, p := range d.pairs(ptr, n, maxStrings) {
		all = append(all, d.text(p[0], p[1]))
	}
	return all
}

func (d *decoder) descriptors(ptr, n uint32) map[uint32]uint32 {
	all := map[uint32]uint32{}
	for _, p := range d.pairs(ptr, n, maxDescriptors) {
		all[p[0]] = p[1]
	}
	return all
}

// How a child ended, in a status.
const (
	exited = iota
	signaled
	trapped
	exhausted
	other
)

// storeStatus stores how a child ended.
func storeStatus(v *memory.View, ptr, pid uint32, r *virt.Result) wasip1.Errno {
	how, code := uint32(other), uint32(0)
	switch r.Outcome {
	case virt.Exited:
		how, code = exited, r.ExitCode
	case virt.Signaled:
		how, code = signaled, uint32(r.Signal)
	case virt.Trapped:
		how = trapped
	case virt.Exhausted:
		how = exhausted
	}
	b, errno := v.Write(ptr, statusSize)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	for i, n := range []uint32{pid, how, code} {
		binary.LittleEndian.PutUint32(b[4*i:], n)
	}
	return wasip1.ESUCCESS
}

// anyOf returns what is ready when one of the children has ended.
func anyOf(children []*virt.Child) poll.Pollable {
	if len(children) == 1 {
		return children[0]
	}
	a := &several{children: children, waiters: make([]poll.Waiter, len(children))}
	return a
}

// several is what is ready when one of several children has ended. One thread waits for it.
type several struct {
	children []*virt.Child
	waiters  []poll.Waiter
}

// Poll implements [poll.Pollable].
func (s *several) Poll(want poll.Events) poll.State {
	for _, c := range s.children {
		if st := c.Poll(want); st.Ready != 0 {
			return st
		}
	}
	return poll.State{}
}

// Subscribe implements [poll.Pollable].
func (s *several) Subscribe(w *poll.Waiter) {
	for i, c := range s.children {
		s.waiters[i].Waker = w.Waker
		c.Subscribe(&s.waiters[i])
	}
}

// Unsubscribe implements [poll.Pollable].
func (s *several) Unsubscribe(*poll.Waiter) {
	for i, c := range s.children {
		c.Unsubscribe(&s.waiters[i])
	}
}

// Reach implements [poll.Reacher].
func (s *several) Reach() poll.Reach { return s.children[0].Reach() }
