package srcline

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// module is one with a memory, custom sections and data at an address.
func module(sections map[string][]byte, at int64, data []byte) []byte {
	sized := func(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }
	b := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" + "\x0a\x05\x01\x03\x00\x01\x0b")
	segment := append([]byte{1, 0, 0x41}, byte(at&0x7f)|0x80, byte(at>>7&0x3f), 0x0b)
	b = append(append(b, 11), sized(append(segment, sized(data)...))...)
	for name, content := range sections {
		b = append(append(b, 0), sized(append(sized([]byte(name)), content...))...)
	}
	return b
}

// table5 is a line table of version 5, as clang writes it, for one file in a directory of the root.
func table5() (line, lineStr []byte) {
	u32 := binary.LittleEndian.AppendUint32
	header := []byte{1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1}
	header = append(header, 1, contentPath, formLineStr, 2) // directories
	header = u32(u32(header, 0), 6)
	header = append(header, 2, contentPath, formLineStr, contentDirectory, formUdata, 2)
	header = append(u32(header, 10), 0)
	header = append(u32(header, 10), 1)
	unit := append(u32([]byte{5, 0, 4, 0}, uint32(len(header))), header...)
	unit = append(u32(append(unit, 0, 5, 2), 2), lnsSetFile, 1, lnsAdvanceLine, 41, lnsSetColumn, 7, lnsCopy, lnsAdvancePC, 5, 0, 1, lneEndSequence)
	return append(u32(nil, uint32(len(unit))), unit...), []byte("/root\x00sub\x00main.c\x00")
}

