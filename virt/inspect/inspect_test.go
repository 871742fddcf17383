package inspect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt/inspect"
)

// TestImportTypes: the types of functions that the embedder has to answer are told before anything
// is compiled.
func TestImportTypes(t *testing.T) {
	const (
		header = "\x00asm\x01\x00\x00\x00"
		types  = "\x01\x11\x03" +
			"\x60\x02\x7f\x7e\x01\x7c" + // (i32, i64) f64
			"\x60\x00\x00" + // ()
			"\x60\x02\x7b\x6f\x02\x7d\x70" // (v128, externref) (f32, funcref)
		imports = "\x02\x19\x03" + "\x03env\x01a\x00\x00" + "\x03env\x01b\x00\x01" + "\x03env\x01c\x00\x02"
	)
	audit, err := inspect.Module([]byte(header + types + imports))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, im := range audit.Missing() {
		got = append(got, im.Name+im.Type())
	}
	want := []string{"a(i32, i64) f64", "b()", "c(v128, externref) (f32, funcref)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
}
