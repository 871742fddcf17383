package explore

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// FuzzNames reads names of variables from damaged DWARF.
func FuzzNames(f *testing.F) {
	wasm, err := os.ReadFile("../testdata/bare/lines.wasm")
	if err != nil {
		f.Fatal(err)
	}
	m, err := wasmbin.Inspect(wasm)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.CustomSection(".debug_info"), m.CustomSection(".debug_abbrev"), m.CustomSection(".debug_str"))
	f.Fuzz(func(t *testing.T, info, abbrev, text []byte) {
		module := []byte("\x00asm\x01\x00\x00\x00")
		for name, b := range map[string][]byte{".debug_info": info, ".debug_abbrev": abbrev, ".debug_str": text} {
			content := append(append([]byte{byte(len(name))}, name...), b...)
			module = append(binary.AppendUvarint(append(module, 0), uint64(len(content))), content...)
		}
		n := newNames(module)
		for _, v := range n.variables {
			for offset := uint64(0); offset < 64; offset += 4 {
				n.address(v.addr + offset)
			}
		}
	})
}
