package memory_test

import (
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Every byte is judged alike wherever in a path it stands: those of ASCII pass, NUL is EINVAL, half
// a character EILSEQ.
func TestPathJudgesEveryByte(t *testing.T) {
	var s memory.Scratch
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				path := []byte(strings.Repeat("a", length))
				path[at] = byte(c)
				want := wasip1.ESUCCESS
				switch {
				case c == 0:
					want = wasip1.EINVAL
				case c >= 0x80:
					want = wasip1.EILSEQ
				}
				got, errno := memory.NewView(path).Path(0, uint32(length), &s)
				if errno != want || errno == wasip1.ESUCCESS && got != string(path) {
					t.Fatalf("%q: %q, %v, want %v", path, got, errno, want)
				}
			}
		}
	}
}
