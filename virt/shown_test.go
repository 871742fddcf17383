package virt

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// hostileName is a name that a terminal and a log would obey.
const hostileName = "fn\x1b[31m\x1b]0;pwned\x07\nwasm stack trace:\nfake log line: all is well\u202e"

// unsafeText reports whether a text holds what does not show as itself, line breaks apart.
func unsafeText(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// commandNamed gives the first function of a command a name.
func commandNamed(name, code string) []byte {
	names := append([]byte{1, 0}, append(leb(len(name)), name...)...)
	names = append(append([]byte("\x04name\x01"), leb(len(names))...), names...)
	return wasm(command(1, "\x00", code)).raw(0, names)
}

// TestTrapsShowNamesSafely: a trap tells the functions by escaped names, in bounded time and
// memory, whatever the names are.
func TestTrapsShowNamesSafely(t *testing.T) {
	ctx := context.Background()
	for _, engine := range []Option{Options(), WithInterpreter()} {
		for _, preempt := range []Option{Options(), WithoutPreemption()} {
			host, err := NewBuilder(engine, preempt).Build(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{hostileName, strings.Repeat("x", 1<<20)} {
				r, err := host.Run(ctx, commandNamed(name, "\x00"))
				if err != nil || r.Outcome != Trapped || r.Trap.Kind != trap.Unreachable {
					t.Fatalf("%v, %v", r, err)
				}
				text := r.Trap.Error()
				if unsafeText(text) || len(text) > 4*maxFunctionName || !strings.Contains(text, name[:2]) {
					t.Errorf("%d bytes: %.500q", len(text), text)
				}
			}
			if err := host.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestErrorsShowNamesSafely: imports that are missing are named by escaped names of bounded length.
func TestErrorsShowNamesSafely(t *testing.T) {
	ctx := context.Background()
	host, err := NewBuilder(WithInterpreter()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	for _, module := range []string{hostileName, "wasi:" + hostileName, strings.Repeat("e", 10_000), abi.ModuleName, reservedModule} {
		entry := append(append(leb(len(module)), module...), append(leb(len(hostileName)), hostileName+"\x00\x00"...)...)
		_, err := host.Compile(ctx, newWasm().section(1, 1, "\x60\x00\x00").section(2, 20, string(entry)).section(5, 1, "\x00\x01").
			section(7, 1, "\x06memory\x02\x00"))
		if err == nil || unsafeText(err.Error()) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1<<13 {
			t.Errorf("%.500q", err)
		}
	}
	// The engine names the export that is there twice.
	export := append(append(leb(len(hostileName)), hostileName...), 0, 0)
	_, err = host.Compile(ctx, newWasm().section(1, 1, "\x60\x00\x00").section(3, 1, "\x00").section(7, 2, string(export)).section(10, 1, "\x02\x00\x0b"))
	if err == nil || unsafeText(err.Error()) {
		t.Errorf("%q", err)
	}
}

// TestGuestsChooseNamesOfChildren: a guest that starts another with a name of megabytes fills no
// trace with it, and the name acts on no terminal.
func TestGuestsChooseNamesOfChildren(t *testing.T) {
	ctx := t.Context()
	module, err := os.ReadFile("testdata/bare/family.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var lines, perfetto bytes.Buffer
	host, err := NewBuilder(WithMaxThreads(1), WithTrace(trace.JSON(&lines)), WithTrace(trace.Perfetto(&perfetto))).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Compile(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := host.Instantiate(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parent.StartChild(m, ChildConfig{Args: []string{hostileName + strings.Repeat("x", 1<<20)}, MaxChildren: 1, MaxDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	for c.Result() == nil {
		runtime.Gosched()
	}
	infos := (&sched.DeadlockError{Threads: []sched.Info{{Group: c.guest.group.Name()}}}).Error()
	if err := host.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if lines.Len() == 0 {
		t.Error("no calls are traced")
	}
	for what, text := range map[string]string{"trace": lines.String(), "Perfetto's trace": perfetto.String(), "deadlock": infos} {
		for line := range strings.Lines(text) {
			if unsafeText(line) || strings.Contains(line, `\u001b`) || len(line) > 1000 {
				t.Errorf("%s: %d bytes: %.500q", what, len(line), line)
			}
		}
	}
}
