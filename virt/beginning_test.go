package virt_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// dataModule exports a memory of four pages that begins with data.
func dataModule(data []byte) []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, payload []byte) {
		wasm = append(binary.AppendUvarint(append(wasm, id), uint64(len(payload))), payload...)
	}
	section(5, []byte{1, 0, 4})                  // memory
	section(7, []byte("\x01\x06memory\x02\x00")) // export
	segment := binary.AppendUvarint([]byte{1, 0, 0x41, 0, 0x0b}, uint64(len(data)))
	section(11, append(segment, data...))
	return wasm
}

// Each instance of a module begins with the module's data and zeros behind it, whatever others did
// to theirs, one after the other and at the same time.
func TestInstancesBeginAlike(t *testing.T) {
	for name, size := range map[string]int{"little": 5000, "much": 150_000} {
		t.Run(name, func(t *testing.T) {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i%251 + 1)
			}
			host := newHost(t)
			m := compiled(t, host, dataModule(data))
			want := append(bytes.Clone(data), make([]byte, 4<<16-size)...)
			one := func() {
				g, err := host.Instantiate(t.Context(), m)
				if err != nil {
					t.Error(err)
					return
				}
				mem := g.Instance().Memory()
				if got, _ := mem.Read(0, 4<<16); !bytes.Equal(got, want) {
					t.Error("the memory begins with something else")
				}
				if _, ok := mem.Grow(3); !ok {
					t.Error("the memory does not grow")
				}
				all, _ := mem.Read(0, 7<<16)
				if !bytes.Equal(all[4<<16:], make([]byte, 3<<16)) {
					t.Error("what the memory grew by is not zero")
				}
				for i := range all {
					all[i] = 0xaa
				}
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			for range 4 {
				one()
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(one)
			}
			wg.Wait()
		})
	}
}

// What instances shared is given back with the module.
func TestModulesGiveBackTheirBeginning(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	host := newHost(t)
	before := 0
	for i := range byte(10) {
		m, err := host.Compile(t.Context(), dataModule(bytes.Repeat([]byte{i + 1}, 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			g, err := host.Instantiate(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 1 { // what is opened once is open
			before = open()
		}
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors are open, %d after the second module", after, before)
	}
}

// A snapshot's guests and the module's begin with what is theirs, though both show images.
func TestSnapshotsBesideTheModulesBeginning(t *testing.T) {
	data := bytes.Repeat([]byte{7}, 100_000)
	host := newHost(t)
	m := compiled(t, host, dataModule(data))
	var guests []*virt.Guest
	for range 2 {
		guests = append(guests, newGuest(t, host, m))
	}
	guests[1].Instance().Memory().WriteByte(3, 9)
	s, err := guests[1].Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for range 3 {
		fork, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		for want, g := range map[byte]*virt.Guest{9: fork, 7: fresh} {
			if got, _ := g.Instance().Memory().ReadByte(3); got != want {
				t.Errorf("a guest begins with %d, want %d", got, want)
			}
			g.Instance().Memory().WriteByte(3, 1)
			if err := g.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, _ := g.Instance().Memory().ReadByte(3); got != want {
				t.Errorf("a guest that was reset begins with %d, want %d", got, want)
			}
			if err := g.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
