package virt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// function is an exported function of a guest made by assemble: it makes calls one after the other.
type function struct {
	name  string
	calls []call
}

// errnosAt is where the first function of a guest made by assemble stores what its calls answer, 4
// bytes each.
const errnosAt = 0xc00

// assemble makes a guest with data at address 0 of its memory. Its first function stores what its
// calls answer at errnosAt, unless the answer is to proc_exit. "thread-spawn" and names with a dot
// are imported from elsewhere than preview1.
func assemble(data []byte, functions ...function) []byte {
	var types, imports, codes, exports []byte
	n := 0
	for _, f := range functions {
		n += len(f.calls)
	}
	i := 0
	for k, f := range functions {
		body := []byte{0} // no locals
		for j, c := range f.calls {
			result := c.name != "proc_exit" && c.name != "env.callback"
			if result && k == 0 {
				body = appendSigned(append(body, 0x41), int64(errnosAt+4*j))
			}
			types = binary.AppendUvarint(append(types, 0x60), uint64(len(c.args)))
			for _, a := range c.args {
				kind := byte(0x7f)
				switch a := a.(type) {
				case from:
					body = binary.AppendUvarint(append(body, 0x41, 0, 0x28, 2), uint64(a))
				case int:
					body = appendSigned(append(body, 0x41), int64(a))
				case uint64:
					kind = 0x7e
					body = appendSigned(append(body, 0x42), int64(a))
				}
				types = append(types, kind)
			}
			module, name := abi.ModuleName, c.name
			switch c.name {
			case "thread-spawn":
				module = "wasi"
			case "env.callback":
				module, name = "env", "callback"
			}
			if result {
				types = append(types, 1, 0x7f)
			} else {
				types = append(types, 0)
			}
			imports = binary.AppendUvarint(append(appendName(appendName(imports, module), name), 0), uint64(i))
			body = binary.AppendUvarint(append(body, 0x10), uint64(i))
			switch {
			case result && k == 0:
				body = append(body, 0x36, 2, 0)
			case result:
				body = append(body, 0x1a)
			}
			i++
		}
		body = append(body, 0x0b)
		codes = append(binary.AppendUvarint(codes, uint64(len(body))), body...)
		exports = binary.AppendUvarint(append(appendName(exports, f.name), 0), uint64(n+k))
	}
	wasm := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, count int, content []byte) {
		content = append(binary.AppendUvarint(nil, uint64(count)), content...)
		wasm = append(binary.AppendUvarint(append(wasm, id), uint64(len(content))), content...)
	}
	section(1, n+1, append(types, 0x60, 0, 0))
	section(2, n, imports)
	section(3, len(functions), bytes.Repeat(binary.AppendUvarint(nil, uint64(n)), len(functions)))
	section(5, 1, []byte{0, 4})
	section(7, len(functions)+1, append(exports, append(appendName(nil, "memory"), 2, 0)...))
	section(10, len(functions), codes)
	section(11, 1, append(binary.AppendUvarint([]byte{0, 0x41, 0, 0x0b}, uint64(len(data))), data...))
	return wasm
}

// command is a guest whose _start makes calls.
func command(data []byte, calls ...call) []byte {
	return assemble(data, function{"_start", calls})
}

// texts lays out memory: text i at textAt(i), with an iovec for it at iovecAt(i); and iovec 15 for
// 64 bytes at bufferAt.
func texts(all ...string) []byte {
	data := make([]byte, 0xc00)
	for i, s := range all {
		copy(data[textAt(i):], s)
		wasip1.Iovec{Buf: uint32(textAt(i)), Len: uint32(len(s))}.Encode(data[iovecAt(i):])
	}
	wasip1.Iovec{Buf: bufferAt, Len: 64}.Encode(data[iovecAt(15):])
	return data
}

func textAt(i int) int  { return 0x400 + i*0x40 }
func iovecAt(i int) int { return 0x200 + i*wasip1.SizeIovec }

// finished is how a run of a guest ended.
type finished struct {
	result *virt.Result
	errnos []wasip1.Errno // of the calls of _start
	memory []byte
	out    string
	usage  virt.Usage
}

// runCommand runs a guest made by command, which makes n calls.
func runCommand(t testing.TB, host *virt.Host, wasm []byte, n int, opts ...virt.GuestOption) finished {
	t.Helper()
	ctx := context.Background()
	m := compiled(t, host, wasm)
	defer m.Close(ctx)
	var out bytes.Buffer
	g, err := host.Instantiate(ctx, m, append([]virt.GuestOption{virt.WithStdout(&out), virt.WithStderr(&out)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(ctx)
	result, err := g.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := finished{result: result, out: out.String(), usage: g.Usage()}
	size := g.Instance().Memory().Size()
	mem, _ := g.Instance().Memory().Read(0, size)
	r.memory = bytes.Clone(mem)
	for i := range n {
		r.errnos = append(r.errnos, wasip1.Errno(binary.LittleEndian.Uint32(r.memory[errnosAt+4*i:])))
	}
	return r
}

// u32 is a number in the guest's memory.
func (r *finished) u32(at int) uint32 { return binary.LittleEndian.Uint32(r.memory[at:]) }

func wantErrnos(t *testing.T, r finished, want ...wasip1.Errno) {
	t.Helper()
	if !r.result.Success() {
		t.Errorf("%v", r.result)
	}
	for i, w := range want {
		if r.errnos[i] != w {
			t.Errorf("call %d answered %v, want %v", i, r.errnos[i], w)
		}
	}
}

var errTest = errors.New("the test says so")

// Calls of guests made by command. Text i is what the names below mean by i.

func writeText(fd any, i int) call {
	return call{"fd_write", []any{fd, iovecAt(i), 1, resultAt + 0x20}}
}

func openText(i, length, oflags, at int) call {
	return call{"path_open", []any{3, 0, textAt(i), length, oflags, uint64(wasip1.RightsFile), uint64(0), 0, at}}
}

func readFd(fd any) call { return call{"fd_read", []any{fd, iovecAt(15), 1, resultAt + 0x20}} }
