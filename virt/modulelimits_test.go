package virt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt/inspect"
)

// wasm assembles a module of sections, each with its identifier and its entries.
type wasm []byte

func newWasm() wasm { return wasm("\x00asm\x01\x00\x00\x00") }

func leb(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func (w wasm) raw(id byte, payload []byte) wasm {
	return append(append(append(w, id), leb(len(payload))...), payload...)
}

// section adds a section of n entries.
func (w wasm) section(id byte, n int, entry string) wasm {
	return w.raw(id, append(leb(n), strings.Repeat(entry, n)...))
}

// command is a module with a _start of the given locals, in groups, and code, and n functions like
// it.
func command(n int, locals, code string) []byte {
	body := locals + code + "\x0b"
	body = string(leb(len(body))) + body
	return newWasm().section(1, 1, "\x60\x00\x00").section(3, n, "\x00").section(5, 1, "\x00\x01").
		section(7, 1, "\x06_start\x00\x00").section(10, n, body)
}

func withLocals(n int) string { return "\x01" + string(leb(n)) + "\x7f" }

// increments are n times local i = local i + 1, for each of n locals.
func increments(n int) string {
	var b strings.Builder
	for i := range n {
		local := string(leb(i))
		b.WriteString("\x20" + local + "\x41\x01\x6a\x21" + local)
	}
	return b.String()
}

// hostileModules are modules that are small and dear, with the limit that contains each.
func hostileModules() map[string][]byte {
	custom := func(name string, content []byte) []byte { return append(append(leb(len(name)), name...), content...) }
	blocks := func(results, n int, code string) []byte {
		body := "\x00" + strings.Repeat(code, n) + "\x0b"
		types := append([]byte("\x02\x60\x00\x00\x60\x00"), append(leb(results), bytes.Repeat([]byte{0x7f}, results)...)...)
		return newWasm().raw(1, types).section(3, 1, "\x00").section(5, 1, "\x00\x01").
			section(7, 1, "\x06_start\x00\x00").raw(10, append(append([]byte{1}, leb(len(body))...), body...))
	}
	nested := func(n, locals int, begin, end string) []byte {
		return command(1, withLocals(locals), strings.Repeat(begin, n)+increments(locals)+strings.Repeat(end, n)+increments(locals))
	}
	functions := func() wasm { return newWasm().section(1, 1, "\x60\x00\x00") }
	return map[string][]byte{
		"Results/of blocks":        blocks(10_000, 1_000, "\x02\x01\x00\x0b\x00"),
		"FunctionCost/results":     blocks(120, 100_000, "\x02\x01\x41\x00\x0d\x00\x00\x0b\x00"),
		"TotalLocals/many":         command(20_000, withLocals(50_000), ""),
		"Nesting/blocks":           nested(20_000, 0, "\x02\x40", "\x0b"),
		"Nesting/ifs":              nested(20_000, 0, "\x41\x00\x04\x40", "\x0b"),
		"Nesting/loops":            nested(20_000, 0, "\x03\x40", "\x41\x00\x0d\x00\x0b"),
		"FunctionCost/ifs":         nested(2_000, 1_000, "\x41\x00\x04\x40", "\x0b"),
		"FunctionCost/loops":       nested(2_000, 1_000, "\x03\x40", "\x41\x00\x0d\x00\x0b"),
		"FunctionCost/deep loops":  nested(2_000, 200, "\x03\x40", "\x41\x00\x0d\x00\x0b"),
		"FunctionCost/many blocks": command(1, "\x00", strings.Repeat("\x02\x40\x41\x00\x0d\x00\x0b", 100_000)),
		"FunctionCost/many loops":  command(1, "\x00", strings.Repeat("\x03\x40\x41\x00\x0d\x00\x0b", 20_000)),
		"FunctionCost/live locals": command(1, withLocals(1_000), increments(1_000)+strings.Repeat("\x41\x00\x04\x40\x01\x0b", 10_000)+increments(1_000)),
		"FunctionCost/live stack":  command(1, "\x00", strings.Repeat("\x3f\x00", 1_000)+strings.Repeat("\x41\x00\x04\x40\x01\x0b", 10_000)+strings.Repeat("\x1a", 1_000)),
		"FunctionCost/addresses": command(1, withLocals(1),
			strings.Repeat("\x20\x00\x28\x02\x00\x21\x00", 60_000)+strings.Repeat("\x41\x00\x04\x40\x01\x0b", 8_000)),
		"TotalCost/functions":       command(500, withLocals(300), increments(300)+strings.Repeat("\x41\x00\x04\x40\x01\x0b", 2_000)+increments(300)),
		"BranchTargets/of a table":  command(1, "\x00", "\x02\x40\x41\x00\x0e"+string(leb(1_000_000))+strings.Repeat("\x00", 1_000_001)+"\x0b"),
		"Catches/clauses":           command(1, "\x00", "\x1f\x40"+string(leb(20_000))+strings.Repeat("\x02\x00", 20_000)+"\x0b"),
		"Catches/tables":            command(1, "\x00", strings.Repeat("\x1f\x40\x00\x0b", 20_000)),
		"Functions/many":            functions().section(3, 1_000_000, "\x00").section(10, 1_000_000, "\x02\x00\x0b"),
		"Types/many":                newWasm().section(1, 1_000_000, "\x60\x00\x00"),
		"TypeValues/of all types":   newWasm().section(1, 1_000, "\x60\xe8\x07"+strings.Repeat("\x7f", 1_000)+"\x00"),
		"Params/many":               newWasm().raw(1, append(append([]byte("\x01\x60"), leb(100_000)...), append(bytes.Repeat([]byte{0x7f}, 100_000), 0)...)),
		"Exports/many":              functions().section(3, 1, "\x00").section(7, 1_000_000, "\x00\x00\x00"),
		"Globals/many":              newWasm().section(6, 1_000_000, "\x7f\x01\x41\x00\x0b"),
		"Imports/many":              functions().section(2, 300_000, "\x01a\x01b\x00\x00"),
		"Segments/data":             newWasm().section(5, 1, "\x00\x01").section(11, 1_000_000, "\x00\x41\x00\x0b\x01a"),
		"Segments/elements":         newWasm().section(4, 1, "\x70\x00\x01").section(9, 1_000_000, "\x00\x41\x00\x0b\x00"),
		"Elements/of one segment":   functions().section(3, 1, "\x00").raw(9, append(append([]byte("\x01\x01\x00"), leb(4_000_000)...), make([]byte, 4_000_000)...)),
		"Tables/many":               newWasm().section(4, 1_000_000, "\x70\x00\x00"),
		"TableElements/of a table":  newWasm().section(4, 2, "\x70\x00\x80\xc2\xd7\x2f"),
		"Tags/many":                 functions().section(13, 1_000_000, "\x00\x00"),
		"CustomSections/many":       newWasm().section(0, 0, "")[:8:8].custom(100_000),
		"NameBytes/of an import":    functions().raw(2, append(append([]byte{1}, custom(strings.Repeat("e", 3_000_000), nil)...), "\x01f\x00\x00"...)),
		"NameBytes/of the module":   newWasm().raw(0, custom("name", append(append([]byte{0}, leb(3_000_003)...), custom(strings.Repeat("m", 3_000_000), nil)...))),
		"BodyBytes/of one function": command(1, "\x00", strings.Repeat("\x01", 20_000_000)),
	}
}

// custom adds n custom sections.
func (w wasm) custom(n int) wasm { return append(w, strings.Repeat("\x00\x02\x01a", n)...) }

// TestModuleLimits: each module is refused by the limit that is there for it, by the default and,
// sooner, for modules of nobody.
func TestModuleLimits(t *testing.T) {
	for name, module := range hostileModules() {
		limit, _, _ := strings.Cut(name, "/")
		t.Run(name, func(t *testing.T) {
			for _, limits := range []inspect.Limits{inspect.DefaultLimits(), untrustedModuleLimits()} {
				_, err := readModule(module, limits)
				bad, ok := errors.AsType[*inspect.Error](err)
				if !ok || bad.Limit == "" || limits == inspect.DefaultLimits() && bad.Limit != limit {
					t.Errorf("%v, want the limit %s", err, limit)
				}
				if ok && (bad.Offset < 0 || bad.Offset > len(module) || !strings.Contains(bad.Error(), "raise inspect.Limits.")) {
					t.Errorf("offset %d of %d: %v", bad.Offset, len(module), bad)
				}
			}
		})
	}
}

// TestModuleLimitsOfRealPrograms: the defaults, and those for modules of nobody, take the guests of
// the tests.
func TestModuleLimitsOfRealPrograms(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readModule(b, untrustedModuleLimits()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestModuleLimitsThatAreSet: a limit of the embedder's replaces the default, 0 sets none, and the
// interpreter has no limit of cost.
func TestModuleLimitsThatAreSet(t *testing.T) {
	ctx := context.Background()
	module := command(2, withLocals(3), increments(3))
	dear := hostileModules()["FunctionCost/many blocks"]
	rethrowing := command(1, "\x00", "\x00\x0a")
	trusted := inspect.DefaultLimits()
	trusted.NoThrowRef = false
	for _, tc := range []struct {
		name   string
		opts   []Option
		module []byte
		limit  string
	}{
		{"a smaller one", []Option{WithModuleLimits(inspect.Limits{Functions: 1})}, module, "Functions"},
		{"none", []Option{WithModuleLimits(inspect.Limits{})}, module, ""},
		{"the defaults", nil, module, ""},
		{"cost", nil, dear, "FunctionCost"},
		{"cost, interpreted", []Option{WithInterpreter()}, dear, ""},
		{"throw_ref", nil, rethrowing, "NoThrowRef"},
		{"throw_ref, of nobody", []Option{Untrusted()}, rethrowing, "NoThrowRef"},
		{"throw_ref, trusted", []Option{WithModuleLimits(trusted)}, rethrowing, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, err := NewBuilder(append([]Option{WithInterpreter()}, tc.opts...)...).Build(ctx)
			if tc.limit == "FunctionCost" {
				host, err = NewBuilder(tc.opts...).Build(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close(ctx)
			_, err = host.Compile(ctx, tc.module)
			bad, _ := errors.AsType[*inspect.Error](err)
			if tc.limit == "" && err != nil || tc.limit != "" && (bad == nil || bad.Limit != tc.limit) {
				t.Errorf("%v, want the limit %q", err, tc.limit)
			}
		})
	}
}

// TestModuleErrors: whatever is wrong with the bytes is a *inspect.Error, from whichever function
// reads them.
func TestModuleErrors(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	reads := map[string]func([]byte) error{
		"Inspect": func(b []byte) error { _, err := inspect.Module(b); return err },
		"Audit":   func(b []byte) error { _, err := host.Audit(b); return err },
		"Rewrite": func(b []byte) error { _, err := host.Rewrite(b); return err },
		"Compile": func(b []byte) error { _, err := host.Compile(ctx, b); return err },
		"Run":     func(b []byte) error { _, err := host.Run(ctx, b); return err },
	}
	for name, module := range map[string][]byte{
		"empty":           {},
		"cut":             command(1, "\x00", "")[:40],
		"not a module":    []byte("hello"),
		"unknown section": newWasm().raw(99, nil),
	} {
		for function, read := range reads {
			err := read(module)
			bad, ok := errors.AsType[*inspect.Error](err)
			if !ok || bad.Offset < 0 || bad.Section == "" || bad.Limit != "" {
				t.Errorf("%s of %s: %#v", function, name, err)
			}
		}
	}
	// What only the engine sees: an i32 that is not there.
	if _, err := host.Compile(ctx, command(1, "\x00", "\x1a")); fmt.Sprintf("%T", err) != "*inspect.Error" || errors.Unwrap(err) == nil {
		t.Errorf("%#v", err)
	}
}
