package memory

import (
	"bytes"
	"unicode/utf8"
	"unsafe"

	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxPath is the longest path that View.Path accepts, in bytes (POSIX: PATH_MAX).
const MaxPath = 4096

// Scratch is where a thread of a guest keeps what it copied out of guest memory for
// the length of a call: paths and lists of iovecs. Its room is used again by the next
// call, so that nothing is allocated in the long run. The zero Scratch is ready. It
// has no lock.
type Scratch struct {
	paths [2][]byte // path_rename and path_link have two paths alive at once
	next  uint8     // which of paths is to be used next

	bufs [][]byte
	use  iovecUse
}

// Release drops the Scratch's references to the guest's memory, and keeps its room.
func (s *Scratch) Release() {
	clear(s.bufs)
}

// String returns a copy of the n bytes at ptr as a string. It is EFAULT if they do not
// lie in the memory, EINVAL if there is a NUL among them (preview1: strings have a
// length and no terminator) and EILSEQ if they are not UTF-8.
//
// The copy is allocated. It is no larger than the guest's memory, but functions that
// know a limit check n before.
func (v *View) String(ptr, n uint32) (string, wasip1.Errno) {
	b, errno := v.Read(ptr, n)
	if errno != wasip1.ESUCCESS {
		return "", errno
	}
	s := string(b) // first the copy: another thread may change b
	if errno := checkText(unsafe.Slice(unsafe.StringData(s), len(s))); errno != wasip1.ESUCCESS {
		return "", errno
	}
	return s, wasip1.ESUCCESS
}

// Path returns the n bytes at ptr as a path. It is EFAULT if they do not lie in the
// memory, ENAMETOOLONG if n is more than MaxPath, EINVAL if there is a NUL among them
// and EILSEQ if they are not UTF-8 (preview1: paths are UTF-8).
//
// The string lies in s and is good until the second next call of Path with the same
// Scratch: two paths of one call live side by side. It is a copy because another
// thread may change guest memory while the path is being walked.
func (v *View) Path(ptr, n uint32, s *Scratch) (string, wasip1.Errno) {
	if v.given != nil {
		if p, ok := givenPath(v.given); ok {
			return p.Path, p.Errno
		}
	}
	b, errno := v.Window(ptr, n)
	if errno != wasip1.ESUCCESS {
		return "", errno
	}
	if n > MaxPath {
		return "", wasip1.ENAMETOOLONG
	}
	v.DidRead(ptr, n)
	if n == 0 {
		return "", wasip1.ESUCCESS
	}
	i := s.next & 1
	s.next ^= 1
	p := append(s.paths[i][:0], b...)
	s.paths[i] = p
	if errno := checkText(p); errno != wasip1.ESUCCESS {
		return "", errno
	}
	return unsafe.String(unsafe.SliceData(p), len(p)), wasip1.ESUCCESS
}

// CheckPath says what [View.Path] would answer if path were in the memory: ENAMETOOLONG, EINVAL,
// EILSEQ or ESUCCESS.
func CheckPath(path string) wasip1.Errno {
	if len(path) > MaxPath {
		return wasip1.ENAMETOOLONG
	}
	return checkText(unsafe.Slice(unsafe.StringData(path), len(path)))
}

// checkText says what is wrong with b as the text of a guest.
func checkText(b []byte) wasip1.Errno {
	if plain(b) {
		return wasip1.ESUCCESS
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return wasip1.EINVAL
	}
	if !utf8.Valid(b) {
		return wasip1.EILSEQ
	}
	return wasip1.ESUCCESS
}

// plain reports whether b is ASCII without NULs, as most paths are.
func plain(b []byte) bool {
	const low, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		// A byte has its high bit set in x, or in x-1 where it is 0 or, which is a false alarm,
		// follows a 0.
		if x := le.Uint64(b); (x|(x-low))&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c-1 >= 0x7f {
			return false
		}
	}
	return true
}
