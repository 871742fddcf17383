// Package safetext shows text of a guest's to people: in errors, traps, logs and on terminals.
//
// Control characters, format characters (which reverse or hide text) and bytes that are no UTF-8
// are written as Go's escapes, and what is long is cut, with the number of bytes that were left
// out.
package safetext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is how many bytes of a name [Name] shows, MaxLine how many of a text [Line] shows.
const (
	MaxName = 256
	MaxLine = 4096
)

// Name escapes a name: of a module, a function, an import, a file. A line break is escaped too.
func Name(s string) string { return escape(s, MaxName) }

// Line escapes a text of one line, such as an error.
func Line(s string) string { return escape(s, MaxLine) }

// Quote escapes a name and puts it in double quotes.
func Quote(s string) string {
	return `"` + strings.ReplaceAll(Name(s), `"`, `\"`) + `"`
}

// Lines escapes a text of at most so many lines, and each as [Line] does. What is left out is
// counted in a last line.
func Lines(s string, most int) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(s) {
		if n++; n <= most {
			b.WriteString(Line(strings.TrimRight(line, "\r\n")))
			b.WriteByte('\n')
		}
	}
	if n > most {
		fmt.Fprintf(&b, "... and %d lines more\n", n-most)
	}
	return b.String()
}

// Cut escapes a text as [Name] does, of which it shows at most so many bytes.
func Cut(s string, most int) string { return escape(s, most) }

func escape(s string, most int) string {
	left := 0
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		if cut == 0 || most-cut > utf8.UTFMax { // no UTF-8
			cut = most
		}
		left, s = len(s)-cut, s[:cut]
	}
	i := firstUnsafe(s)
	if i == len(s) && left == 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case safe(r, size):
			b.WriteString(s[i : i+size])
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += size
	}
	if left > 0 {
		fmt.Fprintf(&b, "...(%d bytes more)", left)
	}
	return b.String()
}

func firstUnsafe(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !safe(r, size) {
			return i
		}
		i += size
	}
	return len(s)
}

// safe reports whether a character shows as itself: it is graphic, or a space.
func safe(r rune, size int) bool {
	if r == utf8.RuneError && size <= 1 {
		return false
	}
	return r == ' ' || unicode.IsPrint(r)
}
