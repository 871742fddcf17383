package faultfs_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
)

// With torn writes each sector is what was synced, what was written, or, where the file grew, zero;
// what was synced alone stays; the seed decides.
func TestTornWrites(t *testing.T) {
	const sector = 512
	run := func(seed uint64, synced, written int) []byte {
		disk, err := faultfs.New(memfs.New(), nil, faultfs.WithDurability(), faultfs.WithTornWrites(), faultfs.WithSeed(seed))
		if err != nil {
			t.Fatal(err)
		}
		root, err := vfs.NewRoot(disk)
		if err != nil {
			t.Fatal(err)
		}
		f, err := root.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte("o"), synced), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte("n"), written), 0); err != nil {
			t.Fatal(err)
		}
		if err := disk.LosePower(); err != nil {
			t.Fatal(err)
		}
		text, err := root.ReadFile("f")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, size := range []struct{ synced, written int }{{4000, 4000}, {4000, 100}, {100, 4000}, {1000, 5000}} {
		different := map[string]bool{}
		for seed := range uint64(20) {
			text := run(seed, size.synced, size.written)
			if !bytes.Equal(text, run(seed, size.synced, size.written)) {
				t.Errorf("%v, seed %d: two runs differ", size, seed)
			}
			different[string(text)] = true
			if len(text) < size.synced || len(text) > max(size.synced, size.written) {
				t.Errorf("%v, seed %d: %d bytes", size, seed, len(text))
			}
			for from := 0; from < len(text); from += sector {
				part := text[from:min(from+sector, len(text))]
				kept := part[0] == 'n' // of what was written
				for i, b := range part {
					at, want := from+i, byte('o')
					switch {
					case at < size.written && kept:
						want = 'n'
					case at >= size.synced:
						want = 0
					}
					if b != want {
						t.Fatalf("%v, seed %d: byte %d is %q, want %q", size, seed, at, b, want)
					}
				}
			}
		}
		if len(different) < 2 {
			t.Errorf("%v: all seeds tear alike", size)
		}
	}
}
