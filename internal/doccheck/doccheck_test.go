// Package doccheck checks the documents of the repository: links, Go code, names and commands.
//
// Blocks that begin with ```sh hold commands that have to work as they stand, one document after
// the other from the root of a copy of the repository. A block ```sh background holds one command
// that stays under way until the document's end; what stands in one that begins with ```sh ci is
// done by a stage of .ci/run. A block ```go FILE is written to that file before the commands that
// follow. Other text is ```text.
package doccheck

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is the repository.
const root = "../.."

// document is a Markdown file of the repository.
type document struct {
	path   string // from root, with slashes
	text   string
	blocks []block
	prose  string // the text without blocks
}

// block is a fenced block.
type block struct {
	line       int
	info, code string
}

// documents reads all documents.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		doc := document{path: filepath.ToSlash(rel), text: string(text)}
		doc.split()
		all = append(all, doc)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents found", len(all))
	}
	return all
}

// split finds the document's blocks.
func (d *document) split() {
	var open *block
	var prose strings.Builder
	n := 0
	for line := range strings.Lines(d.text) {
		n++
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			open = &block{line: n, info: strings.TrimPrefix(strings.TrimSpace(line), "```")}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.code += line
		default:
			prose.WriteString(line)
		}
	}
	d.prose = prose.String()
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows every link to a file of the repository, and to a heading.
func TestLinks(t *testing.T) {
	headings := map[string]map[string]bool{}
	all := documents(t)
	for _, d := range all {
		headings[d.path] = map[string]bool{}
		for line := range strings.Lines(d.prose) {
			if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
				headings[d.path][anchor(title)] = true
			}
		}
	}
	for _, d := range all {
		for _, m := range link.FindAllStringSubmatch(d.prose, -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			path := d.path
			if file != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), file))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s links to %s, which is not there", d.path, target)
			} else if fragment != "" && strings.HasSuffix(path, ".md") && !headings[path][fragment] {
				t.Errorf("%s links to %s: there is no such heading", d.path, target)
			}
		}
	}
}

// anchor is the name by which a forge links to a heading.
func anchor(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

// TestGoCode parses every block of Go code, as a file, declarations or statements.
func TestGoCode(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.info != "go" && !strings.HasPrefix(b.info, "go ") {
				continue
			}
			var errs []error
			for _, form := range []string{"%", "package p\n%", "package p\nfunc _() error {\n%\n}"} {
				_, err := parser.ParseFile(token.NewFileSet(), "", strings.ReplaceAll(form, "%", b.code), parser.SkipObjectResolution)
				if err == nil {
					errs = nil
					break
				}
				errs = append(errs, err)
			}
			if errs != nil {
				t.Errorf("%s:%d: is no Go code: %v", d.path, b.line, errs[len(errs)-1])
			}
		}
	}
}

var (
	span      = regexp.MustCompile("`([^`\n]+)`")
	qualified = regexp.MustCompile(`\b([a-z][a-z0-9]+)\.([A-Z][A-Za-z0-9]*)(?:\.([A-Z][A-Za-z0-9]*))?`)
)

// TestNames looks up every name of a package of ours that a document mentions.
func TestNames(t *testing.T) {
	packages := exported(t)
	for _, d := range documents(t) {
		if d.path == "CHANGELOG.md" {
			continue // it also tells of names that are gone
		}
		code := ""
		for _, b := range d.blocks {
			if b.info == "go" || strings.HasPrefix(b.info, "go ") {
				code += b.code
			}
		}
		for _, m := range span.FindAllStringSubmatch(d.prose, -1) {
			code += m[1] + "\n"
		}
		for _, m := range qualified.FindAllStringSubmatch(code, -1) {
			names, ours := packages[m[1]]
			if !ours {
				continue
			}
			name := m[2]
			if m[3] != "" {
				name += "." + m[3]
			}
			if !names[name] && !(m[3] != "" && names[m[2]+".*"]) {
				t.Errorf("%s mentions %s.%s, which is not there", d.path, m[1], name)
			}
		}
	}
}

