package doccheck

import (
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// commentWidth is how many columns a line of a comment may have. A tab counts as four.
const commentWidth = 100

// fileLines is how many lines a file has at most that is no test.
const fileLines = 500

// goFiles are the paths of all Go files of the repository.
func goFiles(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".go":
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// outputComment is what an Example prints, which cannot be wrapped.
var outputComment = regexp.MustCompile(`^// (Unordered output|Output):`)

// TestWidthAndLength finds comments that stand on lines of their own and are too wide, and files
// that are too long. Directives, addresses and what an example prints may be wider.
func TestWidthAndLength(t *testing.T) {
	for _, path := range goFiles(t) {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(source), "\n")
		if n := len(lines) - 1; n > fileLines && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines: split it into files of one notion each, of at most %d", path, n, fileLines)
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				if outputComment.MatchString(c.Text) {
					break
				}
				n := fset.Position(c.Pos()).Line
				line := strings.ReplaceAll(lines[n-1], "\t", "    ")
				own := strings.HasPrefix(strings.TrimSpace(line), "//")
				free := strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "//\t") || strings.Contains(line, "://")
				if own && !free && utf8.RuneCountInString(line) > commentWidth {
					t.Errorf("%s:%d: the comment has %d columns: wrap it at %d", path, n, utf8.RuneCountInString(line), commentWidth)
				}
			}
		}
	}
}

var bracketed = regexp.MustCompile(`\[\*?([a-z][a-z0-9]*\.)?[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*\]`)

// TestDocLinks finds [Name] in doc comments where there is no such name.
func TestDocLinks(t *testing.T) {
	dirs := map[string]bool{}
	for _, path := range goFiles(t) {
		if !strings.Contains(path, "testdata") {
			dirs[filepath.Dir(path)] = true
		}
	}
	for dir := range dirs {
		p := documentation(t, dir)
		if p == nil || p.Name == "main" {
			continue
		}
		for name, text := range docTexts(p) {
			for _, block := range p.Parser().Parse(text).Content {
				for _, m := range bracketed.FindAllString(plain(block), -1) {
					t.Errorf("%s: the comment of %s links to %s, which is not there", dir, name, m)
				}
			}
		}
	}
}

// documentation is that of the package in a directory, nil if there is none.
func documentation(t *testing.T, dir string) *doc.Package {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil
	}
	p, err := doc.NewFromFiles(fset, files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// docTexts are the doc comments of a package by what they are about.
func docTexts(p *doc.Package) map[string]string {
	texts := map[string]string{"the package": p.Doc}
	values := func(all []*doc.Value) {
		for _, v := range all {
			texts[strings.Join(v.Names, ", ")] = v.Doc
		}
	}
	functions := func(prefix string, all []*doc.Func) {
		for _, f := range all {
			texts[prefix+f.Name] = f.Doc
		}
	}
	values(p.Consts)
	values(p.Vars)
	functions("", p.Funcs)
	for _, t := range p.Types {
		texts[t.Name] = t.Doc
		values(t.Consts)
		values(t.Vars)
		functions("", t.Funcs)
		functions(t.Name+".", t.Methods)
	}
	return texts
}

// plain is the text of a block that is no link and no code.
func plain(block comment.Block) string {
	var b strings.Builder
	write := func(texts []comment.Text) {
		for _, t := range texts {
			if p, ok := t.(comment.Plain); ok {
				b.WriteString(string(p))
			}
		}
	}
	switch block := block.(type) {
	case *comment.Paragraph:
		write(block.Text)
	case *comment.Heading:
		write(block.Text)
	case *comment.List:
		for _, item := range block.Items {
			for _, content := range item.Content {
				b.WriteString(plain(content))
			}
		}
	}
	return b.String()
}
