// A reactor that keeps state everywhere a Go program can: in globals, on the heap, in maps, in open
// files and in the directory.
package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

func main() {}

var (
	total uint32
	notes = map[uint32][]byte{}
	files [4]*os.File
)

// step does what op says with a and b, and answers a number that depends on what was found.
//
//go:wasmexport step
func step(op, a, b uint32) uint32 {
	switch op % 7 {
	case 0:
		total = total*31 + a
	case 1:
		notes[a%50] = make([]byte, b%5000)
		for i := range notes[a%50] {
			notes[a%50][i] = byte(uint32(i) * b)
		}
	case 2:
		delete(notes, a%50)
	case 3:
		if files[a%4] != nil {
			files[a%4].Close()
		}
		f, err := os.OpenFile(fmt.Sprint("/tmp/", b%6), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return 1
		}
		files[a%4] = f
	case 4:
		if f := files[a%4]; f != nil {
			n, _ := fmt.Fprint(f, total, " ", b)
			return uint32(n)
		}
	case 5:
		if f := files[a%4]; f != nil {
			var buf [16]byte
			n, _ := io.ReadFull(f, buf[:b%16])
			for _, c := range buf[:n] {
				total = total*31 + uint32(c)
			}
			at, _ := f.Seek(int64(b%40), io.SeekStart)
			return uint32(n)<<8 | uint32(at)
		}
	case 6:
		if b%3 == 0 {
			_ = os.Remove(fmt.Sprint("/tmp/", b%6))
		} else {
			_ = os.Rename(fmt.Sprint("/tmp/", a%6), fmt.Sprint("/tmp/", b%6))
		}
	}
	return digest()
}

func digest() uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, total)
	for k := range uint32(50) {
		if note, ok := notes[k]; ok {
			fmt.Fprint(h, k, len(note))
			_, _ = h.Write(note)
		}
	}
	entries, err := os.ReadDir("/tmp")
	if err != nil {
		return 2
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	fmt.Fprint(h, names)
	return h.Sum32()
}
