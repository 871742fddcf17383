// Package cookbook holds short recipes, each an Example that is tested. docs/cookbook.md shows them
// all; go test -update writes it.
package cookbook

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/cookbook.md")

// page is where the recipes are shown.
const page = "../../docs/cookbook.md"

// chapters are the files in the order of the page.
var chapters = []struct{ file, title string }{
	{"running_test.go", "Running guests"},
	{"files_test.go", "Files"},
	{"time_test.go", "Time, chance and order"},
	{"calls_test.go", "Calls"},
	{"warm_test.go", "Many guests"},
}

// TestPage compares the page with the recipes. Each says what it does, when to use it, and how.
func TestPage(t *testing.T) {
	var want bytes.Buffer
	want.WriteString("# Cookbook\n\nShort recipes. Each is a tested Example in [examples/cookbook](../examples/cookbook). `ctx` is a context, `wasm` a command that does what its\n" +
		"arguments say, `library` a reactor, `racer` a command with threads; `check` stands for what your program does with an error.\n")
	recipes := 0
	for _, c := range chapters {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, c.file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "\n## %s\n", c.title)
		examples := doc.Examples(f)
		slices.SortFunc(examples, func(a, b *doc.Example) int { return cmp.Compare(a.Code.Pos(), b.Code.Pos()) })
		for _, e := range examples {
			var code bytes.Buffer
			config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
			if err := config.Fprint(&code, fset, &printer.CommentedNode{Node: e.Code, Comments: inside(f, e.Code)}); err != nil {
				t.Fatal(err)
			}
			text := strings.TrimSuffix(strings.TrimPrefix(code.String(), "{\n"), "}")
			text, _, _ = strings.Cut(text, "\n\t// Output:")
			text, _, _ = strings.Cut(text, "\n\t// Unordered output:")
			var lines []string
			for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
				lines = append(lines, strings.TrimPrefix(line, "\t"))
			}
			title, more, _ := strings.Cut(strings.TrimSpace(e.Doc), ". ")
			fmt.Fprintf(&want, "\n### %s\n\n", strings.TrimSuffix(title, "."))
			if more == "" {
				t.Errorf("%s: say when to use it", title)
			}
			fmt.Fprintf(&want, "%s\n\n", strings.ReplaceAll(more, "\n", " "))
			fmt.Fprintf(&want, "```go\n%s\n```\n", strings.Join(lines, "\n"))
			if e.Output != "" {
				fmt.Fprintf(&want, "\n```text\n%s```\n", e.Output)
			}
			recipes++
		}
	}
	if recipes < 50 {
		t.Errorf("%d recipes, want 50", recipes)
	}
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want.String(), string(got)); d != "" {
		t.Errorf("%s is not what the recipes say; run go test ./examples/cookbook -update (-want +got):\n%s", page, d)
	}
}

// inside are the comments within a node.
func inside(f *ast.File, n ast.Node) (list []*ast.CommentGroup) {
	for _, c := range f.Comments {
		if n.Pos() <= c.Pos() && c.End() <= n.End() {
			list = append(list, c)
		}
	}
	return list
}
