package loaded

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
)

// code is compiled code that tells when it is closed.
type code struct {
	wazero.CompiledModule
	name   string
	closed *[]string
}

func (c code) Close(context.Context) error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

// Small modules are closed at once, others when there is no room or the same code comes again.
func TestFree(t *testing.T) {
	c, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var closed []string
	for _, m := range []struct {
		name  string
		sum   byte
		bytes int
		want  []string // what is closed
	}{
		{"small", 1, leastBytes - 1, []string{"small"}},
		{"half", 2, mostBytes / 2, nil},
		{"quarter", 3, mostBytes / 4, nil},
		{"half again", 2, mostBytes / 2, []string{"half"}},
		{"a third", 4, mostBytes / 3, []string{"quarter"}},
		{"too large", 5, mostBytes + 1, []string{"half again", "a third", "too large"}},
	} {
		closed = nil
		if err := c.Free(t.Context(), [32]byte{m.sum}, m.bytes, code{nil, m.name, &closed}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.want, closed); diff != "" {
			t.Errorf("%s closes other code (-want +got):\n%s", m.name, diff)
		}
	}
	if len(c.kept) != 0 || c.bytes != 0 {
		t.Errorf("%d modules of %d bytes are kept, want none", len(c.kept), c.bytes)
	}
}
