package random

import (
	"crypto/rand"
	"fmt"
	"io"
	chacha "math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Source gives random bytes. It is an io.Reader with a stricter promise: Read fills p
// and returns len(p), or returns an error. The Sources of this package keep what they
// cannot give: a Read that fails takes nothing out of them.
//
// RandomGet copes with any io.Reader, short reads included, and reports the errors of
// a Source as wasip1.FromError maps them. A Source must be safe for concurrent use if
// its guest has threads.
type Source interface {
	Read(p []byte) (n int, err error)
}

// MachineUser is implemented by a Source that knows whether its bytes come from the machine, and so
// differ from run to run. A Source that wraps another passes the question on with [UsesMachine].
type MachineUser interface {
	UsesMachine() bool
}

// UsesMachine reports whether the bytes of src come from the machine. It returns false
// for a Source that is no [MachineUser].
func UsesMachine(src Source) bool {
	m, ok := src.(MachineUser)
	return ok && m.UsesMachine()
}

// System returns the random numbers of the operating system (crypto/rand). Reading
// them never fails.
//
// A read of more than 1 KiB takes a fresh key of 32 bytes from the operating system and
// expands it with ChaCha8, which the Go runtime trusts for its own random numbers
// (math/rand/v2: "a ChaCha8-based cryptographically strong random number generator").
// This is about four times as fast for 64 KiB. No key outlives its read, so that a copy of
// the process, or a virtual machine that goes on twice, never gives the same bytes twice.
func System() Source { return system{} }

type system struct{}

// UsesMachine implements [MachineUser].
func (system) UsesMachine() bool { return true }

// expandFrom is the length in bytes from which a key is cheaper than the operating system's bytes.
const expandFrom = 1 << 10

func (system) Read(p []byte) (int, error) {
	if len(p) <= expandFrom {
		return rand.Read(p)
	}
	// The key is read where the bytes go, which allocates nothing. It tells nobody more than those
	// bytes, which replace it, tell.
	const size = 32
	if n, err := rand.Read(p[:size]); err != nil {
		return n, err
	}
	stream := streams.Get().(*chacha.ChaCha8)
	defer func() {
		stream.Seed([size]byte{}) // so that nothing of the key stays in memory
		streams.Put(stream)
	}()
	stream.Seed([size]byte(p[:size]))
	return stream.Read(p)
}

// streams saves the memory of streams, and nothing of what they gave.
var streams = sync.Pool{New: func() any { return new(chacha.ChaCha8) }}

// Failing returns a Source that has nothing but err. With wasip1.ENOSYS or
// wasip1.EPERM that is randomness denied.
func Failing(err error) Source {
	if err == nil {
		err = wasip1.EIO
	}
	return failing{err}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Scripted returns a Source that gives the bytes of script in order. After the last it
// fails with end; a nil end starts it over. A request that goes past the last byte is
// not cut: it fails, and the rest stays for smaller ones. The script is copied.
//
// A script of no bytes with a nil end fails with io.ErrUnexpectedEOF.
func Scripted(script []byte, end error) Source {
	if len(script) == 0 && end == nil {
		end = io.ErrUnexpectedEOF
	}
	return &scripted{script: append([]byte(nil), script...), end: end}
}

type scripted struct {
	script []byte
	end    error

	mu sync.Mutex
	at int
}

func (s *scripted) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		if len(p) > len(s.script)-s.at {
			return 0, s.end
		}
		s.at += copy(p, s.script[s.at:])
		return len(p), nil
	}
	for n := 0; n < len(p); {
		k := copy(p[n:], s.script[s.at:])
		n += k
		s.at = (s.at + k) % len(s.script)
	}
	return len(p), nil
}

// Limited returns a Source that gives n bytes of src in all. A request for more than
// is left gets none of them and fails with a *LimitError (EDQUOT: random_get has no
// short result, and a buffer that is random in its first half only would be worse than
// an error). Several guests may share a Limited: no two get the same byte of the budget.
func Limited(src Source, n uint64) *Budget {
	b := &Budget{src: src, err: &LimitError{Limit: n}}
	b.left.Store(n)
	return b
}

// Budget is a Source with an end, see Limited.
type Budget struct {
	src  Source
	err  *LimitError
	left atomic.Uint64
}

// Left returns how many bytes the budget still has.
func (b *Budget) Left() uint64 { return b.left.Load() }

// UsesMachine implements [MachineUser].
func (b *Budget) UsesMachine() bool { return UsesMachine(b.src) }

// Read fills p, or fails with a *LimitError if p is longer than what is left. Bytes that
// the source below fails to give are not counted.
func (b *Budget) Read(p []byte) (int, error) {
	n := uint64(len(p))
	for {
		left := b.left.Load()
		if n > left {
			return 0, b.err
		}
		if b.left.CompareAndSwap(left, left-n) {
			break
		}
	}
	k, err := b.src.Read(p)
	if err != nil || uint64(k) < n {
		b.left.Add(n - uint64(k))
	}
	return k, err
}

// LimitError says that a budget of random bytes has run out. It is an EDQUOT.
type LimitError struct {
	Limit uint64 // bytes that there were in all
}

// Error names the budget.
func (e *LimitError) Error() string {
	return fmt.Sprintf("budget of %d random bytes is used up", e.Limit)
}

// Unwrap returns wasip1.EDQUOT.
func (e *LimitError) Unwrap() error { return wasip1.EDQUOT }
