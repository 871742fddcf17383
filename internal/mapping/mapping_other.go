//go:build !unix && !windows

package mapping

func reserve(n int) ([]byte, error) { return make([]byte, n), nil }

// explained says what to do about err, which is its own text here.
func explained(err error) error { return err }

func commit([]byte) error { return nil }

func release([]byte) error { return nil }

func discard(b []byte) error {
	clear(b)
	return nil
}

// AddressSpace is how many bytes of addresses one mapping should reserve at most: here they are
// taken from Go's heap at once.
func AddressSpace() uint64 { return 0 }