func TestVersion5(t *testing.T) {
	line, lineStr := table5()
	m, err := wasmbin.Inspect(module(map[string][]byte{lineSection: line, strings5Section: lineStr}, 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	lines := Find(m, []Place{{0, 1}, {0, 2}, {0, 6}, {0, 7}})
	want := []Line{{}, {"/root/sub/main.c", 42, 7}, {"/root/sub/main.c", 42, 7}, {}}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTablesThatAreTooLong: what is read for each place is bounded, however long the tables are.
func TestTablesThatAreTooLong(t *testing.T) {
	u32 := binary.LittleEndian.AppendUint32
	// Version 5 with a table of directories of one byte each, and no name.
	header := []byte{1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, contentDirectory, formData1}
	header = append(binary.AppendUvarint(header, maxNames), make([]byte, maxNames)...)
	header = append(header, 1, contentPath, formString, 1, 'f', 0)
	unit := append(u32([]byte{5, 0, 4, 0}, uint32(len(header))), header...)
	unit = append(u32(append(unit, 0, 5, 2), 2), lnsSetFile, 0, lnsCopy, lnsAdvancePC, 5, 0, 1, lneEndSequence)
	m, err := wasmbin.Inspect(module(map[string][]byte{lineSection: append(u32(nil, uint32(len(unit))), unit...)}, 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	if lines := Find(m, []Place{{0, 3}}); lines[0] != (Line{}) {
		t.Errorf("%d bytes of names were read, and say %v", maxNames, lines[0])
	}
	// Go's table of values that never reaches the program counter, until it does.
	steps := append(bytes.Repeat([]byte{2, 0}, 1000), 2, 1)
	if v, ok := (&goTable{values: append([]byte{0}, steps...)}).value(1, 0); ok {
		t.Errorf("a table with steps of 0 says %d", v)
	}
}

// TestGo finds every function of a Go program: its name and its file are those that the name
// section and the runtime's table have.
func TestGo(t *testing.T) {
	wasm, err := goguest.Build(t.Context(), filepath.Join("..", "..", "virt", "testdata", "go", "lines"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasmbin.Inspect(wasm)
	if err != nil {
		t.Fatal(err)
	}
	var places []Place
	for i := m.ImportedFunctions(); i < m.Functions; i++ {
		places = append(places, Place{Function: uint32(i)})
	}
	files := map[string]int{}
	missing := 0
	for _, l := range Find(m, places) {
		_, name, _ := strings.Cut(l.File, "/src/")
		files[name]++
		if l.File == "" || l.Line == 0 {
			missing++
		}
	}
	if missing > 5 || files["runtime/proc.go"] < 10 || len(files) < 50 {
		t.Errorf("%d of %d functions have no line; %d files", missing, len(places), len(files))
	}
}

func TestDemangle(t *testing.T) {
	for line, want := range map[string]string{
		"._ZN4core9panicking5panic17h0123456789abcdefE(i32)":                                    ".core::panicking::panic(i32)",
		"m._ZN50_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE(i32,i32) i32":    "m._ZN50_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE(i32,i32) i32",
		"._ZN38_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE() i32":            ".<T as core::fmt::Debug>::fmt() i32",
		"._ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE.llvm.1(i32)": ".std::rt::lang_start::{{closure}}.llvm.1(i32)",
		"._ZNK3foo3barEv(i32) i32":             ".foo::bar(i32) i32",
		"._ZN3foo3barEii(i32,i32,i32)":         ".foo::bar(i32,i32,i32)",
		"._ZN3fooC2Ev(i32)":                    "._ZN3fooC2Ev(i32)",
		"._ZN99999999999999999999foo":          "._ZN99999999999999999999foo",
		"._ZNE()":                              "._ZNE()",
		".main(i32)":                           ".main(i32)",
		".get_ZN3foo3barE()":                   ".get_ZN3foo3barE()",
		"._ZN1a1b17h0123456789abcdef":          "._ZN1a1b17h0123456789abcdef",
		"._ZN6$u1b$x17h0123456789abcdefE(i32)": ".$u1b$x(i32)",

		"._RNvNtNtCs4Q2Qx8jI5j6_1a5outer5inner4leaf(i32) i32":                   ".a::outer::inner::leaf(i32) i32",
		"._RNvNtNtCs4Q2Qx8jI5j6_1a5outer5inner4leaf.llvm.77()":                  ".a::outer::inner::leaf.llvm.77()",
		"_RINvCs4Q2Qx8jI5j6_1a3cstKj7_Kc71_Kb1_Kln5_EB2_":                       "a::cst::<7, 'q', true, -5>",
		"._RINvCs4Q2Qx8jI5j6_1a3genTnERShEB2_(i32)":                             ".a::gen::<(i128,), &[u8]>(i32)",
		"._RNvXCs4Q2Qx8jI5j6_1aAhj4_NtB2_2Tr3run":                               ".<[u8; 4] as a::Tr>::run",
		"._RNCNvCs4Q2Qx8jI5j6_1a5main20B3_":                                     ".a::main2::{closure#0}",
		"._RNCNvCs4Q2Qx8jI5j6_1a5main2s0_0B3_":                                  ".a::main2::{closure#2}",
		"._RINvC1a1fDNtC1c4Iterp4ItemThReENtC1c4SendEL_EB2_":                    ".a::f::<dyn c::Iter<Item = (u8, &str)> + c::Send>",
		"._RINvC1a1fFUKCaPhEbE":                                                 ".a::f::<unsafe extern \"C\" fn(i8, *const u8) -> bool>",
		"._RMC1aNtB0_3Foo":                                                      ".<a::Foo>",
		"._RNvC1au5_4la5g":                                                      ".a::punycode{4la5g}",
		"._RNvC1a1":                                                             "._RNvC1a1",
		"._RNvC1a9999999999f":                                                   "._RNvC1a9999999999f",
		"._RB_":                                                                 "._RB_",
		"._RNvBzzzzzzzzzzzzzzz_1f":                                              "._RNvBzzzzzzzzzzzzzzz_1f",
		"._R" + strings.Repeat("Nv", 100) + "C1a" + strings.Repeat("1f", 100):   "._R" + strings.Repeat("Nv", 100) + "C1a" + strings.Repeat("1f", 100),
		"._RINvC1a1fT" + strings.Repeat("TB8_B8_E", 20) + "EE":                  "._RINvC1a1fT" + strings.Repeat("TB8_B8_E", 20) + "EE",
		"._RINvC1a1fT" + strings.Repeat("NtC9abcdefghi9abcdefghi", 60) + "EE()": "._RINvC1a1fT" + strings.Repeat("NtC9abcdefghi9abcdefghi", 60) + "EE()",
		"._Readme": "._Readme",
		"._R":      "._R",
	} {
		if got := Demangle(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// FuzzFind reads line tables and Go's table that somebody made up. Each look-up reads a table once,
// however it is made.
func FuzzFind(f *testing.F) {
	line, lineStr := table5()
	f.Add(line, lineStr, []byte("a\x00"), []byte(nil))
	wasm, err := os.ReadFile(filepath.Join("..", "..", "virt", "testdata", "bare", "lines.wasm"))
	if err != nil {
		f.Fatal(err)
	}
	m, err := wasmbin.Inspect(wasm)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.CustomSection(lineSection), []byte(nil), m.CustomSection(stringSection), []byte(nil))
	words := []uint64{2, 1, 0, 80, 80, 90, 100, 110}
	goData := []byte(goMagic)
	for _, w := range words {
		goData = binary.LittleEndian.AppendUint64(goData, w)
	}
	f.Add([]byte(nil), []byte(nil), []byte(nil), append(goData, strings.Repeat("\x00\x10\x00\x00\x08\x00\x00\x00\x02\x04", 12)...))
	f.Fuzz(func(t *testing.T, line, lineStr, str, goData []byte) {
		m, err := wasmbin.Inspect(module(map[string][]byte{lineSection: line, strings5Section: lineStr, stringSection: str, goSection: nil}, 64, goData))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range Find(m, []Place{{0, 0}, {0, 1}, {0, 5}, {0, 1 << 40}, {1 << 31, 7}}) {
			if len(l.File) > 2*maxFile+1 {
				t.Errorf("a name of %d bytes", len(l.File))
			}
		}
	})
}

// FuzzDemangle reads names that somebody made up.
func FuzzDemangle(f *testing.F) {
	f.Add("m._ZN50_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE(i32)")
	f.Add("._ZNK3foo3barEv(i32) i32")
	f.Add("_RINvCs4Q2Qx8jI5j6_1a3cstKj7_Kc71_Kb1_Kln5_EB2_")
	f.Add("._RINvC1a1fDNtC1c4Iterp4ItemThReENtC1c4SendEL_EB2_")
	f.Add("._RNvXCs4Q2Qx8jI5j6_1aAhj4_NtB2_2Tr3run")
	f.Fuzz(func(t *testing.T, line string) {
		if got := Demangle(line); len(got) > len(line)+maxRustName {
			t.Errorf("%d bytes of %d", len(got), len(line))
		}
	})
}
