//go:build !unix && !windows

package mapping

func reserve(n int) ([]byte, error) { return make([]byte, n), nil }

func commit([]byte) error { return nil }

func release([]byte) error { return nil }
