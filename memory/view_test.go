package memory

import (
	"testing"

	"github.com/wasivirt/wasivirt/wasip1"
)

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
		for i := 0; b.Loop(); i++ {
			u, _ := v.Path(0x2000, 29, &s)
			sink += uint64(len(u))
		}
	})
	for i := range uint32(16) {
		wasip1.Iovec{Buf: 0x3000, Len: 10}.Encode(v.b[0x4000+8*i:])
	}
	for _, n := range []uint32{1, 16} {
		b.Run("Iovecs", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				u, _ := v.Iovecs(0x4000, n, &s, true)
				u.Note(u.Total)
				sink += u.Total
			}
		})
	}
}
