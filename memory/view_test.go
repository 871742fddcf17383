package memory

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/wasip1"
)

const testSize = 256

// hostile are addresses and lengths around every bound of a memory of testSize bytes.
var hostile = []uint32{
	0, 1, 2, 3, 4, 7, 8, 9, 100,
	testSize - 9, testSize - 8, testSize - 7, testSize - 4, testSize - 3, testSize - 2,
	testSize - 1, testSize, testSize + 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 8, 1<<32 - 2, 1<<32 - 1,
}

// faults says what the errno for n bytes at ptr must be, by arithmetic that cannot wrap.
func faults(ptr, n uint32) wasip1.Errno {
	if int64(ptr)+int64(n) > testSize {
		return wasip1.EFAULT
	}
	return wasip1.ESUCCESS
}

func TestRangesAtEveryBound(t *testing.T) {
	for _, logged := range []bool{false, true} {
		v := NewView(make([]byte, testSize))
		for _, ptr := range hostile {
			for _, n := range hostile {
				want := faults(ptr, n)
				log := new(Log)
				if logged {
					v.SetLog(log)
				}
				for name, get := range map[string]func(ptr, n uint32) ([]byte, wasip1.Errno){
					"Read": v.Read, "Write": v.Write, "Window": v.Window,
				} {
					b, errno := get(ptr, n)
					if errno != want {
						t.Errorf("%s(%d, %d): %v, want %v", name, ptr, n, errno, want)
					}
					if want == 0 && (len(b) != int(n) || cap(b) != int(n)) {
						t.Errorf("%s(%d, %d): %d bytes with room for %d", name, ptr, n, len(b), cap(b))
					}
				}
				if v.Has(ptr, n) != (want == 0) {
					t.Errorf("Has(%d, %d) = %v", ptr, n, v.Has(ptr, n))
				}
				noted := logged && want == 0 && n > 0
				if len(log.Reads) > 0 != noted || len(log.Writes) > 0 != noted {
					t.Errorf("%d bytes at %d, %v: noted %+v", n, ptr, want, log)
				}
			}
		}
	}
}

func TestNumbersAtEveryBound(t *testing.T) {
	const x = 0x8877665544332211
	bytesOf := []byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}
	for _, logged := range []bool{false, true} {
		v := NewView(make([]byte, testSize))
		for _, ptr := range hostile {
			for _, n := range []uint32{1, 2, 4, 8} {
				log := new(Log)
				if logged {
					v.SetLog(log)
				}
				clear(v.Bytes())
				var put, get wasip1.Errno
				var got, mask uint64
				switch n {
				case 1:
					var u uint8
					put = v.PutUint8(ptr, uint8(x&0xff))
					u, get = v.Uint8(ptr)
					got, mask = uint64(u), 0xff
				case 2:
					var u uint16
					put = v.PutUint16(ptr, uint16(x&0xffff))
					u, get = v.Uint16(ptr)
					got, mask = uint64(u), 0xffff
				case 4:
					var u uint32
					put = v.PutUint32(ptr, uint32(x&0xffffffff))
					u, get = v.Uint32(ptr)
					got, mask = uint64(u), 0xffffffff
				case 8:
					put = v.PutUint64(ptr, x)
					got, get = v.Uint64(ptr)
					mask = 1<<64 - 1
				}
				want := faults(ptr, n)
				if put != want || get != want {
					t.Errorf("%d bytes at %d: put %v, get %v, want %v", n, ptr, put, get, want)
				}
				if want != 0 {
					if got != 0 || !bytes.Equal(v.Bytes(), make([]byte, testSize)) {
						t.Errorf("%d bytes at %d: fault with an effect", n, ptr)
					}
					continue
				}
				if got != x&mask || !bytes.Equal(v.Bytes()[ptr:ptr+n], bytesOf[:n]) {
					t.Errorf("%d bytes at %d: %#x, % x", n, ptr, got, v.Bytes()[ptr:ptr+n])
				}
				if logged {
					r := []Range{{ptr, n}}
					if d := cmp.Diff(&Log{Reads: r, Writes: r}, log); d != "" {
						t.Error(d)
					}
				}
			}
		}
	}
}

func TestZeroViewHasNothing(t *testing.T) {
	var v View
	if _, errno := v.Uint8(0); errno != wasip1.EFAULT {
		t.Error(errno)
	}
	if errno := v.PutUint64(0, 1); errno != wasip1.EFAULT {
		t.Error(errno)
	}
	if _, errno := v.Read(0, 0); errno != wasip1.ESUCCESS {
		t.Error(errno)
	}
	if v.Len() != 0 {
		t.Error(v.Len())
	}
}

func TestLogJoinsNeighbours(t *testing.T) {
	v, log := NewView(make([]byte, testSize)), new(Log)
	v.SetLog(log)
	v.Wrote(0, 4)
	v.Wrote(4, 4)
	v.Wrote(8, 0)
	v.Wrote(16, 4)
	v.Wrote(12, 4)
	v.DidRead(1<<32-2, 1)
	v.DidRead(1<<32-1, 1)
	v.DidRead(0, 1<<32-1)
	v.DidRead(1<<32-1, 1) // joined, it would have a length of 1<<32
	want := &Log{
		Writes: []Range{{0, 8}, {16, 4}, {12, 4}},
		Reads:  []Range{{1<<32 - 2, 2}, {0, 1<<32 - 1}, {1<<32 - 1, 1}},
	}
	if d := cmp.Diff(want, log); d != "" {
		t.Error(d)
	}
	log.Reset()
	if len(log.Reads)+len(log.Writes) != 0 {
		t.Error("not empty")
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	v, s, log := NewView(make([]byte, 1<<16)), new(Scratch), new(Log)
	copy(v.Bytes()[0x2000:], "some/path")
	calls := func() {
		log.Reset()
		v.PutUint64(8, 1)
		v.Uint64(8)
		v.Path(0x2000, 9, s)
		v.Path(0x2000, 4, s)
		l, _ := v.Iovecs(0x4000, MaxIovecs, s, true)
		l.Note(l.Total())
	}
	if n := testing.AllocsPerRun(10, calls); n != 0 {
		t.Errorf("%v allocations", n)
	}
	v.SetLog(log)
	if n := testing.AllocsPerRun(10, calls); n != 0 {
		t.Errorf("%v allocations with a log", n)
	}
}

var sink uint64

func BenchmarkView(b *testing.B) {
	v := NewView(make([]byte, 1<<16))
	b.Run("PutUint32", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			v.PutUint32(uint32(i)&0xff8, 7)
		}
	})
	b.Run("Uint32", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			u, _ := v.Uint32(uint32(i) & 0xff8)
			sink += uint64(u)
		}
	})
	b.Run("Read", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			u, _ := v.Read(uint32(i)&0xff8, 16)
			sink += uint64(u[0])
		}
	})
	var s Scratch
	copy(v.b[0x2000:], "some/path/of/usual/length.txt")
	b.Run("Path", func(b *testing.B) {
		for b.Loop() {
			u, _ := v.Path(0x2000, 29, &s)
			sink += uint64(len(u))
		}
	})
	for i := range uint32(16) {
		wasip1.Iovec{Buf: 0x3000, Len: 10}.Encode(v.b[0x4000+8*i:])
	}
	for name, n := range map[string]uint32{"Iovecs/1": 1, "Iovecs/16": 16} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				u, _ := v.Iovecs(0x4000, n, &s, true)
				u.Note(u.Total())
				sink += u.Total()
			}
		})
	}
}
