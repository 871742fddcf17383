package wasmbin

import (
	"bytes"
	"fmt"

	"github.com/wasivirt/wasivirt/internal/safetext"
)

// FormatError says why bytes are not a module that this package reads, and
// where.
type FormatError struct {
	// Offset is the position in the module, in bytes from its first.
	Offset int
	// Section names the section that was read: "header", "type", "import",
	// … "code", "data", or "custom".
	Section string
	// Msg says what is wrong there.
	Msg string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("wasm: %s section, offset %#x: %s", e.Section, e.Offset, safetext.Line(e.Msg))
}

// ReservedError says that a module already imports from or exports a name
// that the rewriter keeps for itself, so that what it adds could be mistaken
// for the guest's own.
type ReservedError struct {
	// Kind is "import" or "export".
	Kind string
	// Name is the reserved name that the module uses.
	Name string
}

func (e *ReservedError) Error() string {
	return "wasm: " + e.Reason()
}

// Reason is the error without its origin.
func (e *ReservedError) Reason() string {
	return fmt.Sprintf("the module has an %s of the reserved name %s", e.Kind, safetext.Quote(e.Name))
}

// checkHeader refuses what is not a core WebAssembly module of version 1, and
// says what it is instead where that can be told.
func checkHeader(module []byte) error {
	fail := func(offset int, msg string) error {
		return &FormatError{Offset: offset, Section: "header", Msg: msg}
	}
	if len(module) == 0 {
		return fail(0, "empty file")
	}
	if !bytes.HasPrefix(module, []byte("\x00asm")) {
		if isText(module) {
			return fail(0, "WebAssembly text, not binary: assemble it first (wat2wasm)")
		}
		return fail(0, "not a WebAssembly file: the magic number \\0asm is missing")
	}
	if len(module) < 8 {
		return fail(4, "truncated: the version is missing")
	}
	switch version := module[4:8]; {
	case bytes.Equal(version, []byte{1, 0, 0, 0}):
		return nil
	case version[2] == 1 && version[3] == 0:
		return fail(4, "a WebAssembly component, not a module: take the core module out of it, or build for WASI preview1")
	default:
		return fail(4, fmt.Sprintf("unknown version % x", version))
	}
}

// isText reports whether the file looks like the text format: an opening
// parenthesis, after white space and comments, and the word module.
func isText(file []byte) bool {
	for {
		file = bytes.TrimLeft(file, " \t\r\n\ufeff")
		switch {
		case bytes.HasPrefix(file, []byte(";;")):
			i := bytes.IndexByte(file, '\n')
			if i < 0 {
				return false
			}
			file = file[i+1:]
		case bytes.HasPrefix(file, []byte("(;")):
			i := bytes.Index(file, []byte(";)"))
			if i < 0 {
				return false
			}
			file = file[i+2:]
		case bytes.HasPrefix(file, []byte("(")):
			return bytes.HasPrefix(bytes.TrimLeft(file[1:], " \t\r\n"), []byte("module"))
		default:
			return false
		}
	}
}
