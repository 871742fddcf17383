package wasmbin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// FuzzRewrite mutates modules. Nothing panics, errors are typed, what wazero
// compiles is read and compiles after every change, and what it does not compile
// it does not compile afterwards either. What compiles is run before and after:
// answers, traps, memory and globals are the same, and the fuel is exact.
func FuzzRewrite(f *testing.F) {
	f.Add(kernels())
	f.Add(numbers())
	f.Add(catcher())
	f.Add(dispatcher())
	for seed := range uint64(40) {
		f.Add(generate(seed))
	}
	names := make([]string, 0, 8000)
	all := modules(f)
	for name, module := range all {
		if len(module) < 2000 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i := 0; i < len(names); i += 60 {
		f.Add(all[names[i]])
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	f.Fuzz(func(t *testing.T, module []byte) {
		if len(module) > 1<<16 {
			return
		}
		m, err := Inspect(module)
		if err == nil {
			for at := uint32(0); int(at) < len(module); at += 7 {
				if function, offset, ok := m.FunctionAt(at); ok && (int(function) < m.ImportedFunctions() || offset > uint64(at)) {
					t.Fatalf("what stands at %d is in function %d at %d", at, function, offset)
				}
			}
			m.NamesOfFunctions()
		}
		var format *FormatError
		if err != nil {
			if !errors.As(err, &format) || format.Offset < 0 || format.Offset > len(module) {
				t.Fatalf("%#v", err)
			}
		}
		same, _, rewriteErr := Rewrite(module, Options{})
		if rewriteErr == nil && string(same) != string(module) {
			t.Fatal("not the same bytes")
		}
		if rewriteErr != nil && mayBeHuge(module) {
			return
		}
		bad := compiles(ctx, r, module)
		if rewriteErr != nil {
			if bad == nil && !lax(rewriteErr) {
				t.Fatalf("wazero compiles what is refused: %v", rewriteErr)
			}
			return
		}
		for _, opts := range everything {
			rewritten, _, err := Rewrite(module, opts)
			var reserved *ReservedError
			var over *LimitError
			if errors.As(err, &reserved) || errors.As(err, &over) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			err = compiles(ctx, r, rewritten)
			if bad == nil && err != nil {
				t.Fatalf("%+v: does not compile any more: %v", opts, err)
			}
			if bad != nil && err == nil && !oddity(bad) {
				t.Fatalf("%+v: compiles now, and did not: %v", opts, bad)
			}
		}
		if bad == nil {
			compareRuns(t, module)
		}
	})
}

// oddity reports whether wazero refuses a module for a reason that depends on
// what else is in it: it takes a null in a table's initial value for a reference
// to function 0 if there is a function, and fails on an empty custom section at the
// end of the file.
func oddity(err error) bool {
	return strings.Contains(err.Error(), "] init: const expression type mismatch") ||
		strings.Contains(err.Error(), "failed to read custom section name")
}

// mayBeHuge reports whether a module holds what could be a count of two millions
// or more, for which wazero allocates before it looks whether so much follows.
func mayBeHuge(module []byte) bool {
	long := 0
	for _, b := range module {
		if long++; b < 0x80 {
			long = 0
		}
		if long == 3 {
			return true
		}
	}
	return false
}

// lax reports whether a module is refused for what wazero does not look at
// though it is invalid: vector opcodes in odd encodings, the types of tables, of
// imported functions and of tags, and the sizes of the parts of names.
func lax(err error) bool {
	var format *FormatError
	return errors.As(err, &format) && (strings.Contains(format.Msg, "unknown vector opcode") ||
		strings.Contains(format.Msg, "unknown value type") ||
		format.Section == "custom" ||
		(format.Section == "import" || format.Section == "tag") && strings.HasPrefix(format.Msg, "type "))
}
