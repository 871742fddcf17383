package virt_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// terminalUser is the side of who types.
type terminalUser struct {
	t      *testing.T
	screen io.Reader
	keys   io.Writer
	buf    [1024]byte
}

// types types text.
func (c *terminalUser) types(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.keys, text); err != nil {
		c.t.Fatalf("type %q: %v", text, err)
	}
}

// sees reads the screen until it has read text, and nothing else.
func (c *terminalUser) sees(want string) {
	c.t.Helper()
	got := ""
	for got != want {
		n, err := c.screen.Read(c.buf[:])
		got += strings.ReplaceAll(string(c.buf[:n]), "\r\n", "\n")
		if err != nil || !strings.HasPrefix(want, got) {
			c.t.Fatalf("the screen shows %q (%v), want %q", got, err, want)
		}
	}
}

// chat talks to a guest that answers lines, typing in pieces. end ends what is typed.
func (c *terminalUser) chat(end func()) {
	c.t.Helper()
	c.sees("> ")
	c.types("hello\n")
	c.sees("\"HELLO\"\n> ")
	c.types("in ")
	c.types("piec")
	c.types("es\n")
	c.sees("\"IN PIECES\"\n> ")
	c.types("one\ntwo\n")
	c.sees("\"ONE\"\n> \"TWO\"\n> ")
	end()
	c.sees("bye\n")
}

// TestREPL has somebody type to a guest who waits for each answer before typing on.
func TestREPL(t *testing.T) {
	host := newHost(t, shared)
	tools := compiled(t, host, goGuest(t, "tools"))
	inputs := map[string]func(t *testing.T) (io.Reader, io.WriteCloser){
		"a pipe of the system": func(t *testing.T) (io.Reader, io.WriteCloser) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); w.Close() })
			return r, w
		},
		"an io.Pipe": func(t *testing.T) (io.Reader, io.WriteCloser) {
			r, w := io.Pipe()
			t.Cleanup(func() { w.Close() })
			return r, w
		},
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			stdin, keys := input(t)
			screen, stdout := io.Pipe()
			t.Cleanup(func() { screen.Close() })
			r := start(t, host, tools, virt.WithArgs("repl"), virt.WithStdin(stdin), virt.WithStdout(stdout))
			c := &terminalUser{t: t, screen: screen, keys: keys}
			c.chat(func() { keys.Close() })
			if result := <-r.result; !result.Success() {
				t.Errorf("%v", result)
			}
		})
		t.Run(name+", what there is", func(t *testing.T) {
			stdin, keys := input(t)
			screen, stdout := io.Pipe()
			t.Cleanup(func() { screen.Close() })
			r := start(t, host, tools, virt.WithArgs("read"), virt.WithStdin(stdin), virt.WithStdout(stdout))
			c := &terminalUser{t: t, screen: screen, keys: keys}
			for _, text := range []string{"a", "line", "no line\nand half of ano"} {
				c.types(text)
				c.sees(quoted(text))
			}
			keys.Close()
			c.sees("EOF\n")
			if result := <-r.result; !result.Success() {
				t.Errorf("%v", result)
			}
		})
	}
}

func quoted(text string) string { return "\"" + strings.ReplaceAll(text, "\n", "\\n") + "\"\n" }
