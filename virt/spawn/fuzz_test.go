package spawn

import (
	"testing"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FuzzRequest reads requests from memory of any content: the answer is a request within its bounds,
// or an errno.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("\xff\xff\xff\xff\x2c\x00\x00\x00\x03\x00\x00\x00\x2c\x00\x00\x00\x01\x00\x00\x00"), uint32(0))
	f.Fuzz(func(t *testing.T, mem []byte, ptr uint32) {
		r, errno := loadRequest(memory.NewView(mem), ptr)
		if !errno.Valid() {
			t.Fatalf("errno %d", errno)
		}
		if errno != wasip1.ESUCCESS {
			return
		}
		n := len(r.name)
		for _, s := range append(r.args, r.env...) {
			n += len(s)
		}
		if n > maxText+len("PWD=") || len(r.args) == 0 || len(r.args) > maxStrings || len(r.env) > maxStrings+1 || len(r.descriptors) > maxDescriptors {
			t.Errorf("%d bytes, %d arguments, %d variables, %d descriptors", n, len(r.args), len(r.env), len(r.descriptors))
		}
	})
}