// exported returns the exported names of our packages by package name: top-level ones, and methods
// and fields as Type.Name.
func exported(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	for _, top := range []string{"virt", "vfs", "clock", "random", "poll", "process", "sched", "memory", "wasip1", "examples/fleet/fleet"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" || d.Name() == "internal" {
				return filepath.SkipDir
			}
			names, pkg := exportedOf(t, path)
			if pkg == "" {
				return nil
			}
			if all[pkg] == nil {
				all[pkg] = map[string]bool{}
			}
			for _, n := range names {
				all[pkg][n] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func exportedOf(t *testing.T, dir string) (names []string, pkg string) {
	t.Helper()
	p := documentation(t, dir)
	if p == nil || p.Name == "main" {
		return nil, ""
	}
	for _, v := range append(p.Consts, p.Vars...) {
		names = append(names, v.Names...)
	}
	for _, f := range p.Funcs {
		names = append(names, f.Name)
	}
	for _, typ := range p.Types {
		names = append(names, typ.Name)
		for _, f := range typ.Funcs {
			names = append(names, f.Name)
		}
		for _, v := range append(typ.Consts, typ.Vars...) {
			names = append(names, v.Names...)
		}
		for _, m := range typ.Methods {
			names = append(names, typ.Name+"."+m.Name)
		}
		names = append(names, members(typ)...)
	}
	return names, p.Name
}

// members are the fields of a struct and the methods of an interface. A type that embeds another
// may have any.
func members(typ *doc.Type) (names []string) {
	for _, spec := range typ.Decl.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		var list *ast.FieldList
		switch u := s.Type.(type) {
		case *ast.StructType:
			list = u.Fields
		case *ast.InterfaceType:
			list = u.Methods
		default:
			names = append(names, typ.Name+".*")
			continue
		}
		for _, f := range list.List {
			if len(f.Names) == 0 {
				names = append(names, typ.Name+".*")
			}
			for _, n := range f.Names {
				names = append(names, typ.Name+"."+n.Name)
			}
		}
	}
	return names
}

// TestCommands runs the commands of each document, where WASIVIRT_FULL is set. "wasivirt" is on the
// PATH, and guest.wasm, a program that exits with 0 whatever its world, in the root.
func TestCommands(t *testing.T) {
	if os.Getenv("WASIVIRT_FULL") == "" {
		t.Skip("runs for minutes: set WASIVIRT_FULL=1")
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./examples/wasivirt")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	guest := exec.Command("go", "build", "-o", filepath.Join(bin, "guest.wasm"), "./internal/doccheck/testdata/guest")
	guest.Dir = root
	guest.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := guest.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range documents(t) {
		if d.path == "CONTRIBUTING.md" {
			continue // what it names is what CI itself does
		}
		t.Run(d.path, func(t *testing.T) { d.run(t, bash, bin) })
	}
}

// run runs a document's commands in a copy of the repository, in order.
func (d document) run(t *testing.T, bash, bin string) {
	var script strings.Builder
	script.WriteString("set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	commands := false
	for _, b := range d.blocks {
		if file, ok := strings.CutPrefix(b.info, "go "); ok {
			script.WriteString("mkdir -p " + filepath.Dir(file) + "\ncat >" + file + " <<'END OF FILE'\n" + b.code + "END OF FILE\n")
			continue
		}
		switch b.info {
		case "sh":
			script.WriteString(b.code)
		case "sh background":
			script.WriteString("{ exec " + strings.TrimSpace(b.code) + "\n} &\nsleep 3\n")
		default:
			continue
		}
		commands = true
	}
	if !commands {
		t.Skip("no commands")
	}
	tree := t.TempDir()
	clone := exec.Command("git", "clone", "-q", "--local", root, tree)
	if out, err := clone.CombinedOutput(); err != nil {
		t.Skipf("the repository cannot be copied: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(filepath.Join(bin, "guest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "guest.wasm"), wasm, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, "-x", "-c", script.String())
	cmd.Dir = tree
	cmd.WaitDelay = 10 * time.Second // a process that was left behind keeps the pipe
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "WASIVIRT_FULL=", "WASIVIRT_CACHE="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the commands of %s: %v\n%s", d.path, err, out)
	}
}
