package safetext

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"main.run":                   "main.run",
		"größe λ 日本":                 "größe λ 日本",
		"\x1b[31mred\x07\r\n":        `\x1b[31mred\a\r\n`,
		"a\u202eb\u200bc\u2028d":     `a\u202eb\u200bc\u2028d`,
		"\u009b31m":                  `\u009b31m`,
		"\xff\xfe":                   `\xff\xfe`,
		strings.Repeat("x", 300):     strings.Repeat("x", 256) + "...(44 bytes more)",
		strings.Repeat("ä", 200):     strings.Repeat("ä", 128) + "...(144 bytes more)",
		strings.Repeat("\x80", 1000): strings.Repeat(`\x80`, 256) + "...(744 bytes more)",
	} {
		if diff := cmp.Diff(want, Name(in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestQuote(t *testing.T) {
	if got, want := Quote(`a"b`+"\n"), `"a\"b\n"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLines(t *testing.T) {
	got := Lines("one\r\n\x1b[2Jtwo\nthree\nfour", 2)
	want := "one\n" + `\x1b[2Jtwo` + "\n... and 2 lines more\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzName: nothing that a terminal obeys, and no more than a few times the limit, comes out of any
// text.
func FuzzName(f *testing.F) {
	f.Add("\x1b]0;title\x07")
	f.Fuzz(func(t *testing.T, s string) {
		got := Name(s)
		if !utf8.ValidString(got) || len(got) > 10*MaxName+40 {
			t.Errorf("%q: %d bytes", s, len(got))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: %q", s, got)
		}
	})
}
